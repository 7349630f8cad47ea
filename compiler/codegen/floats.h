/* Layers of minifloats: floating point of few bits, kept as float (binary32 of IEEE 754).
 *
 * A sum begins with 0; product after product is added in the order of the window (row, column,
 * channel), then the bias. Every product and every sum is rounded to float. So all machines get the
 * same bits, as long as the compiler does not contract a product and a sum to one rounding:
 * -ffp-contract=off, as in the Makefile.
 */
#ifndef NET_FLOATS_H
#define NET_FLOATS_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>

#if FLT_EVAL_METHOD != 0
#error "float must be computed as float: -mfpmath=sse -msse2, or another processor"
#endif

typedef union {
    float value;
    uint32_t bits;
} float_bits_t;

/* Minifloats of `mantissa` bits: `low` is half a step below the least of them. */
typedef struct {
    unsigned mantissa;
    float low, least, most;
} float_form_t;

/* The nearest minifloat, half to even; the most for what is above, 0 for what is below. */
static inline float float_round(const float_form_t *form, float x)
{
    float_bits_t a = {x};
    const uint32_t sign = a.bits & 0x80000000u, step = (uint32_t)1 << (23 - form->mantissa);
    a.bits ^= sign;
    if (a.value < form->low)
        return 0;
    if (a.value < form->least)
        a.value = form->least;
    a.bits += step / 2 - 1 + (a.bits / step & 1);
    a.bits &= ~(step - 1);
    if (a.value > form->most)
        a.value = form->most;
    a.bits |= sign;
    return a.value;
}

static inline void float_round_all(const float_form_t *form, const float *input, size_t count,
                                   float *output)
{
    for (size_t i = 0; i < count; i++)
        output[i] = float_round(form, input[i]);
}

static inline void float_relu(const float *input, size_t count, float *output)
{
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] > 0 ? input[i] : 0;
}

static inline void float_add(const float *input, const float *other, size_t count, float *output)
{
    for (size_t i = 0; i < count; i++)
        output[i] = input[i] + other[i];
}

/* Put the channels of each pixel of `input` behind the first `at` of `all`. */
static inline void float_join(const float *input, size_t pixels, size_t channels, size_t all,
                              size_t at, float *output)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t channel = 0; channel < channels; channel++)
            output[i * all + at + channel] = input[i * channels + channel];
}

/* A window that slides over a picture; numbers that are below 0 wrap around, and are outside. */
typedef struct {
    size_t height, width, channels; /* of the input */
    size_t rows, columns, down, across, top, left;
    size_t out_height, out_width, outputs, groups;
} float_window_t;

/* Weights lie by group, row, column and channel; side by side for the outputs of the group. */
static inline void float_layer(const float_window_t *window, const float *input,
                               const float *weights, const float *bias, float *output)
{
    const size_t seen = window->channels / window->groups;
    const size_t each = window->outputs / window->groups;
    for (size_t y = 0; y < window->out_height; y++)
        for (size_t x = 0; x < window->out_width; x++) {
            const float *factors = weights;
            for (size_t group = 0; group < window->groups; group++, output += each, bias += each) {
                for (size_t i = 0; i < each; i++)
                    output[i] = 0;
                for (size_t row = 0; row < window->rows; row++)
                    for (size_t column = 0; column < window->columns; column++) {
                        const size_t py = y * window->down + row - window->top;
                        const size_t px = x * window->across + column - window->left;
                        if (py >= window->height || px >= window->width) {
                            factors += seen * each;
                            continue;
                        }
                        const float *values = input + (py * window->width + px) * window->channels
                                              + group * seen;
                        for (size_t channel = 0; channel < seen; channel++, factors += each)
                            for (size_t i = 0; i < each; i++)
                                output[i] += values[channel] * factors[i];
                    }
                for (size_t i = 0; i < each; i++)
                    output[i] += bias[i];
            }
            bias -= window->outputs;
        }
}

/* The highest of each window. */
static inline void float_pool(const float_window_t *window, const float *input, float *output)
{
    for (size_t y = 0; y < window->out_height; y++)
        for (size_t x = 0; x < window->out_width; x++, output += window->channels)
            for (size_t channel = 0; channel < window->channels; channel++) {
                output[channel] = -FLT_MAX;
                for (size_t row = 0; row < window->rows; row++)
                    for (size_t column = 0; column < window->columns; column++) {
                        const size_t py = y * window->down + row - window->top;
                        const size_t px = x * window->across + column - window->left;
                        if (py >= window->height || px >= window->width)
                            continue;
                        const float value
                            = input[(py * window->width + px) * window->channels + channel];
                        if (value > output[channel])
                            output[channel] = value;
                    }
            }
}

#endif
