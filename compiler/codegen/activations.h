/* Activations of a block of sums, in place, and storage of what they make. */
#ifndef NET_ACTIVATIONS_H
#define NET_ACTIVATIONS_H

#include "kernels.h"

NET_INLINE void add_bias(int32_t *sums, size_t count, const int32_t *bias)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += bias[i];
}

/* 1 where the level is reached, else 0. */
NET_INLINE void reach_level(int32_t *sums, size_t count, int32_t level)
{
    for (size_t i = 0; i < count; i++)
        sums[i] = sums[i] >= level;
}

NET_INLINE void reach_levels(int32_t *sums, size_t count, const int32_t *levels)
{
    for (size_t i = 0; i < count; i++)
        sums[i] = sums[i] >= levels[i];
}

/* The same as bits, the first in the lowest. */
NET_INLINE uint64_t level_bits(const int32_t *sums, size_t count, const int32_t *levels)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i += 2 * VEC_WORDS)
        bits |= vec_reach(sums + i, levels + i) << i;
    return bits & low_bits(count);
}

NET_INLINE uint64_t one_level_bits(const int32_t *sums, size_t count, int32_t level)
{
    int32_t levels[2 * VEC_WORDS];
    uint64_t bits = 0;
    for (size_t i = 0; i < 2 * VEC_WORDS; i++)
        levels[i] = level;
    for (size_t i = 0; i < count; i += 2 * VEC_WORDS)
        bits |= vec_reach(sums + i, levels) << i;
    return bits & low_bits(count);
}

/* Number of the `each` rising levels that are reached; one level of all channels after the
 * other, `apart`. */
NET_SHARED void count_levels(int32_t *sums, size_t count, const int32_t *levels, size_t apart,
                             size_t each)
{
    int32_t reached[NET_BLOCK] = {0};
    for (size_t k = 0; k < each; k++)
        for (size_t i = 0; i < count; i++)
            reached[i] += sums[i] >= levels[k * apart + i];
    for (size_t i = 0; i < count; i++)
        sums[i] = reached[i];
}

/* The same, of so many levels that halving is faster; all levels of a channel after one another,
 * and channels `apart`. */
NET_SHARED void search_levels(int32_t *sums, size_t count, const int32_t *levels, size_t apart,
                              size_t each)
{
    size_t half = 1;
    while (half <= each / 2)
        half *= 2;
    for (size_t i = 0; i < count; i++, levels += apart) {
        size_t reached = 0;
        for (size_t step = half; step; step /= 2) {
            const size_t next = reached + step;
            reached = next <= each && sums[i] >= levels[next - 1] ? next : reached;
        }
        sums[i] = (int32_t)reached;
    }
}

/* sum * 2**-shift, rounded half to even, and saturated to low .. high. */
NET_SHARED void requantize(int32_t *sums, size_t count, int shift, int32_t low, int32_t high)
{
    for (size_t i = 0; i < count; i++) {
        int64_t rounded = sums[i];
        if (shift > 0) {
            const int64_t unit = (int64_t)1 << shift;
            const int64_t floor = rounded >= 0 ? rounded >> shift : ~(~rounded >> shift);
            const int64_t rest = rounded - floor * unit;
            rounded = floor + (rest + (floor & 1) > unit / 2);
        } else {
            rounded *= (int64_t)1 << -shift;
        }
        sums[i] = rounded < low ? low : rounded > high ? high : (int32_t)rounded;
    }
}

/* Bit `plane` of each value, the first in the lowest bit. */
NET_INLINE uint64_t pack_plane(const int32_t *values, size_t count, size_t plane)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i += 2 * VEC_WORDS)
        bits |= vec_plane(values + i, plane) << i;
    return bits & low_bits(count);
}

#define NET_COPY(name, from, to)                                                                \
    NET_INLINE void name(const from *input, size_t count, to *output)                           \
    {                                                                                           \
        for (size_t i = 0; i < count; i++)                                                      \
            output[i] = (to)input[i];                                                           \
    }

NET_COPY(load_i8, int8_t, int32_t)
NET_COPY(load_u8, uint8_t, int32_t)
NET_COPY(load_i32, int32_t, int32_t)
NET_COPY(store_i8, int32_t, int8_t)
NET_COPY(store_u8, int32_t, uint8_t)
NET_COPY(store_i32, int32_t, int32_t)

/* Numbers of word 0 of `planes` planes that are `apart` words apart. */
#define NET_LOAD_PLANES(name, type)                                                             \
    NET_SHARED void name(const type *input, size_t apart, size_t planes, int is_signed,         \
                         size_t count, int32_t *values)                                         \
    {                                                                                           \
        for (size_t i = 0; i < count; i++)                                                      \
            values[i] = 0;                                                                      \
        for (size_t plane = planes; plane-- > 0;) {                                             \
            const type word = input[plane * apart];                                             \
            const int32_t sign = is_signed && plane == planes - 1 ? -1 : 1;                     \
            for (size_t i = 0; i < count; i++)                                                  \
                values[i] = 2 * values[i] + sign * (int32_t)(word >> i & 1);                    \
        }                                                                                       \
    }

NET_LOAD_PLANES(load_planes_u8, uint8_t)
NET_LOAD_PLANES(load_planes_u16, uint16_t)
NET_LOAD_PLANES(load_planes_u32, uint32_t)
NET_LOAD_PLANES(load_planes_u64, uint64_t)

#endif
