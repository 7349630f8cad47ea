/* Layers of minifloats: floating point of few bits, kept as float (binary32 of IEEE 754).
 *
 * A sum begins with 0; product after product is added in the order of the window (row, column,
 * channel), then the bias. Every product and every sum is rounded to float. So all machines get
 * the same bits, as long as the compiler does not contract a product and a sum to one rounding:
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

/* What a tap of the window at a place sees, or 0 where it lies outside the picture. */
static inline const float *float_pixel(const float_window_t *window, const float *input,
                                       size_t place, size_t tap)
{
    const size_t y = place / window->out_width * window->down + tap / window->columns
                     - window->top;
    const size_t x = place % window->out_width * window->across + tap % window->columns
                     - window->left;
    if (y >= window->height || x >= window->width)
        return 0;
    return input + (y * window->width + x) * window->channels;
}

/* How weights are stored: `mantissa` bits, an exponent above them, 0 for a weight of 0, and a sign
 * at bit `sign`. `offset` is added to what then stands where float has its exponent. */
typedef struct {
    unsigned mantissa, sign;
    uint32_t offset;
} float_code_t;

static inline float float_decode(const float_code_t *form, uint32_t code)
{
    const uint32_t size = code & (((uint32_t)1 << form->sign) - 1);
    float_bits_t a;
    a.bits = (size ? (size << (23 - form->mantissa)) + form->offset : 0)
             | code >> form->sign << 31;
    return a.value;
}

/* Weights lie by group, row, column and channel; side by side for the outputs of the group. */
#define FLOAT_LAYER(name, type)                                                             \
    static inline void name(const float_window_t *window, const float_code_t *code,         \
                            const float *input, const type *weights, const float *bias,     \
                            float *output)                                                  \
    {                                                                                       \
        const size_t seen = window->channels / window->groups;                              \
        const size_t each = window->outputs / window->groups;                               \
        const size_t places = window->out_height * window->out_width;                       \
        for (size_t place = 0; place < places; place++) {                                   \
            const type *factors = weights;                                                  \
            for (size_t group = 0; group < window->groups; group++, output += each) {       \
                for (size_t i = 0; i < each; i++)                                           \
                    output[i] = 0;                                                          \
                for (size_t tap = 0; tap < window->rows * window->columns; tap++) {         \
                    const float *values = float_pixel(window, input, place, tap);           \
                    if (!values) {                                                          \
                        factors += seen * each;                                             \
                        continue;                                                           \
                    }                                                                       \
                    values += group * seen;                                                 \
                    for (size_t channel = 0; channel < seen; channel++, factors += each)    \
                        for (size_t i = 0; i < each; i++)                                   \
                            output[i] += values[channel] * float_decode(code, factors[i]);  \
                }                                                                           \
                for (size_t i = 0; i < each; i++)                                           \
                    output[i] += bias[group * each + i];                                    \
            }                                                                               \
        }                                                                                   \
    }

FLOAT_LAYER(float_layer_8, uint8_t)
FLOAT_LAYER(float_layer_16, uint16_t)

/* The highest of each window. */
static inline void float_pool(const float_window_t *window, const float *input, float *output)
{
    const size_t places = window->out_height * window->out_width;
    for (size_t place = 0; place < places; place++, output += window->channels) {
        for (size_t i = 0; i < window->channels; i++)
            output[i] = -FLT_MAX;
        for (size_t tap = 0; tap < window->rows * window->columns; tap++) {
            const float *values = float_pixel(window, input, place, tap);
            for (size_t i = 0; values && i < window->channels; i++)
                output[i] = values[i] > output[i] ? values[i] : output[i];
        }
    }
}

#endif
