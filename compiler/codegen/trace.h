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

/* Numbers of several bits. */
static inline void trace_planes(int layer, const uint64_t *tensor, size_t count, size_t planes,
                                int is_signed)
{
    const size_t words = (count + 63) / 64;
    for (size_t i = 0; i < count; i++) {
        int32_t value = 0;
        for (size_t plane = planes; plane-- > 0;) {
            const int32_t bit = tensor[plane * words + i / 64] >> i % 64 & 1;
            value = plane == planes - 1 && is_signed ? -bit : 2 * value + bit;
        }
        trace_values[i] = value;
    }
    net_trace(layer, trace_values, count);
}

/* Bits that stand for -1 and +1, packed or in bytes. */
static inline void trace_bits(int layer, const uint64_t *tensor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        trace_values[i] = tensor[i / 64] >> i % 64 & 1 ? 1 : -1;
    net_trace(layer, trace_values, count);
}

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
#define trace_planes(layer, tensor, count, planes, is_signed)
#define trace_bits(layer, tensor, count)
#define trace_flags(layer, tensor, count)

#endif

#endif
