/* Vectors of 64-bit words, and how each instruction set counts the bits in them.
 *
 * The kernels are written once, over the dozen functions below. The compiler's predefined macros
 * choose the instruction set; define NET_KERNEL as one of the names below to force another.
 */
#ifndef NET_VECTORS_H
#define NET_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#define NET_KERNEL_PLAIN         1 /* C99 and nothing else */
#define NET_KERNEL_PORTABLE      2 /* the compiler's own count of a 64-bit word */
#define NET_KERNEL_AVX2          3
#define NET_KERNEL_AVX512        4
#define NET_KERNEL_AVX512_POPCNT 5 /* VPOPCNTDQ */
#define NET_KERNEL_NEON          6

#ifndef NET_KERNEL
#if defined(__AVX512VPOPCNTDQ__) && defined(__AVX512BW__)
#define NET_KERNEL NET_KERNEL_AVX512_POPCNT
#elif defined(__AVX512BW__)
#define NET_KERNEL NET_KERNEL_AVX512
#elif defined(__AVX2__)
#define NET_KERNEL NET_KERNEL_AVX2
#elif defined(__ARM_NEON) && !defined(__ARM_BIG_ENDIAN)
#define NET_KERNEL NET_KERNEL_NEON
#elif defined(__GNUC__)
#define NET_KERNEL NET_KERNEL_PORTABLE
#else
#define NET_KERNEL NET_KERNEL_PLAIN
#endif
#endif

#ifdef __GNUC__
#define NET_INLINE static inline __attribute__((always_inline, unused))
#define NET_SHARED static __attribute__((unused))
#else
#define NET_INLINE static inline
#define NET_SHARED static inline
#endif

#if defined(__GNUC__) && NET_KERNEL != NET_KERNEL_PLAIN && NET_KERNEL != NET_KERNEL_PORTABLE
#define NET_ALIGNED __attribute__((aligned(64)))
#else
#define NET_ALIGNED
#endif

/* Where net_run() keeps tensors: on the stack; or, with NET_STATIC, in memory of its own, which
 * the linker accounts for, and which one call at a time may use. */
#ifdef NET_STATIC
#define NET_TENSORS static
#else
#define NET_TENSORS
#endif

/* Bits that are set in a word. */
NET_INLINE uint64_t count_word(uint64_t word)
{
#if defined(__GNUC__) && NET_KERNEL != NET_KERNEL_PLAIN
    return (uint64_t)__builtin_popcountll(word);
#else
    word -= word >> 1 & 0x5555555555555555;
    word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return word * 0x0101010101010101 >> 56;
#endif
}

/* Each instruction set defines:
 *
 *   VEC_WORDS    64-bit words in a vector (a divisor of 8)
 *   VEC_PAIRS    pairs of vectors that share each load of the input
 *   VEC_DEPTH    vectors whose partial counts may be added before they must be widened; 0: any
 *   vec_load, vec_spread, vec_xor, vec_and
 *   vec_count    partial counts: of the bytes of a vector, or of its words
 *   vec_add      sum of partial counts
 *   vec_widen    counts of the words, from partial counts
 *   vec_add_wide sum of counts of words
 *   vec_join     counts of words of two vectors, in turns, as the int32_t of one
 *   vec_scale    total - 2 * count, of each int32_t
 *   vec_store    the int32_t
 *   vec_reach    bits of one int32_t after the other: whether it is at least a level
 *   vec_plane    bits of one int32_t after the other: its bit `plane`
 */

#if NET_KERNEL == NET_KERNEL_AVX512_POPCNT || NET_KERNEL == NET_KERNEL_AVX512

#include <immintrin.h>

#define VEC_WORDS 8
#define VEC_PAIRS 4

typedef __m512i vec_t;

NET_INLINE vec_t vec_zero(void)                  { return _mm512_setzero_si512(); }
NET_INLINE vec_t vec_load(const uint64_t *words) { return _mm512_loadu_si512(words); }
NET_INLINE vec_t vec_spread(uint64_t word)       { return _mm512_set1_epi64((long long)word); }
NET_INLINE vec_t vec_xor(vec_t a, vec_t b)       { return _mm512_xor_si512(a, b); }
NET_INLINE vec_t vec_and(vec_t a, vec_t b)       { return _mm512_and_si512(a, b); }
NET_INLINE vec_t vec_add_wide(vec_t a, vec_t b)  { return _mm512_add_epi64(a, b); }

NET_INLINE vec_t vec_join(vec_t even, vec_t odd)
{
    return _mm512_or_si512(even, _mm512_slli_epi64(odd, 32));
}

NET_INLINE vec_t vec_scale(vec_t a, int32_t total)
{
    return _mm512_sub_epi32(_mm512_set1_epi32(total), _mm512_add_epi32(a, a));
}

NET_INLINE void vec_store(int32_t *values, vec_t a) { _mm512_storeu_si512(values, a); }

NET_INLINE uint64_t vec_reach(const int32_t *values, const int32_t *levels)
{
    return _mm512_cmpge_epi32_mask(_mm512_loadu_si512(values), _mm512_loadu_si512(levels));
}

NET_INLINE uint64_t vec_plane(const int32_t *values, size_t plane)
{
    return _mm512_test_epi32_mask(_mm512_loadu_si512(values),
                                  _mm512_set1_epi32((int)((uint32_t)1 << plane)));
}

#if NET_KERNEL == NET_KERNEL_AVX512_POPCNT

#define VEC_DEPTH 0

NET_INLINE vec_t vec_count(vec_t a)        { return _mm512_popcnt_epi64(a); }
NET_INLINE vec_t vec_add(vec_t a, vec_t b) { return _mm512_add_epi64(a, b); }
NET_INLINE vec_t vec_widen(vec_t a)        { return a; }

#else

#define VEC_DEPTH 31 /* 31 * 8 bits fit a byte */

NET_INLINE vec_t vec_count(vec_t a)
{
    /* bits in each number of four bits: 0 1 1 2 1 2 2 3 1 2 2 3 2 3 3 4, first in the low byte */
    const vec_t table = _mm512_set4_epi32(0x04030302, 0x03020201, 0x03020201, 0x02010100);
    const vec_t nibble = _mm512_set1_epi8(15);
    const vec_t high = _mm512_and_si512(_mm512_srli_epi16(a, 4), nibble);
    return _mm512_add_epi8(_mm512_shuffle_epi8(table, _mm512_and_si512(a, nibble)),
                           _mm512_shuffle_epi8(table, high));
}

NET_INLINE vec_t vec_add(vec_t a, vec_t b) { return _mm512_add_epi8(a, b); }
NET_INLINE vec_t vec_widen(vec_t a)        { return _mm512_sad_epu8(a, vec_zero()); }

#endif

#elif NET_KERNEL == NET_KERNEL_AVX2

#include <immintrin.h>

#define VEC_WORDS 4
#define VEC_PAIRS 2
#define VEC_DEPTH 31

typedef __m256i vec_t;

NET_INLINE vec_t vec_zero(void)                 { return _mm256_setzero_si256(); }
NET_INLINE vec_t vec_spread(uint64_t word)      { return _mm256_set1_epi64x((long long)word); }
NET_INLINE vec_t vec_xor(vec_t a, vec_t b)      { return _mm256_xor_si256(a, b); }
NET_INLINE vec_t vec_and(vec_t a, vec_t b)      { return _mm256_and_si256(a, b); }
NET_INLINE vec_t vec_add(vec_t a, vec_t b)      { return _mm256_add_epi8(a, b); }
NET_INLINE vec_t vec_widen(vec_t a)             { return _mm256_sad_epu8(a, vec_zero()); }
NET_INLINE vec_t vec_add_wide(vec_t a, vec_t b) { return _mm256_add_epi64(a, b); }

NET_INLINE vec_t vec_load(const uint64_t *words)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)words);
}

NET_INLINE vec_t vec_count(vec_t a)
{
    /* bits in each number of four bits, twice */
    const vec_t table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const vec_t nibble = _mm256_set1_epi8(15);
    const vec_t high = _mm256_and_si256(_mm256_srli_epi16(a, 4), nibble);
    return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(a, nibble)),
                           _mm256_shuffle_epi8(table, high));
}

NET_INLINE vec_t vec_join(vec_t even, vec_t odd)
{
    return _mm256_or_si256(even, _mm256_slli_epi64(odd, 32));
}

NET_INLINE vec_t vec_scale(vec_t a, int32_t total)
{
    return _mm256_sub_epi32(_mm256_set1_epi32(total), _mm256_add_epi32(a, a));
}

NET_INLINE vec_t vec_load_values(const int32_t *values)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)values);
}

NET_INLINE void vec_store(int32_t *values, vec_t a)
{
    _mm256_storeu_si256((__m256i *)(void *)values, a);
}

/* The highest bits of the int32_t. */
NET_INLINE uint64_t vec_signs(vec_t a)
{
    return (uint64_t)_mm256_movemask_ps(_mm256_castsi256_ps(a));
}

NET_INLINE uint64_t vec_reach(const int32_t *values, const int32_t *levels)
{
    return vec_signs(_mm256_cmpgt_epi32(vec_load_values(levels), vec_load_values(values))) ^ 0xff;
}

NET_INLINE uint64_t vec_plane(const int32_t *values, size_t plane)
{
    return vec_signs(_mm256_sll_epi32(vec_load_values(values), _mm_cvtsi32_si128(31 - (int)plane)));
}

#elif NET_KERNEL == NET_KERNEL_NEON

#include <arm_neon.h>

#define VEC_WORDS 2
#define VEC_PAIRS 2
#define VEC_DEPTH 31

typedef uint8x16_t vec_t;

NET_INLINE vec_t vec_zero(void)                  { return vdupq_n_u8(0); }
NET_INLINE vec_t vec_load(const uint64_t *words) { return vreinterpretq_u8_u64(vld1q_u64(words)); }
NET_INLINE vec_t vec_spread(uint64_t word)       { return vreinterpretq_u8_u64(vdupq_n_u64(word)); }
NET_INLINE vec_t vec_xor(vec_t a, vec_t b)       { return veorq_u8(a, b); }
NET_INLINE vec_t vec_and(vec_t a, vec_t b)       { return vandq_u8(a, b); }
NET_INLINE vec_t vec_count(vec_t a)              { return vcntq_u8(a); }
NET_INLINE vec_t vec_add(vec_t a, vec_t b)       { return vaddq_u8(a, b); }

NET_INLINE vec_t vec_widen(vec_t a)
{
    return vreinterpretq_u8_u64(vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(a))));
}

NET_INLINE vec_t vec_add_wide(vec_t a, vec_t b)
{
    return vreinterpretq_u8_u64(vaddq_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}

NET_INLINE vec_t vec_join(vec_t even, vec_t odd)
{
    return vorrq_u8(even, vreinterpretq_u8_u64(vshlq_n_u64(vreinterpretq_u64_u8(odd), 32)));
}

NET_INLINE vec_t vec_scale(vec_t a, int32_t total)
{
    const int32x4_t counts = vreinterpretq_s32_u8(a);
    return vreinterpretq_u8_s32(vsubq_s32(vdupq_n_s32(total), vaddq_s32(counts, counts)));
}

NET_INLINE void vec_store(int32_t *values, vec_t a) { vst1q_s32(values, vreinterpretq_s32_u8(a)); }

/* Bits 0 of the int32_t, side by side. */
NET_INLINE uint64_t vec_flags(uint32x4_t a)
{
    return (uint64_t)(vgetq_lane_u32(a, 0) & 1) | (uint64_t)(vgetq_lane_u32(a, 1) & 1) << 1
         | (uint64_t)(vgetq_lane_u32(a, 2) & 1) << 2 | (uint64_t)(vgetq_lane_u32(a, 3) & 1) << 3;
}

NET_INLINE uint64_t vec_reach(const int32_t *values, const int32_t *levels)
{
    return vec_flags(vcgeq_s32(vld1q_s32(values), vld1q_s32(levels)));
}

NET_INLINE uint64_t vec_plane(const int32_t *values, size_t plane)
{
    const uint32x4_t words = vreinterpretq_u32_u8(vreinterpretq_u8_s32(vld1q_s32(values)));
    return vec_flags(vshlq_u32(words, vdupq_n_s32(-(int)plane)));
}

#elif NET_KERNEL == NET_KERNEL_PORTABLE || NET_KERNEL == NET_KERNEL_PLAIN

#define VEC_WORDS 1
#define VEC_PAIRS 4
#define VEC_DEPTH 0

typedef uint64_t vec_t;

NET_INLINE vec_t vec_zero(void)                  { return 0; }
NET_INLINE vec_t vec_load(const uint64_t *words) { return *words; }
NET_INLINE vec_t vec_spread(uint64_t word)       { return word; }
NET_INLINE vec_t vec_xor(vec_t a, vec_t b)       { return a ^ b; }
NET_INLINE vec_t vec_and(vec_t a, vec_t b)       { return a & b; }
NET_INLINE vec_t vec_count(vec_t a)              { return count_word(a); }
NET_INLINE vec_t vec_add(vec_t a, vec_t b)       { return a + b; }
NET_INLINE vec_t vec_widen(vec_t a)              { return a; }
NET_INLINE vec_t vec_add_wide(vec_t a, vec_t b)  { return a + b; }
NET_INLINE vec_t vec_join(vec_t even, vec_t odd) { return even | odd << 32; }

/* The two int32_t are the halves of a word. */
NET_INLINE vec_t vec_scale(vec_t a, int32_t total)
{
    const uint32_t low = (uint32_t)total - 2 * (uint32_t)a;
    const uint32_t high = (uint32_t)total - 2 * (uint32_t)(a >> 32);
    return low | (uint64_t)high << 32;
}

NET_INLINE void vec_store(int32_t *values, vec_t a)
{
    values[0] = (int32_t)(uint32_t)a;
    values[1] = (int32_t)(uint32_t)(a >> 32);
}

NET_INLINE uint64_t vec_reach(const int32_t *values, const int32_t *levels)
{
    return (uint64_t)(values[0] >= levels[0]) | (uint64_t)(values[1] >= levels[1]) << 1;
}

NET_INLINE uint64_t vec_plane(const int32_t *values, size_t plane)
{
    return ((uint32_t)values[0] >> plane & 1) | ((uint32_t)values[1] >> plane & 1) << 1;
}

#else
#error "NET_KERNEL must be one of the NET_KERNEL_ names in vectors.h"
#endif

#endif
