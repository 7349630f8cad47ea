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
 *   dot_spread   four inputs, as spread_quad makes them
 *   dot_add      products, added to what was there
 *   dot_pairs    sums of 32 bits, of two of 16 bits
 *   dot_end      the int32_t, of what was added; of two vectors, where products are wide
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

NET_INLINE dot_t dot_spread(uint64_t four) { return _mm512_set1_epi64((long long)four); }

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

NET_INLINE dot_t dot_end(dot_t first, dot_t last, dot_size_t size)
{
    const dot_t even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const dot_t odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    if (size != DOT_WIDE)
        return size == DOT_SHORT ? dot_pairs(first) : first;
    return _mm512_add_epi32(_mm512_permutex2var_epi32(first, even, last),
                            _mm512_permutex2var_epi32(first, odd, last));
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

NET_INLINE dot_t dot_spread(uint64_t four) { return _mm256_set1_epi64x((long long)four); }

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

NET_INLINE dot_t dot_end(dot_t first, dot_t last, dot_size_t size)
{
    if (size != DOT_WIDE)
        return size == DOT_SHORT ? dot_pairs(first) : first;
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(first, last), 0xd8);
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

/* Four inputs as the kernels take them: twice, or in 16 bits each where products are wide. */
NET_INLINE uint64_t spread_quad(uint32_t quad, dot_size_t size)
{
    const uint64_t halves = (quad | (uint64_t)quad << 16) & 0x0000ffff0000ffff;
    if (size == DOT_WIDE)
        return (halves | halves << 8) & 0x00ff00ff00ff00ff;
    return quad | (uint64_t)quad << 32;
}

#ifdef DOT_LANES

/* DOT_LANES * `some` sums for each of `pixels` pixels, which share each load of the weights. The
 * inputs are `count` times four of each pixel. */
NET_INLINE void dot_tile(const int8_t *weights, size_t lanes, const uint64_t *fours, size_t count,
                         dot_size_t size, size_t some, int32_t *sums)
{
    const size_t parts = size == DOT_WIDE ? 2 : 1, vectors = parts * some;
    dot_t totals[NET_PIXELS][DOT_TILE];
    for (size_t p = 0; p < NET_PIXELS; p++)
        for (size_t v = 0; v < vectors; v++)
            totals[p][v] = dot_zero();
    const uint64_t *const end = fours + NET_PIXELS * count;
    do {
        dot_t loaded[DOT_TILE];
        for (size_t v = 0; v < vectors; v++)
            loaded[v] = dot_load(weights + 4 * DOT_LANES / parts * v, size);
        for (size_t p = 0; p < NET_PIXELS; p++) {
            const dot_t four = dot_spread(*fours++);
            for (size_t v = 0; v < vectors; v++)
                totals[p][v] = dot_add(totals[p][v], four, loaded[v], size);
        }
        weights += 4 * lanes;
    } while (fours < end);
    for (size_t p = 0; p < NET_PIXELS; p++)
        for (size_t i = 0; i < some; i++)
            dot_store(sums + lanes * p + DOT_LANES * i,
                      dot_end(totals[p][parts * i], totals[p][parts * (i + 1) - 1], size));
}

NET_INLINE void dot_pixels(const int8_t *weights, size_t lanes, const uint64_t *fours,
                           size_t count, dot_size_t size, int32_t *sums)
{
    const size_t most = DOT_TILE / (size == DOT_WIDE ? 2 : 1);
    size_t lane = 0;
    for (; lane + DOT_LANES * most <= lanes; lane += DOT_LANES * most)
        dot_tile(weights + 4 * lane, lanes, fours, count, size, most, sums + lane);
    for (; most > 2 && lane + 2 * DOT_LANES <= lanes; lane += 2 * DOT_LANES)
        dot_tile(weights + 4 * lane, lanes, fours, count, size, 2, sums + lane);
    for (; most > 1 && lane < lanes; lane += DOT_LANES)
        dot_tile(weights + 4 * lane, lanes, fours, count, size, 1, sums + lane);
}

/* DOT_LANES * `some` sums of one window. */
NET_INLINE void dot_lanes(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          uint32_t flip, dot_size_t size, size_t some, int32_t *sums)
{
    const size_t parts = size == DOT_WIDE ? 2 : 1, vectors = parts * some;
    dot_t totals[DOT_UNROLL];
    for (size_t v = 0; v < vectors; v++)
        totals[v] = dot_zero();
    const uint8_t *row = view->bytes;
    for (size_t y = 0; y < view->rows; y++, row += view->apart)
        for (size_t at = 0; at < view->length; at += 4, weights += 4 * lanes) {
            const dot_t four = dot_spread(spread_quad(row_quad(row, view->length, at) ^ flip,
                                                      size));
            for (size_t v = 0; v < vectors; v++)
                totals[v] = dot_add(totals[v], four,
                                    dot_load(weights + 4 * DOT_LANES / parts * v, size), size);
        }
    for (size_t i = 0; i < some; i++)
        dot_store(sums + DOT_LANES * i,
                  dot_end(totals[parts * i], totals[parts * (i + 1) - 1], size));
}

NET_INLINE void dot_block(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          uint32_t flip, dot_size_t size, int32_t *sums)
{
    const size_t most = DOT_UNROLL / (size == DOT_WIDE ? 2 : 1);
    size_t lane = 0;
    for (; lane + DOT_LANES * most <= lanes; lane += DOT_LANES * most)
        dot_lanes(weights + 4 * lane, lanes, view, flip, size, most, sums + lane);
    for (; lane < lanes; lane += DOT_LANES)
        dot_lanes(weights + 4 * lane, lanes, view, flip, size, 1, sums + lane);
}

#else

/* Add the products of four inputs with the weights of every lane. */
NET_INLINE void add_products(const int8_t *weights, size_t lanes, uint32_t quad, int32_t *sums)
{
    const int a = quad & 255, b = quad >> 8 & 255, c = quad >> 16 & 255, d = quad >> 24;
    for (size_t lane = 0; lane < lanes; lane++, weights += 4)
        sums[lane] += a * weights[0] + b * weights[1] + c * weights[2] + d * weights[3];
}

NET_INLINE void dot_pixels(const int8_t *weights, size_t lanes, const uint64_t *fours,
                           size_t count, dot_size_t size, int32_t *sums)
{
    (void)size;
    for (size_t i = 0; i < NET_PIXELS * lanes; i++)
        sums[i] = 0;
    for (size_t i = 0; i < count; i++, weights += 4 * lanes)
        for (size_t p = 0; p < NET_PIXELS; p++)
            add_products(weights, lanes, (uint32_t)*fours++, sums + lanes * p);
}

NET_INLINE void dot_block(const int8_t *weights, size_t lanes, const byte_view_t *view,
                          uint32_t flip, dot_size_t size, int32_t *sums)
{
    (void)size;
    for (size_t lane = 0; lane < lanes; lane++)
        sums[lane] = 0;
    const uint8_t *row = view->bytes;
    for (size_t y = 0; y < view->rows; y++, row += view->apart)
        for (size_t at = 0; at < view->length; at += 4, weights += 4 * lanes)
            add_products(weights, lanes, row_quad(row, view->length, at) ^ flip, sums);
}

#endif

/* Kernels for weights of 8 bits; of -64 .. 64, where the sum of two products fits 16 bits; and of
 * magnitudes that sum to 128 at most, where all sums do. One makes sums of one window, one of
 * NET_PIXELS, whose inputs are `count` times four of each; and one takes these from a band, where
 * windows are `step` bytes apart. */
#define NET_BYTE_SUMS(name, size)                                                               \
    NET_SHARED void name##_sums(const int8_t *weights, size_t lanes, const byte_view_t *view,   \
                                uint32_t flip, int32_t *sums)                                   \
    {                                                                                           \
        dot_block(weights, lanes, view, flip, size, sums);                                      \
    }                                                                                           \
                                                                                                \
    NET_SHARED void name##_pixels(const int8_t *weights, size_t lanes, const uint64_t *fours,   \
                                  size_t count, int32_t *sums)                                  \
    {                                                                                           \
        dot_pixels(weights, lanes, fours, count, size, sums);                                   \
    }                                                                                           \
                                                                                                \
    NET_SHARED void name##_fours(const byte_view_t *view, size_t step, uint64_t *fours)         \
    {                                                                                           \
        const uint8_t *row = view->bytes;                                                       \
        for (size_t y = 0; y < view->rows; y++, row += view->apart)                             \
            for (size_t at = 0; at < view->length; at += 4)                                     \
                for (size_t p = 0; p < NET_PIXELS; p++)                                         \
                    *fours++ = spread_quad(load_quad(row + step * p + at), size);               \
    }

#if defined(DOT_FOURS) || !defined(DOT_LANES)
NET_BYTE_SUMS(byte, DOT_FOUR)
NET_BYTE_SUMS(narrow_byte, DOT_FOUR)
NET_BYTE_SUMS(short_byte, DOT_FOUR)
#else
NET_BYTE_SUMS(byte, DOT_WIDE)
NET_BYTE_SUMS(narrow_byte, DOT_NARROW)
NET_BYTE_SUMS(short_byte, DOT_SHORT)
#endif

#endif
