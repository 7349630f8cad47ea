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
#define NET_ALIGNED __attribute__((aligned(64)))
#else
#define NET_INLINE static inline
#define NET_ALIGNED
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
 *   VEC_UNROLL   vectors that share each load of the input
 *   VEC_DEPTH    vectors whose partial counts may be added before they must be widened
 *   vec_load, vec_spread, vec_xor, vec_and
 *   vec_count    partial counts: of the bytes of a vector, or of its words
 *   vec_add      sum of partial counts
 *   vec_widen    counts of the words, from partial counts
 *   vec_add_wide sum of counts of words
 *   vec_store    counts of words, as int32_t
 */

#if NET_KERNEL == NET_KERNEL_AVX512_POPCNT || NET_KERNEL == NET_KERNEL_AVX512

#include <immintrin.h>

#define VEC_WORDS  8
#define VEC_UNROLL 8

typedef __m512i vec_t;

NET_INLINE vec_t vec_zero(void)                  { return _mm512_setzero_si512(); }
NET_INLINE vec_t vec_load(const uint64_t *words) { return _mm512_loadu_si512(words); }
NET_INLINE vec_t vec_spread(uint64_t word)       { return _mm512_set1_epi64((long long)word); }
NET_INLINE vec_t vec_xor(vec_t a, vec_t b)       { return _mm512_xor_si512(a, b); }
NET_INLINE vec_t vec_and(vec_t a, vec_t b)       { return _mm512_and_si512(a, b); }
NET_INLINE vec_t vec_add_wide(vec_t a, vec_t b)  { return _mm512_add_epi64(a, b); }

NET_INLINE void vec_store(int32_t *counts, vec_t a)
{
    _mm256_storeu_si256((__m256i *)(void *)counts, _mm512_cvtepi64_epi32(a));
}

#if NET_KERNEL == NET_KERNEL_AVX512_POPCNT

#define VEC_DEPTH 0x1000000

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

#define VEC_WORDS  4
#define VEC_UNROLL 4
#define VEC_DEPTH  31

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

NET_INLINE void vec_store(int32_t *counts, vec_t a)
{
    const vec_t even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    const vec_t low = _mm256_permutevar8x32_epi32(a, even);
    _mm_storeu_si128((__m128i *)(void *)counts, _mm256_castsi256_si128(low));
}

#elif NET_KERNEL == NET_KERNEL_NEON

#include <arm_neon.h>

#define VEC_WORDS  2
#define VEC_UNROLL 4
#define VEC_DEPTH  31

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

NET_INLINE void vec_store(int32_t *counts, vec_t a)
{
    vst1_s32(counts, vreinterpret_s32_u32(vmovn_u64(vreinterpretq_u64_u8(a))));
}

#elif NET_KERNEL == NET_KERNEL_PORTABLE || NET_KERNEL == NET_KERNEL_PLAIN

#define VEC_WORDS  1
#define VEC_UNROLL 8
#define VEC_DEPTH  0x1000000

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
NET_INLINE void vec_store(int32_t *counts, vec_t a) { *counts = (int32_t)a; }

#else
#error "NET_KERNEL must be one of the NET_KERNEL_ names in vectors.h"
#endif

#endif
