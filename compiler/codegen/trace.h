/* Shows every layer's tensor to net_trace(), where NET_TRACE is defined; else nothing. */
#ifndef NET_TRACE_H
#define NET_TRACE_H

#ifdef NET_TRACE

static int32_t trace_values[NET_TRACE_LENGTH];

#define NET_TRACE_ELEMENTS(name, type)                                                          \
    static inline void name(int layer, const type *tensor, size_t count)                        \
    {                                                                                           \
        for (size_t i = 0; i < count; i++)                                                      \
            trace_values[i] = (int32_t)tensor[i];                                               \
        net_trace(layer, trace_values, count);                                                  \
    }

NET_TRACE_ELEMENTS(trace_i8, int8_t)
NET_TRACE_ELEMENTS(trace_u8, uint8_t)
NET_TRACE_ELEMENTS(trace_i32, int32_t)

/* Bits that stand for -1 and +1, and numbers of several bits, in words of `bits` bits. */
#define NET_TRACE_PLANES(name, type, bits)                                                      \
    static inline void trace_bits_##name(int layer, const type *tensor, size_t pixels,          \
                                         size_t channels)                                       \
    {                                                                                           \
        const size_t words = (channels + bits - 1) / bits;                                      \
        for (size_t i = 0; i < pixels * channels; i++) {                                        \
            const size_t channel = i % channels;                                                \
            const type word = tensor[i / channels * words + channel / bits];                    \
            trace_values[i] = word >> channel % bits & 1 ? 1 : -1;                              \
        }                                                                                       \
        net_trace(layer, trace_values, pixels * channels);                                      \
    }                                                                                           \
                                                                                                \
    static inline void trace_planes_##name(int layer, const type *tensor, size_t pixels,        \
                                           size_t channels, size_t planes, int is_signed)       \
    {                                                                                           \
        const size_t words = (channels + bits - 1) / bits;                                      \
        for (size_t i = 0; i < pixels * channels; i++) {                                        \
            const size_t channel = i % channels;                                                \
            int32_t value = 0;                                                                  \
            for (size_t plane = planes; plane-- > 0;) {                                         \
                const type word = tensor[(plane * pixels + i / channels) * words                \
                                         + channel / bits];                                     \
                const int32_t bit = word >> channel % bits & 1;                                 \
                value = plane == planes - 1 && is_signed ? -bit : 2 * value + bit;              \
            }                                                                                   \
            trace_values[i] = value;                                                            \
        }                                                                                       \
        net_trace(layer, trace_values, pixels * channels);                                      \
    }

NET_TRACE_PLANES(u8, uint8_t, 8)
NET_TRACE_PLANES(u16, uint16_t, 16)
NET_TRACE_PLANES(u32, uint32_t, 32)
NET_TRACE_PLANES(u64, uint64_t, 64)

/* Bits that stand for -1 and +1, in bytes. */
static inline void trace_flags(int layer, const uint8_t *tensor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        trace_values[i] = tensor[i] ? 1 : -1;
    net_trace(layer, trace_values, count);
}

#else

#define trace_i8(layer, tensor, count)
#define trace_u8(layer, tensor, count)
#define trace_i32(layer, tensor, count)
#define trace_bits_u8(layer, tensor, pixels, channels)
#define trace_planes_u8(layer, tensor, pixels, channels, planes, is_signed)
#define trace_bits_u16(layer, tensor, pixels, channels)
#define trace_planes_u16(layer, tensor, pixels, channels, planes, is_signed)
#define trace_bits_u32(layer, tensor, pixels, channels)
#define trace_planes_u32(layer, tensor, pixels, channels, planes, is_signed)
#define trace_bits_u64(layer, tensor, pixels, channels)
#define trace_planes_u64(layer, tensor, pixels, channels, planes, is_signed)
#define trace_flags(layer, tensor, count)

#endif

#endif
