/* The highest value of each channel in windows of a picture, in one picture after the other. */
#ifndef NET_POOLS_H
#define NET_POOLS_H

#include "windows.h"

#define NET_MAX_PLANES 8

/* The first row or column of a window within the picture, and the end of it. */
NET_INLINE size_t pool_first(size_t place, size_t stride, size_t border)
{
    return place * stride > border ? place * stride - border : 0;
}

NET_INLINE size_t pool_end(size_t place, size_t stride, size_t border, size_t size, size_t limit)
{
    const size_t end = place * stride + size - border;
    return end < limit ? end : limit;
}

/* Turn `highest` into the higher of itself and `other`, each bit on its own. Numbers with a sign
 * come with their highest plane inverted, so that they compare as those without do. */
NET_INLINE void raise_planes(uint64_t *highest, const uint64_t *other, size_t planes)
{
    uint64_t higher = 0, equal = ~(uint64_t)0;
    for (size_t plane = planes; plane-- > 0;) {
        higher |= equal & other[plane] & ~highest[plane];
        equal &= ~(other[plane] ^ highest[plane]);
    }
    for (size_t plane = 0; plane < planes; plane++)
        highest[plane] = (highest[plane] & ~higher) | (other[plane] & higher);
}

/* `height` x `width` windows of bits, or of numbers of several bits. */
#define NET_POOL_PLANES(name, type)                                                             \
    NET_SHARED void name(const window_t *window, const type *input, size_t height,              \
                         size_t width, int is_signed, type *output)                             \
    {                                                                                           \
        const size_t words = window->words, planes = window->planes;                            \
        const size_t area = window->height * window->width * words;                             \
        const uint64_t flip = is_signed ? ~(uint64_t)0 : 0;                                     \
        for (size_t y = 0; y < height; y++)                                                     \
            for (size_t at = 0; at < width * words; at++) {                                     \
                const size_t x = at / words, word = at % words;                                 \
                const size_t top = pool_first(y, window->down, window->top);                    \
                const size_t left = pool_first(x, window->across, window->left);                \
                const size_t bottom = pool_end(y, window->down, window->top, window->rows,      \
                                               window->height);                                 \
                const size_t right = pool_end(x, window->across, window->left,                  \
                                              window->columns, window->width);                  \
                uint64_t highest[NET_MAX_PLANES] = {0}, other[NET_MAX_PLANES] = {0};            \
                for (size_t py = top; py < bottom; py++)                                        \
                    for (size_t px = left; px < right; px++) {                                  \
                        const type *pixel = input + (py * window->width + px) * words + word;   \
                        for (size_t plane = 0; plane < planes; plane++)                         \
                            other[plane] = pixel[plane * area]                                  \
                                           ^ (plane == planes - 1 ? flip : 0);                  \
                        raise_planes(highest, other, planes);                                   \
                    }                                                                           \
                for (size_t plane = 0; plane < planes; plane++)                                 \
                    output[(plane * height + y) * width * words + at] = (type)(                 \
                        highest[plane] ^ (plane == planes - 1 ? flip : 0));                     \
            }                                                                                   \
    }

NET_POOL_PLANES(pool_planes_u8, uint8_t)
NET_POOL_PLANES(pool_planes_u16, uint16_t)
NET_POOL_PLANES(pool_planes_u32, uint32_t)
NET_POOL_PLANES(pool_planes_u64, uint64_t)

/* The windows along an axis that see `place`, which is counted from the border on: the first, and
 * the end of them. */
NET_INLINE size_t seen_first(size_t place, size_t size, size_t stride)
{
    return place < size ? 0 : (place - size) / stride + 1;
}

NET_INLINE size_t seen_end(size_t place, size_t stride, size_t count)
{
    return place / stride < count ? place / stride + 1 : count;
}

/* Set `bits`, which belong in word `at` of the picture, in each of the `height` x `width` windows
 * that see it. */
#define NET_RAISE_WINDOWS(name, type)                                                           \
    NET_INLINE void name(const window_t *window, size_t at, uint64_t bits, size_t height,       \
                         size_t width, type *output)                                            \
    {                                                                                           \
        const size_t words = window->words, pixel = at / words, word = at % words;              \
        const size_t y = pixel / window->width + window->top;                                   \
        const size_t x = pixel % window->width + window->left;                                  \
        const size_t bottom = seen_end(y, window->down, height);                                \
        const size_t right = seen_end(x, window->across, width);                                \
        for (size_t py = seen_first(y, window->rows, window->down); py < bottom; py++)          \
            for (size_t px = seen_first(x, window->columns, window->across); px < right; px++)  \
                output[(py * width + px) * words + word] |= (type)bits;                         \
    }

NET_RAISE_WINDOWS(raise_windows_u8, uint8_t)
NET_RAISE_WINDOWS(raise_windows_u16, uint16_t)
NET_RAISE_WINDOWS(raise_windows_u32, uint32_t)
NET_RAISE_WINDOWS(raise_windows_u64, uint64_t)

/* The same of values that lie by themselves. */
#define NET_POOL_VALUES(name, type)                                                             \
    NET_SHARED void name(const window_t *window, const type *input, size_t height,              \
                         size_t width, type *output)                                            \
    {                                                                                           \
        const size_t words = window->words;                                                     \
        for (size_t y = 0; y < height; y++)                                                     \
            for (size_t x = 0; x < width; x++, output += words) {                               \
                const size_t top = pool_first(y, window->down, window->top);                    \
                const size_t left = pool_first(x, window->across, window->left);                \
                const size_t bottom = pool_end(y, window->down, window->top, window->rows,      \
                                               window->height);                                 \
                const size_t right = pool_end(x, window->across, window->left,                  \
                                              window->columns, window->width);                  \
                for (size_t py = top; py < bottom; py++)                                        \
                    for (size_t px = left; px < right; px++) {                                  \
                        const type *pixel = input + (py * window->width + px) * words;          \
                        const int is_first = py == top && px == left;                           \
                        for (size_t i = 0; i < words; i++)                                      \
                            if (is_first || pixel[i] > output[i])                               \
                                output[i] = pixel[i];                                           \
                    }                                                                           \
            }                                                                                   \
    }

NET_POOL_VALUES(pool_values_u8, uint8_t)
NET_POOL_VALUES(pool_values_i8, int8_t)
NET_POOL_VALUES(pool_values_i32, int32_t)

#endif
