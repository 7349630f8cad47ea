/* Sums of products, on blocks of up to 64 channels.
 *
 * A layer takes a block of channels through three steps: sums of products, activation, and
 * storage. In between, the block is NET_BLOCK integers.
 *
 * Bits lie in words, the first in the lowest bit of the first word; a bit that is set stands for
 * +1, and one that is not for -1. Numbers of several bits are stored as planes, one for each of
 * their bits, lowest first. Weights of a block lie side by side: word 0 of every channel, then
 * word 1 of every channel, and so on; in each 16 channels, those of even numbers come first.
 * `lanes` is the number of channels in a block, rounded up to NET_LANES; `count` is the number
 * without rounding. Unused bits are 0.
 */
#ifndef NET_KERNELS_H
#define NET_KERNELS_H

#include "vectors.h"
#include "windows.h"

#define NET_BLOCK 64
#define NET_LANES 16

/* Channels of the block that begins at `first`, and the same with its padding. */
NET_INLINE size_t block_count(size_t first, size_t channels)
{
    return channels - first < NET_BLOCK ? channels - first : NET_BLOCK;
}

NET_INLINE size_t block_lanes(size_t count)
{
    return (count + NET_LANES - 1) / NET_LANES * NET_LANES;
}

/* Bits */

typedef enum {
    BITS_AND,  /* bits in input & weights */
    BITS_XOR,  /* bits in input ^ weights, wherever that lies within the picture */
    BITS_INNER /* the same, of a window that lies within it as a whole */
} bits_t;

/* How many words ahead of each other the vectors of pairs lie, and those of a pair. */
#define VEC_PAIR(pair) ((pair) / (8 / VEC_WORDS) * NET_LANES + (pair) % (8 / VEC_WORDS) * VEC_WORDS)
#define VEC_ODD (NET_LANES / 2)

/* Sums of `pairs` <= VEC_PAIRS pairs of vectors of lanes: `total` less twice what is counted, or
 * what is counted in input & weights. */
NET_INLINE void count_pairs(const uint64_t *weights, size_t lanes, const view_t *view,
                            const uint64_t *input, bits_t what, int32_t total, size_t pairs,
                            int32_t *sums)
{
    const uint64_t *outside = view->outside;
    vec_t totals[2 * VEC_PAIRS], partial[2 * VEC_PAIRS];
    size_t depth = 0;
    for (size_t v = 0; v < 2 * pairs; v++)
        totals[v] = partial[v] = vec_zero();
    for (size_t row = 0; row < view->rows; row++, input += view->apart)
        for (size_t word = 0; word < view->length; word++, weights += lanes) {
            const vec_t bits = vec_spread(input[word]);
            const vec_t mask = vec_spread(what == BITS_XOR ? ~outside[word] : 0);
            for (size_t v = 0; v < 2 * pairs; v++) {
                const vec_t other = vec_load(weights + VEC_PAIR(v / 2) + v % 2 * VEC_ODD);
                vec_t product = what == BITS_AND ? vec_and(bits, other) : vec_xor(bits, other);
                if (what == BITS_XOR)
                    product = vec_and(product, mask);
                partial[v] = vec_add(partial[v], vec_count(product));
            }
            if (VEC_DEPTH && ++depth == VEC_DEPTH) {
                depth = 0;
                for (size_t v = 0; v < 2 * pairs; v++) {
                    totals[v] = vec_add_wide(totals[v], vec_widen(partial[v]));
                    partial[v] = vec_zero();
                }
            }
        }
    for (size_t v = 0; v < 2 * pairs; v++)
        totals[v] = vec_add_wide(totals[v], vec_widen(partial[v]));
    for (size_t v = 0; v < pairs; v++) {
        const vec_t counts = vec_join(totals[2 * v], totals[2 * v + 1]);
        vec_store(sums + 2 * VEC_WORDS * v, what == BITS_AND ? counts : vec_scale(counts, total));
    }
}

NET_INLINE void count_block(const uint64_t *weights, size_t lanes, const view_t *view,
                            const uint64_t *input, bits_t what, int32_t total, int32_t *sums)
{
    const size_t pairs = lanes / 2 / VEC_WORDS;
    size_t pair = 0;
    for (; pair + VEC_PAIRS <= pairs; pair += VEC_PAIRS)
        count_pairs(weights + VEC_PAIR(pair), lanes, view, input, what, total, VEC_PAIRS,
                    sums + 2 * VEC_WORDS * pair);
    for (; VEC_PAIRS * 2 * VEC_WORDS > NET_LANES && pair < pairs; pair++)
        count_pairs(weights + VEC_PAIR(pair), lanes, view, input, what, total, 1,
                    sums + 2 * VEC_WORDS * pair);
}

/* Sums of products of -1 and +1: every bit that differs takes 2 from the number of inputs. */
NET_SHARED void binary_sums(const uint64_t *weights, size_t lanes, const view_t *view,
                            int32_t *sums)
{
    if (view->outside)
        count_block(weights, lanes, view, view->words, BITS_XOR, view->inputs, sums);
    else
        count_block(weights, lanes, view, view->words, BITS_INNER, view->inputs, sums);
}

/* Bits of 0 and 1 that weights and `input`, which lies as `view` does, have in common. */
NET_SHARED void common_bits(const uint64_t *weights, size_t lanes, const view_t *view,
                            const uint64_t *input, int32_t *counts)
{
    count_block(weights, lanes, view, input, BITS_AND, 0, counts);
}

/* Sums of products of numbers of several bits with bits of 0 and 1, highest plane first. One of
 * the two has planes, and the planes of the other are `0` words apart: it is the same in all. */
NET_SHARED void plane_sums(const uint64_t *weights, size_t weights_apart, size_t lanes,
                           const view_t *view, const uint64_t *input, size_t input_apart,
                           size_t planes, int is_signed, int32_t *sums)
{
    for (size_t plane = planes; plane-- > 0;) {
        int32_t counts[NET_BLOCK] = {0};
        common_bits(weights + plane * weights_apart, lanes, view, input + plane * input_apart,
                    counts);
        if (plane == planes - 1)
            for (size_t lane = 0; lane < lanes; lane++)
                sums[lane] = is_signed ? -counts[lane] : counts[lane];
        else
            for (size_t lane = 0; lane < lanes; lane++)
                sums[lane] = 2 * sums[lane] + counts[lane];
    }
}

/* Sum of the numbers of several bits in `view`. */
NET_SHARED int32_t plane_total(const view_t *view, size_t planes, int is_signed)
{
    int32_t total = 0;
    for (size_t plane = planes; plane-- > 0;) {
        const uint64_t *input = view->words + plane * view->planes_apart;
        int32_t count = 0;
        for (size_t row = 0; row < view->rows; row++, input += view->apart)
            for (size_t word = 0; word < view->length; word++)
                count += (int32_t)count_word(input[word]);
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

/* Inputs of several bits, weights of one. */
NET_SHARED void input_plane_sums(const uint64_t *weights, size_t lanes, const view_t *view,
                                 size_t planes, int is_signed, int32_t *sums)
{
    plane_sums(weights, 0, lanes, view, view->words, view->planes_apart, planes, is_signed, sums);
    double_sums(sums, lanes, plane_total(view, planes, is_signed));
}

/* Inputs of one bit, weights of several, whose planes are `apart`: the sums, plus the weights of
 * the whole window. */
NET_SHARED void weight_plane_sums(const uint64_t *weights, size_t apart, size_t lanes,
                                  const view_t *view, size_t planes, int32_t *sums)
{
    plane_sums(weights, apart, lanes, view, view->words, 0, planes, 1, sums);
    double_sums(sums, lanes, 0);
    if (view->outside) {
        int32_t missing[NET_BLOCK] = {0};
        plane_sums(weights, apart, lanes, view, view->outside, 0, planes, 1, missing);
        for (size_t lane = 0; lane < lanes; lane++)
            sums[lane] += missing[lane];
    }
}

#endif
