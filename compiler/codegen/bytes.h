/* Sums of products of bytes, on blocks of up to 64 channels.
 *
 * Inputs are taken four by four, in each row of a window. The four weights of a channel lie side
 * by side, then the next channel's; then the next four of every channel. Inputs have no sign:
 * `flip` turns the highest bits of those that have one, which makes them 128 more.
 */
#ifndef NET_BYTES_H
#define NET_BYTES_H

#include "pixels.h"

typedef enum {
    DOT_WIDE,   /* weights of 8 bits */
    DOT_NARROW, /* the sum of two products fits 16 bits */
    DOT_SHORT,  /* and so does the sum of all */
    DOT_FOUR    /* any, where there is an instruction for four products of bytes */
} dot_size_t;

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define DOT_FOURS
#endif

/* Each instruction set with vectors defines:
 *
 *   DOT_LANES    sums of a vector
 *   DOT_TILE     vectors of each pixel, of NET_PIXELS that share the weights
 *   DOT_UNROLL   vectors of a pixel alone
 *   dot_load     weights of a vector; of half a vector, in 16 bits each, where they are wide
 *   dot_spread   four inputs, likewise
 *   dot_add      products, added to what was there
 *   dot_join     sums of two vectors of wide products, two of which belong to a lane
 *   dot_pairs    sums of 32 bits, of those of 16 bits
 *   dot_store    the int32_t
 */
#if NET_KERNEL == NET_KERNEL_AVX512_POPCNT || NET_KERNEL == NET_KERNEL_AVX512

#define DOT_LANES  16
#define DOT_TILE   4
#define DOT_UNROLL 4

typedef __m512i dot_t;

NET_INLINE dot_t dot_zero(void) { return _mm512_setzero_si512(); }

NET_INLINE void dot_store(int32_t *values, dot_t a)
{
    _mm512_storeu_si512((__m512i *)(void *)values, a);
}

NET_INLINE dot_t dot_load(const int8_t *weights, dot_size_t size)
{
    return size == DOT_WIDE
        ? _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)weights))
        : _mm512_loadu_si512((const __m512i *)(const void *)weights);
}

NET_INLINE dot_t dot_spread(uint32_t quad, dot_size_t size)
{
    return size == DOT_WIDE ? _mm512_cvtepu8_epi16(_mm256_set1_epi32((int)quad))
                            : _mm512_set1_epi32((int)quad);
}

NET_INLINE dot_t dot_pairs(dot_t pairs) { return _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)); }

NET_INLINE dot_t dot_add(dot_t sums, dot_t inputs, dot_t weights, dot_size_t size)
{
#ifdef DOT_FOURS
    if (size == DOT_FOUR)
        return _mm512_dpbusd_epi32(sums, inputs, weights);
#endif
    if (size == DOT_WIDE)
        return _mm512_add_epi32(sums, _mm512_madd_epi16(inputs, weights));
    const dot_t pairs = _mm512_maddubs_epi16(inputs, weights);
    return size == DOT_SHORT ? _mm512_add_epi16(sums, pairs)
                             : _mm512_add_epi32(sums, dot_pairs(pairs));
}

NET_INLINE dot_t dot_join(dot_t low, dot_t high)
{
    const dot_t even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const dot_t odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    return _mm512_add_epi32(_mm512_permutex2var_epi32(low, even, high),
                            _mm512_permutex2var_epi32(low, odd, high));
}

#elif NET_KERNEL == NET_KERNEL_AVX2

#define DOT_LANES  8
#define DOT_TILE   2
#define DOT_UNROLL 8

typedef __m256i dot_t;

NET_INLINE dot_t dot_zero(void) { return _mm256_setzero_si256(); }

NET_INLINE void dot_store(int32_t *values, dot_t a)
{
    _mm256_storeu_si256((__m256i *)(void *)values, a);
}

NET_INLINE dot_t dot_load(const int8_t *weights, dot_size_t size)
{
    return size == DOT_WIDE
        ? _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)weights))
        : _mm256_loadu_si256((const __m256i *)(const void *)weights);
}

NET_INLINE dot_t dot_spread(uint32_t quad, dot_size_t size)
{
    return size == DOT_WIDE ? _mm256_cvtepu8_epi16(_mm_set1_epi32((int)quad))
                            : _mm256_set1_epi32((int)quad);
}

NET_INLINE dot_t dot_pairs(dot_t pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

NET_INLINE dot_t dot_add(dot_t sums, dot_t inputs, dot_t weights, dot_size_t size)
{
#ifdef DOT_FOURS
    if (size == DOT_FOUR)
        return _mm256_dpbusd_epi32(sums, inputs, weights);
#endif
    if (size == DOT_WIDE)
        return _mm256_add_epi32(sums, _mm256_madd_epi16(inputs, weights));
    const dot_t pairs = _mm256_maddubs_epi16(inputs, weights);
    return size == DOT_SHORT ? _mm256_add_epi16(sums, pairs)
                             : _mm256_add_epi32(sums, dot_pairs(pairs));
}

NET_INLINE dot_t dot_join(dot_t low, dot_t high)
{
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xd8);
}

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

/* DOT_LANES * `some` sums for each of `pixels` windows that are `step` bytes apart, and share each
 * load of the weights. */
NET_INLINE void dot_lanes(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          size_t step, uint32_t flip, dot_size_t size, size_t pixels,
                          size_t some, int32_t *sums)
{
    const size_t parts = size == DOT_WIDE ? 2 : 1, vectors = parts * some;
    dot_t totals[NET_PIXELS][DOT_UNROLL];
    for (size_t p = 0; p < pixels; p++)
        for (size_t v = 0; v < vectors; v++)
            totals[p][v] = dot_zero();
    const uint8_t *row = view->bytes;
    for (size_t y = 0; y < view->rows; y++, row += view->apart)
        for (size_t at = 0; at < view->length; at += 4, weights += 4 * lanes) {
            dot_t loaded[DOT_UNROLL];
            for (size_t v = 0; v < vectors; v++)
                loaded[v] = dot_load(weights + 4 * DOT_LANES / parts * v, size);
            for (size_t p = 0; p < pixels; p++) {
                const uint32_t quad = pixels > 1 ? load_quad(row + step * p + at)
                                                 : row_quad(row, view->length, at) ^ flip;
                const dot_t four = dot_spread(quad, size);
                for (size_t v = 0; v < vectors; v++)
                    totals[p][v] = dot_add(totals[p][v], four, loaded[v], size);
            }
        }
    for (size_t p = 0; p < pixels; p++)
        for (size_t i = 0; i < some; i++)
            dot_store(sums + lanes * p + DOT_LANES * i,
                      size == DOT_WIDE ? dot_join(totals[p][2 * i], totals[p][2 * i + 1])
                      : size == DOT_SHORT ? dot_pairs(totals[p][i]) : totals[p][i]);
}

NET_INLINE void dot_block(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          size_t step, uint32_t flip, dot_size_t size, size_t pixels,
                          int32_t *sums)
{
#ifdef DOT_FOURS
    size = DOT_FOUR;
#endif
    const size_t most = (pixels > 1 ? DOT_TILE : DOT_UNROLL) / (size == DOT_WIDE ? 2 : 1);
    size_t lane = 0;
    for (; lane + DOT_LANES * most <= lanes; lane += DOT_LANES * most)
        dot_lanes(weights + 4 * lane, lanes, view, step, flip, size, pixels, most, sums + lane);
    for (; most > 2 && lane + 2 * DOT_LANES <= lanes; lane += 2 * DOT_LANES)
        dot_lanes(weights + 4 * lane, lanes, view, step, flip, size, pixels, 2, sums + lane);
    for (; most > 1 && lane < lanes; lane += DOT_LANES)
        dot_lanes(weights + 4 * lane, lanes, view, step, flip, size, pixels, 1, sums + lane);
}

#else

NET_INLINE void dot_block(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          size_t step, uint32_t flip, dot_size_t size, size_t pixels,
                          int32_t *sums)
{
    (void)size;
    for (size_t p = 0; p < pixels; p++, sums += lanes) {
        const int8_t *fours = weights;
        const uint8_t *row = view->bytes + step * p;
        for (size_t lane = 0; lane < lanes; lane++)
            sums[lane] = 0;
        for (size_t y = 0; y < view->rows; y++, row += view->apart)
            for (size_t at = 0; at < view->length; at += 4) {
                const uint32_t quad = row_quad(row, view->length, at) ^ flip;
                const int a = quad & 255, b = quad >> 8 & 255, c = quad >> 16 & 255,
                          d = quad >> 24;
                for (size_t lane = 0; lane < lanes; lane++, fours += 4)
                    sums[lane] += a * fours[0] + b * fours[1] + c * fours[2] + d * fours[3];
            }
    }
}

#endif

/* Sums of products of one window, and of NET_PIXELS in a band: with weights of 8 bits; of -64 ..
 * 64, where the sum of two products fits 16 bits; and of magnitudes that sum to 128 at most, where
 * all sums do. */
#define NET_BYTE_SUMS(one, several, size)                                                       \
    NET_SHARED void one(const int8_t *weights, size_t lanes, const byte_view_t *view,           \
                        uint32_t flip, int32_t *sums)                                           \
    {                                                                                           \
        dot_block(weights, lanes, view, 0, flip, size, 1, sums);                                \
    }                                                                                           \
                                                                                                \
    NET_SHARED void several(const int8_t *weights, size_t lanes, const byte_view_t *view,       \
                            size_t step, int32_t *sums)                                         \
    {                                                                                           \
        dot_block(weights, lanes, view, step, 0, size, NET_PIXELS, sums);                       \
    }

NET_BYTE_SUMS(byte_sums, byte_pixels, DOT_WIDE)
NET_BYTE_SUMS(narrow_byte_sums, narrow_byte_pixels, DOT_NARROW)
NET_BYTE_SUMS(short_byte_sums, short_byte_pixels, DOT_SHORT)

#endif
