/* The NEON intrinsics that vectors.h uses, lane by lane, so that other processors can test it. */
#ifndef ARM_NEON_EMULATED
#define ARM_NEON_EMULATED

#include <stdint.h>
#include <string.h>

typedef struct { uint8_t lane[16]; } uint8x16_t;
typedef struct { uint16_t lane[8]; } uint16x8_t;
typedef struct { uint32_t lane[4]; } uint32x4_t;
typedef struct { uint64_t lane[2]; } uint64x2_t;
typedef struct { int32_t lane[4]; } int32x4_t;

#define EMULATED static inline __attribute__((unused))

/* result[i] = value, an expression of i, for each lane */
#define EACH(name, type, arguments, value)                                                      \
    EMULATED type name arguments                                                                \
    {                                                                                           \
        type result;                                                                            \
        for (unsigned i = 0; i < sizeof result.lane / sizeof *result.lane; i++)                 \
            result.lane[i] = value;                                                             \
        return result;                                                                          \
    }

#define SAME_BITS(name, to, from)                                                               \
    EMULATED to name(from a)                                                                    \
    {                                                                                           \
        to result;                                                                              \
        memcpy(&result, &a, sizeof result);                                                     \
        return result;                                                                          \
    }

EACH(vdupq_n_u8, uint8x16_t, (uint8_t a), a)
EACH(vdupq_n_u64, uint64x2_t, (uint64_t a), a)
EACH(vld1q_u64, uint64x2_t, (const uint64_t *a), a[i])
EACH(veorq_u8, uint8x16_t, (uint8x16_t a, uint8x16_t b), a.lane[i] ^ b.lane[i])
EACH(vandq_u8, uint8x16_t, (uint8x16_t a, uint8x16_t b), a.lane[i] & b.lane[i])
EACH(vaddq_u8, uint8x16_t, (uint8x16_t a, uint8x16_t b), (uint8_t)(a.lane[i] + b.lane[i]))
EACH(vaddq_u64, uint64x2_t, (uint64x2_t a, uint64x2_t b), a.lane[i] + b.lane[i])
EACH(vcntq_u8, uint8x16_t, (uint8x16_t a), (uint8_t)__builtin_popcount(a.lane[i]))
EACH(vpaddlq_u8, uint16x8_t, (uint8x16_t a), (uint16_t)(a.lane[2 * i] + a.lane[2 * i + 1]))
EACH(vpaddlq_u16, uint32x4_t, (uint16x8_t a), (uint32_t)a.lane[2 * i] + a.lane[2 * i + 1])
EACH(vpaddlq_u32, uint64x2_t, (uint32x4_t a), (uint64_t)a.lane[2 * i] + a.lane[2 * i + 1])
EACH(vorrq_u8, uint8x16_t, (uint8x16_t a, uint8x16_t b), a.lane[i] | b.lane[i])
EACH(vshlq_n_u64, uint64x2_t, (uint64x2_t a, int places), a.lane[i] << places)
EACH(vdupq_n_s32, int32x4_t, (int32_t a), a)
EACH(vld1q_s32, int32x4_t, (const int32_t *a), a[i])
EACH(vaddq_s32, int32x4_t, (int32x4_t a, int32x4_t b),
     (int32_t)((uint32_t)a.lane[i] + (uint32_t)b.lane[i]))
EACH(vsubq_s32, int32x4_t, (int32x4_t a, int32x4_t b),
     (int32_t)((uint32_t)a.lane[i] - (uint32_t)b.lane[i]))
EACH(vcgeq_s32, uint32x4_t, (int32x4_t a, int32x4_t b), a.lane[i] >= b.lane[i] ? UINT32_MAX : 0)
EACH(vshlq_u32, uint32x4_t, (uint32x4_t a, int32x4_t places),
     places.lane[i] < 0 ? a.lane[i] >> -places.lane[i] : a.lane[i] << places.lane[i])

SAME_BITS(vreinterpretq_u8_u64, uint8x16_t, uint64x2_t)
SAME_BITS(vreinterpretq_u64_u8, uint64x2_t, uint8x16_t)
SAME_BITS(vreinterpretq_s32_u8, int32x4_t, uint8x16_t)
SAME_BITS(vreinterpretq_u8_s32, uint8x16_t, int32x4_t)
SAME_BITS(vreinterpretq_u32_u8, uint32x4_t, uint8x16_t)

EMULATED void vst1q_s32(int32_t *to, int32x4_t a) { memcpy(to, &a, sizeof a); }
EMULATED uint32_t vgetq_lane_u32(uint32x4_t a, int lane) { return a.lane[lane]; }

#endif
