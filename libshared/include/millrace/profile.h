/*
 * The elementary operations of the arithmetic profile mr-f32-v1, as docs/numerics.md specifies them. Everything here is
 * built from IEEE float32 +, -, *, /, sqrt, fused multiply-add, comparison and integer bits alone: no libm
 * transcendental, no contraction (-ffp-contract=off). Loops over these functions vectorise without changing a bit.
 */
#ifndef MR_PROFILE_H
#define MR_PROFILE_H

#include <Random123/philox.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { MR_LANES = 32, MR_CHUNK_PATHS = 1024, MR_GRADIENT_SHARDS = 16, MR_ROTATION_RESTART = 32 };

/* Streams of random numbers: the upper 8 bits of the second counter word. */
enum { MR_STREAM_PATHS = 0, MR_STREAM_WEIGHTS = 1, MR_STREAM_SCRAMBLE = 2 };

static inline uint32_t mr_bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float mr_float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float mr_fma(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}

static inline float mr_sqrt(float x)
{
    return __builtin_sqrtf(x);
}

/* Rule A3. */
static inline float mr_relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}

/* Nearest even integer of |x| < 2^22: `ret_integer` is right for any such x. */
static inline float mr_round(float x, uint32_t *ret_integer)
{
    const float magic = 0x1.8p23f;
    const float shifted = x + magic;
    *ret_integer = mr_bits_of(shifted) - mr_bits_of(magic);
    return shifted - magic;
}

/* e^x, x clamped to [-87, 88]; NaN stays NaN. Relative error below 2^-23. */
static inline float mr_exp(float x)
{
    uint32_t n;
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float whole = mr_round(x * 0x1.715476p+0f, &n);
    float r = mr_fma(-whole, 0x1.63p-1f, x);
    r = mr_fma(-whole, -0x1.bd0106p-13f, r);
    float p = 0x1.a0d2cep-13f;
    p = mr_fma(p, r, 0x1.6e879cp-10f);
    p = mr_fma(p, r, 0x1.111210p-7f);
    p = mr_fma(p, r, 0x1.555382p-5f);
    p = mr_fma(p, r, 0x1.555554p-3f);
    p = mr_fma(p, r, 0x1p-1f);
    p = mr_fma(p, r * r, r);
    return (p + 1.0f) * mr_float_of((n + 127u) << 23);
}

/* ln x; below 2^-126 as of 2^-126; infinity and NaN stay. Relative error below 2^-22. */
static inline float mr_log(float x)
{
    const float normal = x < 0x1p-126f ? 0x1p-126f : x;
    const uint32_t bits = mr_bits_of(normal);
    /* Split so that the mantissa lies in [sqrt(1/2), sqrt(2)). */
    const uint32_t biased = (bits - 0x3f3504f3u + (127u << 23)) >> 23;
    const float exponent = (float)((int32_t)biased - 127);
    const float f = mr_float_of(bits - ((biased - 127u) << 23)) - 1.0f;
    const float q = f * f;
    float p = 0x1.204376p-4f;
    p = mr_fma(p, f, -0x1.d7a370p-4f);
    p = mr_fma(p, f, 0x1.de4a34p-4f);
    p = mr_fma(p, f, -0x1.fcba9ep-4f);
    p = mr_fma(p, f, 0x1.23d37ep-3f);
    p = mr_fma(p, f, -0x1.555ca0p-3f);
    p = mr_fma(p, f, 0x1.999d58p-3f);
    p = mr_fma(p, f, -0x1.fffff8p-3f);
    p = mr_fma(p, f, 0x1.555554p-2f);
    float low = mr_fma(p, f * q, exponent * -0x1.bd0106p-13f);
    low = mr_fma(-0.5f, q, low);
    const float result = mr_fma(exponent, 0x1.63p-1f, f + low);
    return normal < INFINITY ? result : normal;
}

/* sin and cos of `turns` full turns; |turns| >= 2^20 counts as 0, infinity gives NaN. Error below 2^-23. */
static inline void mr_sincos_turns(float turns, float *ret_sin, float *ret_cos)
{
    uint32_t quarter;
    const float size = turns < 0.0f ? -turns : turns;
    const float t = size < 0x1p20f ? turns : turns - turns;
    const float r = mr_fma(mr_round(4.0f * t, &quarter), -0.25f, t);
    const float q = r * r;
    float s = 0x1.4bc0bcp+5f;
    s = mr_fma(s, q, -0x1.32ca82p+6f);
    s = mr_fma(s, q, 0x1.466bbap+6f);
    s = mr_fma(s, q, -0x1.4abbcep+5f);
    s = mr_fma(s, q, 0x1.921fb6p+2f);
    s = s * r;
    float c = -0x1.a1e044p+4f;
    c = mr_fma(c, q, 0x1.e1ec56p+5f);
    c = mr_fma(c, q, -0x1.55d3c2p+6f);
    c = mr_fma(c, q, 0x1.03c1f0p+6f);
    c = mr_fma(c, q, -0x1.3bd3ccp+4f);
    c = mr_fma(c, q, 1.0f);
    const uint32_t swap = 0u - (quarter & 1u);
    const uint32_t s_bits = mr_bits_of(s);
    const uint32_t c_bits = mr_bits_of(c);
    const uint32_t sin_bits = (s_bits & ~swap) | (c_bits & swap);
    const uint32_t cos_bits = (c_bits & ~swap) | (s_bits & swap);
    *ret_sin = mr_float_of(sin_bits ^ ((quarter & 2u) << 30));
    *ret_cos = mr_float_of(cos_bits ^ (((quarter + 1u) & 2u) << 30));
}

/* 1/(1 + e^-x). Relative error below 2^-22. */
static inline float mr_sigmoid(float x)
{
    return 1.0f / (1.0f + mr_exp(-x));
}

/* A polynomial for |x| < 0.625, else 1 - 2/(e^2|x| + 1) with the sign of x. Relative error below 2^-22. */
static inline float mr_tanh(float x)
{
    const float size = x < 0.0f ? -x : x;
    const float q = x * x;
    float p = -0x1.75e1d4p-8f;
    p = mr_fma(p, q, 0x1.52269cp-6f);
    p = mr_fma(p, q, -0x1.b83c5ap-5f);
    p = mr_fma(p, q, 0x1.110726p-3f);
    p = mr_fma(p, q, -0x1.555532p-2f);
    const float near = mr_fma(p, q * x, x);
    const float far = 1.0f - 2.0f / (mr_exp(2.0f * size) + 1.0f);
    const float far_signed = x < 0.0f ? -far : far;
    return size < 0.625f ? near : far_signed;
}

/* ---- Random numbers ------------------------------------------------------------------------------------ */

struct mr_philox_words {
    uint32_t word[4];
};

/* Philox4x32-10 (Salmon and others, 2011), Random123's code. */
static inline struct mr_philox_words mr_philox(struct mr_philox_words counter, uint64_t key)
{
    const philox4x32_ctr_t c = {{counter.word[0], counter.word[1], counter.word[2], counter.word[3]}};
    const philox4x32_key_t k = {{(uint32_t)key, (uint32_t)(key >> 32)}};
    const philox4x32_ctr_t words = philox4x32_R(10, c, k);
    return (struct mr_philox_words){{words.v[0], words.v[1], words.v[2], words.v[3]}};
}

/* Rule A7: in (0, 1), never an end. */
static inline float mr_uniform(uint32_t word)
{
    return mr_fma((float)(int32_t)(word >> 9), 0x1p-23f, 0x1p-24f);
}

/* Two standard normals of two words (Box and Muller). */
static inline void mr_normals(uint32_t word0, uint32_t word1, float *ret_first, float *ret_second)
{
    float sine, cosine;
    const float radius = mr_sqrt(-2.0f * mr_log(mr_uniform(word0)));
    mr_sincos_turns(mr_uniform(word1), &sine, &cosine);
    *ret_first = radius * cosine;
    *ret_second = radius * sine;
}

/* ---- Sums ---------------------------------------------------------------------------------------------- */

/* Rule A5: the lanes of a chunk by halving 16, 8, 4, 2, 1. Overwrites `lanes`. */
static inline float mr_sum_lanes(float lanes[MR_LANES])
{
    for (int half = MR_LANES / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++) {
            lanes[lane] += lanes[lane + half];
        }
    }
    return lanes[0];
}

#endif
