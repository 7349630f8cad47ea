/* What a layer sees of its input at one place.
 *
 * A pixel of bits is one word of 8, 16, 32 or 64 bits that holds all channels, or several words
 * of 64. Pixels follow one another along x, then y; planes of numbers of several bits follow one
 * another as whole pictures. What kernels read is words of 64 bits in either case: where pixels
 * are such words, and the window lies within the picture, they read the picture itself.
 */
#ifndef NET_WINDOWS_H
#define NET_WINDOWS_H

#include "vectors.h"

typedef struct {
    uint32_t height, width; /* of the picture */
    uint32_t words;         /* of a pixel, or its bytes */
    uint32_t planes;
    uint32_t rows, columns; /* of the window */
    uint32_t down, across;  /* from one window to the next */
    uint32_t top, left;     /* zeros ahead of the picture */
    uint32_t channels;      /* that are seen of a pixel */
    uint32_t tap;           /* bits that they take in the window */
    uint32_t length;        /* words of the window; of bytes, the length of a row in a copy */
} window_t;

typedef struct {
    const uint64_t *words;   /* `rows` times `length` words that are `apart` */
    const uint64_t *outside; /* bits set for what lies outside the picture; 0 where nothing does */
    size_t rows, length, apart;
    size_t planes_apart;
    int32_t inputs;          /* that lie within the picture */
} view_t;

typedef struct {
    const uint8_t *bytes;       /* `rows` times `length` that are `apart` */
    size_t rows, length, apart; /* the length is at least 4 */
} byte_view_t;

NET_INLINE uint64_t low_bits(size_t count)
{
    return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
}

/* The whole input, one plane after the other. */
NET_INLINE view_t look_whole(const uint64_t *input, size_t words, int32_t inputs)
{
    const view_t view = {input, 0, 1, words, 0, words, inputs};
    return view;
}

/* Copy the window at (y, x), from channel `first` on, into `buffer` of (planes + 1) * length. */
#define NET_GATHER(name, type, bits)                                                            \
    NET_SHARED view_t name(const window_t *window, const type *input, size_t y, size_t x,       \
                           size_t first, uint64_t *buffer)                                      \
    {                                                                                           \
        const size_t words = window->words, length = window->length;                            \
        const size_t area = window->height * window->width * words;                             \
        uint64_t *outside = buffer + window->planes * length;                                   \
        view_t view = {buffer, 0, 1, length, 0, length, 0};                                     \
        size_t at = 0;                                                                          \
        for (size_t i = 0; i < (window->planes + 1) * length; i++)                              \
            buffer[i] = 0;                                                                      \
        for (size_t row = 0; row < window->rows; row++)                                         \
            for (size_t column = 0; column < window->columns; column++, at += window->tap) {    \
                const size_t py = y * window->down + row - window->top;                         \
                const size_t px = x * window->across + column - window->left;                   \
                const int inside = py < window->height && px < window->width;                   \
                const type *pixel = input + (inside ? (py * window->width + px) * words : 0);   \
                view.inputs += inside ? (int32_t)window->channels : 0;                          \
                view.outside = inside ? view.outside : outside;                                 \
                for (size_t seen = 0; seen < window->channels; seen += 64) {                    \
                    const uint64_t mask = low_bits(window->channels - seen);                    \
                    const size_t word = (first + seen) / bits, shift = (first + seen) % bits;   \
                    uint64_t *target = buffer + (at + seen) / 64;                               \
                    if (!inside)                                                                \
                        outside[(at + seen) / 64] |= mask << at % 64;                           \
                    for (size_t plane = 0; plane < window->planes && inside; plane++) {         \
                        const type *from = pixel + plane * area + word;                         \
                        const uint64_t next = word + 1 < words ? from[1] : 0;                   \
                        const uint64_t low = (uint64_t)*from >> shift;                          \
                        target[plane * length] |=                                               \
                            ((low | next << 1 << (63 - shift)) & mask) << at % 64;              \
                    }                                                                           \
                }                                                                               \
            }                                                                                   \
        return view;                                                                            \
    }

NET_GATHER(gather_u8, uint8_t, 8)
NET_GATHER(gather_u16, uint16_t, 16)
NET_GATHER(gather_u32, uint32_t, 32)
NET_GATHER(gather_u64, uint64_t, 64)

/* The lines of bytes that the windows at row `y` see, with the border, `length` bytes each, and
 * three behind the last. `flip` turns bits of every byte, and stands for what lies outside. */
NET_SHARED void fill_band(const window_t *window, const uint8_t *input, size_t y, uint8_t flip,
                          uint8_t *band)
{
    const size_t line = window->width * window->words, left = window->left * window->words;
    const size_t inside = line < window->length - left ? line : window->length - left;
    for (size_t row = 0; row < window->rows; row++, band += window->length) {
        const size_t py = y * window->down + row - window->top;
        const uint8_t *pixels = input + py * line;
        for (size_t i = 0; i < window->length; i++)
            band[i] = flip;
        for (size_t i = 0; i < inside && py < window->height; i++)
            band[left + i] = pixels[i] ^ flip;
    }
    for (size_t i = 0; i < 3; i++)
        band[i] = 0;
}

/* The same of bytes, from channel `first` on, into `buffer` of rows * length. */
NET_SHARED void gather_bytes(const window_t *window, const uint8_t *input, size_t y, size_t x,
                             size_t first, uint8_t *buffer)
{
    for (size_t row = 0; row < window->rows; row++, buffer += window->length) {
        const size_t py = y * window->down + row - window->top;
        uint8_t *target = buffer;
        for (size_t column = 0; column < window->columns; column++) {
            const size_t px = x * window->across + column - window->left;
            const int inside = py < window->height && px < window->width;
            const size_t at = inside ? (py * window->width + px) * window->words + first : 0;
            for (size_t channel = 0; channel < window->channels; channel++)
                *target++ = inside ? input[at + channel] : 0;
        }
        while (target < buffer + window->length)
            *target++ = 0;
    }
}

/* The window at (y, x), which lies within the picture. */
NET_INLINE view_t look_inside(const window_t *window, const uint64_t *input, size_t y, size_t x)
{
    const size_t py = y * window->down - window->top, px = x * window->across - window->left;
    const view_t view = {
        input + (py * window->width + px) * window->words, 0,
        window->rows, window->columns * window->words, window->width * window->words,
        window->height * window->width * window->words,
        (int32_t)(window->rows * window->columns * window->channels)};
    return view;
}

/* The window at (y, x); `buffer` is for those that leave the picture. */
NET_INLINE view_t look(const window_t *window, const uint64_t *input, size_t y, size_t x,
                       uint64_t *buffer)
{
    const size_t py = y * window->down - window->top, px = x * window->across - window->left;
    if (py >= window->height || window->rows > window->height - py
        || px >= window->width || window->columns > window->width - px)
        return gather_u64(window, input, y, x, 0, buffer);
    return look_inside(window, input, y, x);
}

/* The window at column `x` of a band, in whole fours. */
NET_INLINE byte_view_t look_band(const window_t *window, const uint8_t *band, size_t x)
{
    const byte_view_t view = {band + x * window->across * window->words, window->rows,
                              (window->columns * window->words + 3) / 4 * 4, window->length};
    return view;
}

/* The window at (y, x) of bytes: in the picture itself where it lies within it, else as a copy
 * with rows of `length` bytes. */
NET_INLINE byte_view_t look_bytes(const window_t *window, const uint8_t *input, size_t y, size_t x,
                                  size_t first, uint8_t *buffer)
{
    const size_t py = y * window->down - window->top, px = x * window->across - window->left;
    const size_t row = window->columns * window->channels;
    if (window->channels == window->words && row >= 4
        && py < window->height && window->rows <= window->height - py
        && px < window->width && window->columns <= window->width - px) {
        const byte_view_t view = {input + (py * window->width + px) * window->words,
                                  window->rows, row, window->width * window->words};
        return view;
    }
    gather_bytes(window, input, y, x, first, buffer);
    const byte_view_t view = {buffer, window->rows, window->length, window->length};
    return view;
}

#endif
