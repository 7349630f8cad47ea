/* Sums of bits for several pixels at once, which share each load of the weights.
 *
 * Without an instruction that counts bits, a table does: of four bits of weights, for each four
 * bits of input, how many differ. Weights of a block lie byte by byte: byte 0 of every channel,
 * then byte 1 of every channel, and so on.
 */
#ifndef NET_PIXELS_H
#define NET_PIXELS_H

#include "kernels.h"

#define NET_PIXELS 4

#if NET_KERNEL == NET_KERNEL_AVX2

#define NET_BYTEWISE 1

#define TABLE_SKIP (16 * 16)  /* offset of the row for what lies outside of the picture */
#define TABLE_WORDS 3         /* words whose counts fit a byte: 3 * 64 */
#define TABLE_LANES 32

/* popcount(a ^ b), for four bits each, and a row of 0. */
static const uint8_t table_rows[17 * 16] NET_ALIGNED = {
    0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 1, 0, 2, 1, 2, 1, 3, 2, 2, 1, 3, 2, 3, 2, 4, 3,
    1, 2, 0, 1, 2, 3, 1, 2, 2, 3, 1, 2, 3, 4, 2, 3, 2, 1, 1, 0, 3, 2, 2, 1, 3, 2, 2, 1, 4, 3, 3, 2,
    1, 2, 2, 3, 0, 1, 1, 2, 2, 3, 3, 4, 1, 2, 2, 3, 2, 1, 3, 2, 1, 0, 2, 1, 3, 2, 4, 3, 2, 1, 3, 2,
    2, 3, 1, 2, 1, 2, 0, 1, 3, 4, 2, 3, 2, 3, 1, 2, 3, 2, 2, 1, 2, 1, 1, 0, 4, 3, 3, 2, 3, 2, 2, 1,
    1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 2, 1, 3, 2, 3, 2, 4, 3, 1, 0, 2, 1, 2, 1, 3, 2,
    2, 3, 1, 2, 3, 4, 2, 3, 1, 2, 0, 1, 2, 3, 1, 2, 3, 2, 2, 1, 4, 3, 3, 2, 2, 1, 1, 0, 3, 2, 2, 1,
    2, 3, 3, 4, 1, 2, 2, 3, 1, 2, 2, 3, 0, 1, 1, 2, 3, 2, 4, 3, 2, 1, 3, 2, 2, 1, 3, 2, 1, 0, 2, 1,
    3, 4, 2, 3, 2, 3, 1, 2, 2, 3, 1, 2, 1, 2, 0, 1, 4, 3, 3, 2, 3, 2, 2, 1, 3, 2, 2, 1, 2, 1, 1, 0};

/* Where each view goes on. */
typedef struct {
    const uint64_t *words, *outside;
    size_t left; /* words of the row */
} cursor_t;

/* Offsets of the rows of the next word's 16 parts. */
NET_INLINE void table_offsets(cursor_t *cursor, const view_t *view, uint16_t *offsets)
{
    const __m128i parts = _mm_set1_epi16(0xf0);
    if (cursor->left == 0) {
        cursor->left = view->length;
        cursor->words += view->apart - view->length;
    }
    const __m128i word = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((long long)*cursor->words++));
    __m128i low = _mm_and_si128(_mm_slli_epi16(word, 4), parts);
    __m128i high = _mm_and_si128(word, parts);
    if (cursor->outside) {
        const __m128i none = _mm_cmpeq_epi16(
            _mm_cvtepu8_epi16(_mm_cvtsi64_si128((long long)*cursor->outside++)),
            _mm_setzero_si128());
        const __m128i skip = _mm_andnot_si128(none, _mm_set1_epi16(TABLE_SKIP));
        low = _mm_or_si128(_mm_and_si128(low, none), skip);
        high = _mm_or_si128(_mm_and_si128(high, none), skip);
    }
    _mm_storeu_si128((__m128i *)(void *)offsets, _mm_unpacklo_epi16(low, high));
    _mm_storeu_si128((__m128i *)(void *)(offsets + 8), _mm_unpackhi_epi16(low, high));
    cursor->left--;
}

NET_INLINE vec_t table_row(uint16_t offset)
{
    return _mm256_broadcastsi128_si256(
        _mm_load_si128((const __m128i *)(const void *)(table_rows + offset)));
}

/* Weights of 32 channels, or twice those of 16. */
NET_INLINE vec_t table_weights(const uint8_t *weights, size_t lanes)
{
    if (lanes < TABLE_LANES)
        return _mm256_broadcastsi128_si256(
            _mm_load_si128((const __m128i *)(const void *)weights));
    return _mm256_loadu_si256((const __m256i *)(const void *)weights);
}

/* Add what differs in `bytes` bytes of 32 * `vectors` channels to `totals`. */
NET_INLINE void count_bytes(const uint8_t *weights, size_t lanes, size_t left, size_t vectors,
                            uint16_t offsets[NET_PIXELS][16 * TABLE_WORDS], size_t bytes,
                            vec_t totals[NET_PIXELS][4])
{
    const vec_t nibble = _mm256_set1_epi8(15);
    vec_t counts[NET_PIXELS][2];
    for (size_t p = 0; p < NET_PIXELS; p++)
        for (size_t v = 0; v < vectors; v++)
            counts[p][v] = vec_zero();
    for (size_t b = 0; b < bytes; b++, weights += lanes) {
        vec_t low[2], high[2];
        for (size_t v = 0; v < vectors; v++) {
            const vec_t both = table_weights(weights + TABLE_LANES * v, left);
            low[v] = _mm256_and_si256(both, nibble);
            high[v] = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
        }
        for (size_t p = 0; p < NET_PIXELS; p++) {
            const vec_t first = table_row(offsets[p][2 * b]);
            const vec_t second = table_row(offsets[p][2 * b + 1]);
            for (size_t v = 0; v < vectors; v++) {
                counts[p][v] = _mm256_add_epi8(counts[p][v], _mm256_shuffle_epi8(first, low[v]));
                counts[p][v] = _mm256_add_epi8(counts[p][v], _mm256_shuffle_epi8(second, high[v]));
            }
        }
    }
    for (size_t p = 0; p < NET_PIXELS; p++)
        for (size_t v = 0; v < vectors; v++) {
            totals[p][2 * v] = _mm256_add_epi16(totals[p][2 * v], _mm256_cvtepu8_epi16(
                _mm256_castsi256_si128(counts[p][v])));
            totals[p][2 * v + 1] = _mm256_add_epi16(totals[p][2 * v + 1], _mm256_cvtepu8_epi16(
                _mm256_extracti128_si256(counts[p][v], 1)));
        }
}

NET_INLINE void count_pixels(const uint8_t *weights, size_t lanes, const view_t *views,
                             size_t left, size_t vectors, int32_t *sums)
{
    vec_t totals[NET_PIXELS][4];
    cursor_t cursors[NET_PIXELS];
    for (size_t p = 0; p < NET_PIXELS; p++) {
        const cursor_t cursor = {views[p].words, views[p].outside, views[p].length};
        cursors[p] = cursor;
        for (size_t v = 0; v < 2 * vectors; v++)
            totals[p][v] = vec_zero();
    }
    for (size_t words = views->rows * views->length; words;) {
        uint16_t offsets[NET_PIXELS][16 * TABLE_WORDS];
        const size_t some = words < TABLE_WORDS ? words : TABLE_WORDS;
        for (size_t p = 0; p < NET_PIXELS; p++)
            for (size_t word = 0; word < some; word++)
                table_offsets(&cursors[p], &views[p], offsets[p] + 16 * word);
        count_bytes(weights, lanes, left, vectors, offsets, 8 * some, totals);
        weights += 8 * some * lanes;
        words -= some;
    }
    for (size_t p = 0; p < NET_PIXELS; p++)
        for (size_t v = 0; v < 2 * vectors && 16 * v < left; v++) {
            int32_t *target = sums + lanes * p + 16 * v;
            vec_store(target, vec_scale(_mm256_cvtepu16_epi32(
                _mm256_castsi256_si128(totals[p][v])), views[p].inputs));
            vec_store(target + 8, vec_scale(_mm256_cvtepu16_epi32(
                _mm256_extracti128_si256(totals[p][v], 1)), views[p].inputs));
        }
}

/* Sums of products of -1 and +1 for NET_PIXELS views of one size, one pixel after the other. */
NET_SHARED void binary_pixels(const uint64_t *weights, size_t lanes, const view_t *views,
                              int32_t *sums)
{
    const uint8_t *bytes = (const uint8_t *)weights;
    size_t lane = 0;
    for (; lane + 2 * TABLE_LANES <= lanes; lane += 2 * TABLE_LANES)
        count_pixels(bytes + lane, lanes, views, 2 * TABLE_LANES, 2, sums + lane);
    for (; lane < lanes; lane += TABLE_LANES)
        count_pixels(bytes + lane, lanes, views, lanes - lane, 1, sums + lane);
}

#else

#define NET_BYTEWISE 0

/* The weights of a block are in the nearest memory when the next pixel reads them. */
NET_SHARED void binary_pixels(const uint64_t *weights, size_t lanes, const view_t *views,
                              int32_t *sums)
{
    for (size_t i = 0; i < NET_PIXELS; i++)
        binary_sums(weights, lanes, views + i, sums + lanes * i);
}

#endif

/* Pixels of a tile, where `left` more are to be made. */
NET_INLINE size_t tile_pixels(size_t left)
{
    return left < NET_PIXELS ? left : NET_PIXELS;
}

/* Where a tile begins that would begin at `next`, but must end within `width`. */
NET_INLINE size_t tile_begin(size_t next, size_t width)
{
    return next + NET_PIXELS <= width ? next : width - NET_PIXELS;
}

#endif
