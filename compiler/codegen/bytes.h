/* Sums of products of bytes, on blocks of up to 64 channels.
 *
 * Inputs are taken four by four, in each row of a window. The four weights of a channel lie side
 * by side, then the next channel's; then the next four of every channel. Inputs have no sign:
 * `flip` turns the highest bits of those that have one, which makes them 128 more.
 */
#ifndef NET_BYTES_H
#define NET_BYTES_H

#include "kernels.h"

typedef enum {
    DOT_WIDE,   /* weights of 8 bits */
    DOT_NARROW, /* the sum of two products fits 16 bits */
    DOT_SHORT   /* and so does the sum of all */
} dot_size_t;

#if NET_KERNEL == NET_KERNEL_AVX512_POPCNT || NET_KERNEL == NET_KERNEL_AVX512

#define DOT_LANES  16
#define DOT_UNROLL 4

typedef __m512i dot_t;

NET_INLINE dot_t dot_load(const void *values) { return _mm512_loadu_si512(values); }
NET_INLINE dot_t dot_spread(uint32_t quad)    { return _mm512_set1_epi32((int)quad); }
NET_INLINE void dot_store(int32_t *values, dot_t a) { _mm512_storeu_si512(values, a); }

#ifdef __AVX512VNNI__

NET_INLINE dot_t dot_add(dot_t sums, dot_t inputs, dot_t weights, dot_size_t size)
{
    (void)size;
    return _mm512_dpbusd_epi32(sums, inputs, weights);
}

NET_INLINE dot_t dot_end(dot_t sums, dot_size_t size)
{
    (void)size;
    return sums;
}

#else

NET_INLINE dot_t dot_end(dot_t sums, dot_size_t size)
{
    return size == DOT_SHORT ? _mm512_madd_epi16(sums, _mm512_set1_epi16(1)) : sums;
}

NET_INLINE dot_t dot_add(dot_t sums, dot_t inputs, dot_t weights, dot_size_t size)
{
    if (size != DOT_WIDE) {
        const dot_t pairs = _mm512_maddubs_epi16(inputs, weights);
        return size == DOT_SHORT ? _mm512_add_epi16(sums, pairs)
                                 : _mm512_add_epi32(sums, dot_end(pairs, DOT_SHORT));
    }
    const dot_t even = _mm512_madd_epi16(_mm512_and_si512(inputs, _mm512_set1_epi16(255)),
                                         _mm512_srai_epi16(_mm512_slli_epi16(weights, 8), 8));
    const dot_t odd = _mm512_madd_epi16(_mm512_srli_epi16(inputs, 8),
                                        _mm512_srai_epi16(weights, 8));
    return _mm512_add_epi32(sums, _mm512_add_epi32(even, odd));
}

#endif

#elif NET_KERNEL == NET_KERNEL_AVX2

#define DOT_LANES  8
#define DOT_UNROLL 8

typedef __m256i dot_t;

NET_INLINE dot_t dot_load(const void *values) { return _mm256_loadu_si256((const __m256i *)values); }
NET_INLINE dot_t dot_spread(uint32_t quad)    { return _mm256_set1_epi32((int)quad); }

NET_INLINE void dot_store(int32_t *values, dot_t a)
{
    _mm256_storeu_si256((__m256i *)(void *)values, a);
}

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)

NET_INLINE dot_t dot_add(dot_t sums, dot_t inputs, dot_t weights, dot_size_t size)
{
    (void)size;
    return _mm256_dpbusd_epi32(sums, inputs, weights);
}

NET_INLINE dot_t dot_end(dot_t sums, dot_size_t size)
{
    (void)size;
    return sums;
}

#else

NET_INLINE dot_t dot_end(dot_t sums, dot_size_t size)
{
    return size == DOT_SHORT ? _mm256_madd_epi16(sums, _mm256_set1_epi16(1)) : sums;
}

NET_INLINE dot_t dot_add(dot_t sums, dot_t inputs, dot_t weights, dot_size_t size)
{
    if (size != DOT_WIDE) {
        const dot_t pairs = _mm256_maddubs_epi16(inputs, weights);
        return size == DOT_SHORT ? _mm256_add_epi16(sums, pairs)
                                 : _mm256_add_epi32(sums, dot_end(pairs, DOT_SHORT));
    }
    const dot_t even = _mm256_madd_epi16(_mm256_and_si256(inputs, _mm256_set1_epi16(255)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8));
    const dot_t odd = _mm256_madd_epi16(_mm256_srli_epi16(inputs, 8),
                                        _mm256_srai_epi16(weights, 8));
    return _mm256_add_epi32(sums, _mm256_add_epi32(even, odd));
}

#endif

#endif

NET_INLINE uint32_t load_quad(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16
           | (uint32_t)bytes[3] << 24;
}

/* Four bytes from `at` on, or those that are left of a row, and 0. */
NET_INLINE uint32_t row_quad(const uint8_t *row, size_t length, size_t at)
{
    if (length - at >= 4)
        return load_quad(row + at);
    return load_quad(row + length - 4) >> 8 * (4 - (length - at));
}

#ifdef DOT_LANES

NET_INLINE void dot_lanes(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          uint32_t flip, dot_size_t size, size_t vectors, int32_t *sums)
{
    dot_t totals[DOT_UNROLL];
    for (size_t v = 0; v < vectors; v++)
        totals[v] = dot_spread(0);
    const uint8_t *row = view->bytes;
    for (size_t y = 0; y < view->rows; y++, row += view->apart)
        for (size_t at = 0; at < view->length; at += 4, weights += 4 * lanes) {
            const dot_t four = dot_spread(row_quad(row, view->length, at) ^ flip);
            for (size_t v = 0; v < vectors; v++)
                totals[v] = dot_add(totals[v], four, dot_load(weights + 4 * DOT_LANES * v),
                                    size);
        }
    for (size_t v = 0; v < vectors; v++)
        dot_store(sums + DOT_LANES * v, dot_end(totals[v], size));
}

NET_INLINE void dot_block(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          uint32_t flip, dot_size_t size, int32_t *sums)
{
    size_t lane = 0;
    for (; lane + DOT_UNROLL * DOT_LANES <= lanes; lane += DOT_UNROLL * DOT_LANES)
        dot_lanes(weights + 4 * lane, lanes, view, flip, size, DOT_UNROLL, sums + lane);
    for (; lane < lanes; lane += DOT_LANES)
        dot_lanes(weights + 4 * lane, lanes, view, flip, size, 1, sums + lane);
}

#else

NET_INLINE void dot_block(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          uint32_t flip, dot_size_t size, int32_t *sums)
{
    (void)size;
    for (size_t lane = 0; lane < lanes; lane++)
        sums[lane] = 0;
    const uint8_t *row = view->bytes;
    for (size_t y = 0; y < view->rows; y++, row += view->apart)
        for (size_t at = 0; at < view->length; at += 4) {
            const uint32_t quad = row_quad(row, view->length, at) ^ flip;
            const int a = quad & 255, b = quad >> 8 & 255, c = quad >> 16 & 255, d = quad >> 24;
            for (size_t lane = 0; lane < lanes; lane++, weights += 4)
                sums[lane] += a * weights[0] + b * weights[1] + c * weights[2] + d * weights[3];
        }
}

#endif

/* Sums of products with weights of 8 bits. */
NET_SHARED void byte_sums(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          uint32_t flip, int32_t *sums)
{
    dot_block(weights, lanes, view, flip, DOT_WIDE, sums);
}

/* The same with weights of -64 .. 64: the sum of two products fits 16 bits. */
NET_SHARED void narrow_byte_sums(const int8_t *weights, size_t lanes, const byte_view_t *view,
                                 uint32_t flip, int32_t *sums)
{
    dot_block(weights, lanes, view, flip, DOT_NARROW, sums);
}

/* The same with weights whose magnitudes sum to 128 at most: all sums fit 16 bits. */
NET_SHARED void short_byte_sums(const int8_t *weights, size_t lanes, const byte_view_t *view,
                                uint32_t flip, int32_t *sums)
{
    dot_block(weights, lanes, view, flip, DOT_SHORT, sums);
}

#endif
