/* The arithmetic of a layer, on blocks of up to 64 channels.
 *
 * A layer takes a block of channels through three steps: sums of products, activation, and
 * storage. In between, the block is NET_BLOCK integers.
 *
 * Bits lie in words of 64, the first in the lowest bit of the first word; a bit that is set
 * stands for +1, and one that is not for -1. Numbers of several bits are stored as planes, one
 * for each of their bits, lowest first. Weights of a block lie side by side: word 0 of every
 * channel, then word 1 of every channel, and so on. `lanes` is the number of channels in a block,
 * rounded up to NET_LANES; `count` is the number without rounding. Unused bits are 0.
 */
#ifndef NET_KERNELS_H
#define NET_KERNELS_H

#include "vectors.h"

#define NET_BLOCK 64
#define NET_LANES 8

/* Channels of the block that begins at `first`, and the same with its padding. */
NET_INLINE size_t block_count(size_t first, size_t channels)
{
    return channels - first < NET_BLOCK ? channels - first : NET_BLOCK;
}

NET_INLINE size_t block_lanes(size_t count)
{
    return (count + NET_LANES - 1) / NET_LANES * NET_LANES;
}

#define NET_COPY(name, from, to)                                                                \
    NET_INLINE void name(const from *input, size_t count, to *output)                           \
    {                                                                                           \
        for (size_t i = 0; i < count; i++)                                                      \
            output[i] = (to)input[i];                                                           \
    }

/* Bits */

/* counts[v * VEC_WORDS + w] = bits in input ^ weights (or input & weights), for `vectors` <=
 * VEC_UNROLL vectors v of lanes. */
NET_INLINE void count_vectors(const uint64_t *weights, size_t lanes, const uint64_t *input,
                              size_t words, int exclusive, size_t vectors, int32_t *counts)
{
    vec_t totals[VEC_UNROLL];
    for (size_t v = 0; v < vectors; v++)
        totals[v] = vec_zero();
    for (size_t start = 0; start < words; start += VEC_DEPTH) {
        const size_t end = words - start < VEC_DEPTH ? words : start + VEC_DEPTH;
        vec_t partial[VEC_UNROLL];
        for (size_t v = 0; v < vectors; v++)
            partial[v] = vec_zero();
        for (size_t word = start; word < end; word++) {
            const vec_t bits = vec_spread(input[word]);
            for (size_t v = 0; v < vectors; v++) {
                const vec_t other = vec_load(weights + word * lanes + v * VEC_WORDS);
                const vec_t product = exclusive ? vec_xor(bits, other) : vec_and(bits, other);
                partial[v] = vec_add(partial[v], vec_count(product));
            }
        }
        for (size_t v = 0; v < vectors; v++)
            totals[v] = vec_add_wide(totals[v], vec_widen(partial[v]));
    }
    for (size_t v = 0; v < vectors; v++)
        vec_store(counts + v * VEC_WORDS, totals[v]);
}

NET_INLINE void count_block(const uint64_t *weights, size_t lanes, const uint64_t *input,
                            size_t words, int exclusive, int32_t *counts)
{
    const size_t unrolled = lanes - lanes % (VEC_UNROLL * VEC_WORDS);
    for (size_t lane = 0; lane < unrolled; lane += VEC_UNROLL * VEC_WORDS)
        count_vectors(weights + lane, lanes, input, words, exclusive, VEC_UNROLL, counts + lane);
    for (size_t lane = unrolled; lane < lanes; lane += VEC_WORDS)
        count_vectors(weights + lane, lanes, input, words, exclusive, 1, counts + lane);
}

/* Sums of products of -1 and +1: every bit that differs takes 2 from the number of inputs. */
NET_INLINE void binary_sums(const uint64_t *weights, size_t lanes, const uint64_t *input,
                            size_t inputs, int32_t *sums)
{
    count_block(weights, lanes, input, (inputs + 63) / 64, 1, sums);
    for (size_t lane = 0; lane < lanes; lane++)
        sums[lane] = (int32_t)inputs - 2 * sums[lane];
}

/* Sums of products of numbers of several bits with bits of 0 and 1, highest plane first. One of
 * the two has planes, and the planes of the other are `0` words apart: it is the same in all. */
NET_INLINE void plane_sums(const uint64_t *weights, size_t weights_apart, size_t lanes,
                           const uint64_t *input, size_t input_apart, size_t words,
                           size_t planes, int is_signed, int32_t *sums)
{
    for (size_t plane = planes; plane-- > 0;) {
        int32_t counts[NET_BLOCK];
        count_block(weights + plane * weights_apart, lanes, input + plane * input_apart, words, 0,
                    counts);
        if (plane == planes - 1)
            for (size_t lane = 0; lane < lanes; lane++)
                sums[lane] = is_signed ? -counts[lane] : counts[lane];
        else
            for (size_t lane = 0; lane < lanes; lane++)
                sums[lane] = 2 * sums[lane] + counts[lane];
    }
}

/* Sum of the numbers of several bits in `input`. */
NET_INLINE int32_t plane_total(const uint64_t *input, size_t words, size_t planes, int is_signed)
{
    int32_t total = 0;
    for (size_t plane = planes; plane-- > 0;) {
        int32_t count = 0;
        for (size_t word = 0; word < words; word++)
            count += (int32_t)count_word(input[plane * words + word]);
        total = plane == planes - 1 && is_signed ? -count : 2 * total + count;
    }
    return total;
}

/* Turn sums over bits of 0 and 1 into sums over -1 and +1: twice the sum, less `total`. */
NET_INLINE void double_sums(int32_t *sums, size_t lanes, int32_t total)
{
    for (size_t lane = 0; lane < lanes; lane++)
        sums[lane] = 2 * sums[lane] - total;
}

/* Bytes */

/* Inputs as compilers multiply them best by weights of 8 bits: in 16 bits, but for bytes without
 * sign where there is an instruction for just that. */
typedef int16_t factor_i8;
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
typedef uint8_t factor_u8;
#else
typedef int16_t factor_u8;
#endif

/* Sums of products; the weights of a channel are a row. Four rows share each load of the input. */
#define NET_BYTE_SUMS(name, type)                                                               \
    static inline void name(const int8_t *weights, size_t inputs, const type *input,            \
                            size_t count, int32_t *sums)                                        \
    {                                                                                           \
        const size_t unrolled = count - count % 4;                                              \
        for (size_t row = 0; row < unrolled; row += 4) {                                        \
            const int8_t *w0 = weights + row * inputs, *w1 = w0 + inputs;                       \
            const int8_t *w2 = w1 + inputs, *w3 = w2 + inputs;                                  \
            int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;                                             \
            for (size_t i = 0; i < inputs; i++) {                                               \
                s0 += w0[i] * input[i];                                                         \
                s1 += w1[i] * input[i];                                                         \
                s2 += w2[i] * input[i];                                                         \
                s3 += w3[i] * input[i];                                                         \
            }                                                                                   \
            sums[row] = s0, sums[row + 1] = s1, sums[row + 2] = s2, sums[row + 3] = s3;         \
        }                                                                                       \
        for (size_t row = unrolled; row < count; row++) {                                       \
            sums[row] = 0;                                                                      \
            for (size_t i = 0; i < inputs; i++)                                                 \
                sums[row] += weights[row * inputs + i] * input[i];                              \
        }                                                                                       \
    }

NET_BYTE_SUMS(byte_sums_i8, factor_i8)
NET_BYTE_SUMS(byte_sums_u8, factor_u8)
NET_COPY(load_factors_i8, int8_t, factor_i8)
NET_COPY(load_factors_u8, uint8_t, factor_u8)

/* Activations, in place */

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

/* Number of the `each` rising levels that are reached; the levels of channels are `apart`. */
NET_INLINE void count_levels(int32_t *sums, size_t count, const int32_t *levels, size_t apart,
                             size_t each)
{
    for (size_t i = 0; i < count; i++) {
        int32_t reached = 0;
        for (size_t k = 0; k < each; k++)
            reached += sums[i] >= levels[i * apart + k];
        sums[i] = reached;
    }
}

/* sum * 2**-shift, rounded half to even, and saturated to low .. high. */
NET_INLINE void requantize(int32_t *sums, size_t count, int shift, int32_t low, int32_t high)
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

/* Storage */

/* Bit `plane` of each value, the first in the lowest bit. */
NET_INLINE uint64_t pack_plane(const int32_t *values, size_t count, size_t plane)
{
    uint64_t bits = 0;
    size_t packed = 0;
#if NET_KERNEL == NET_KERNEL_AVX512_POPCNT || NET_KERNEL == NET_KERNEL_AVX512
    packed = count - count % 16;
    for (size_t i = 0; i < packed; i += 16)
        bits |= (uint64_t)_mm512_test_epi32_mask(_mm512_loadu_si512(values + i),
                                                 _mm512_set1_epi32(1 << plane)) << i;
#endif
    for (size_t i = packed; i < count; i++)
        bits |= (uint64_t)((uint32_t)values[i] >> plane & 1) << i;
    return bits;
}

/* Store a block as word 0 of `planes` planes that are `apart` words apart. */
NET_INLINE void store_planes(const int32_t *values, size_t count, size_t planes, size_t apart,
                             uint64_t *output)
{
    for (size_t plane = 0; plane < planes; plane++)
        output[plane * apart] = pack_plane(values, count, plane);
}

NET_COPY(load_i8, int8_t, int32_t)
NET_COPY(load_u8, uint8_t, int32_t)
NET_COPY(store_i8, int32_t, int8_t)
NET_COPY(store_u8, int32_t, uint8_t)
NET_COPY(store_i32, int32_t, int32_t)

#endif
