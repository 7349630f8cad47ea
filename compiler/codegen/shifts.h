/* Sums of products of bytes with powers of two, on blocks of up to 64 channels: no multiplier.
 *
 * A weight is a code: the exponent of two in bits 0 to 2, and bit 3 set where it is negative. The
 * codes of a block lie side by side: input 0 of every channel, then input 1 of every channel, and
 * so on; in each row of a window, inputs are filled up to fours.
 */
#ifndef NET_SHIFTS_H
#define NET_SHIFTS_H

#include "kernels.h"

/* `flip` is 128 for inputs that have a sign, else 0. */
NET_SHARED void shift_sums(const int8_t *codes, size_t lanes, const byte_view_t *view,
                           uint32_t flip, int32_t *sums)
{
    uint32_t totals[NET_BLOCK] = {0};
    const uint8_t *row = view->bytes;
    for (size_t y = 0; y < view->rows; y++, row += view->apart) {
        size_t at = 0;
        for (; at < view->length; at++, codes += lanes) {
            const uint32_t input = (row[at] ^ flip) - flip;
            for (size_t lane = 0; lane < lanes; lane++) {
                const uint32_t code = (uint32_t)codes[lane], negative = 0u - (code >> 3);
                totals[lane] += ((input << (code & 7)) ^ negative) - negative;
            }
        }
        for (; at % 4; at++)
            codes += lanes;
    }
    for (size_t lane = 0; lane < lanes; lane++)
        sums[lane] = (int32_t)totals[lane];
}

#endif
