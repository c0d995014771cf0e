/* Vectors of floats as GCC and Clang know them, and the few functions of them that the kernels need.
 *
 * Each kernel file is compiled once per level of the instruction set, so the width is known here.
 */
#ifndef DNADIFF_VEC_H
#define DNADIFF_VEC_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

#define INLINE static inline __attribute__((always_inline))
#define ALIGNED __attribute__((aligned(64)))

typedef float vf __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * LANES), may_alias));

INLINE vf splat(float value) { return value - (vf){0}; }
INLINE vf load(const float *from) { return *(const vf *)from; }
INLINE void store(float *to, vf value) { *(vf *)to = value; }

/* The larger of each pair of lanes; a NaN in `value` stays. */
INLINE vf at_least(float least, vf value) {
#if defined(__AVX512F__)
    return _mm512_max_ps(splat(least), value);
#elif defined(__AVX2__)
    return _mm256_max_ps(splat(least), value);
#elif defined(__SSE2__)
    return _mm_max_ps(splat(least), value);
#else
    vi below = value < splat(least);
    return (vf)(((vi)splat(least) & below) | ((vi)value & ~below));
#endif
}

/* 2^x for x <= 126, relative error 1e-7; exactly 1 at 0; 2^-126 for what is smaller.
 *
 * x = k + f with f in [-1/2, 1/2]; a minimax polynomial for 2^f whose constant is 1, k added to the exponent.
 */
INLINE vf exp2_of(vf x) {
    const vf magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
    x = at_least(-126.0f, x);
    vf shifted = x + magic;
    vf f = x - (shifted - magic);
    vf p = splat(0x1.5bba14p-10f);
    p = p * f + splat(0x1.3cea88p-7f);
    p = p * f + splat(0x1.c6b752p-5f);
    p = p * f + splat(0x1.ebf9bcp-3f);
    p = p * f + splat(0x1.62e42ap-1f);
    p = p * f + splat(1.0f);
    return (vf)((vi)p + ((vi)shifted << 23));
}

#define LOG2_E 1.4426950408889634f

INLINE vf magnitude(vf x) { return (vf)((vi)x & 0x7fffffff); }

typedef struct {
    vf value; /* log(1 + e^x) */
    vf slope; /* 1 / (1 + e^-x) */
} Softplus;

/* max(x, 0) + log(1 + e^-|x|), where log(1 + e) = 2 atanh(e / (2 + e)) as a polynomial; relative error 2e-7. */
INLINE Softplus softplus(vf x) {
    vf e = exp2_of(magnitude(x) * -LOG2_E);
    vf s = e / (e + 2.0f);
    vf q = s * s;
    vf p = splat(0.24397570f);
    p = p * q + splat(0.21397547f);
    p = p * q + splat(0.28620305f);
    p = p * q + splat(0.39998707f);
    p = p * q + splat(0.66666679f);
    p = p * q + splat(2.0f);
    vf inverse = 1.0f / (1.0f + e);
    vi negative = x < 0.0f;
    vf slope = inverse * (vf)(((vi)e & negative) | ((vi)splat(1.0f) & ~negative));
    return (Softplus){at_least(0.0f, x) + p * s, slope};
}

/* 1 / (1 + e^-x). */
INLINE vf sigmoid(vf x) {
    vf e = exp2_of(magnitude(x) * -LOG2_E);
    vi negative = x < 0.0f;
    return (vf)(((vi)e & negative) | ((vi)splat(1.0f) & ~negative)) / (1.0f + e);
}

/* Numbers below 1e-38 count as zero while a kernel runs: on many processors each costs a hundred cycles. */
INLINE unsigned flush_denormals(void) {
#if defined(__SSE2__)
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
#else
    return 0;
#endif
}

INLINE void restore_denormals(unsigned before) {
#if defined(__SSE2__)
    _mm_setcsr(before);
#else
    (void)before;
#endif
}

INLINE void *place(const Rows *rows, int64_t row, int64_t time, int64_t channel) {
    int64_t offset = row * rows->row_step + time * rows->time_step + channel;
    return (char *)rows->data + offset * (rows->is_bf16 ? 2 : 4);
}

/* `count` neighbouring channels as floats; the rest of the `room` is zero. */
INLINE void load_row(float *to, const Rows *rows, int64_t row, int64_t time, int64_t channel, int count, int room) {
    const void *from = place(rows, row, time, channel);
    if (rows->is_bf16) {
        const uint16_t *halves = from;
        uint32_t *bits = (uint32_t *)(void *)to;
        if (count == room) for (int c = 0; c < room; c++) bits[c] = (uint32_t)halves[c] << 16;
        else for (int c = 0; c < count; c++) bits[c] = (uint32_t)halves[c] << 16;
    } else {
        memcpy(to, from, count * sizeof(float));
    }
    for (int c = count; c < room; c++) to[c] = 0.0f;
}

/* bf16 is rounded to nearest, ties to even. */
INLINE void store_row(const Rows *rows, int64_t row, int64_t time, int64_t channel, const float *from, int count) {
    void *to = place(rows, row, time, channel);
    if (!rows->is_bf16) {
        memcpy(to, from, count * sizeof(float));
        return;
    }
    uint16_t *halves = to;
    const uint32_t *bits = (const uint32_t *)(const void *)from;
    for (int c = 0; c < count; c++) {
        uint32_t rounded = (bits[c] + 0x7fff + ((bits[c] >> 16) & 1)) >> 16;
        halves[c] = (bits[c] & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (uint16_t)rounded;
    }
}

#endif
