/* The profile's functions against libm in double over dense grids, Philox's vectors, and Sobol's points. */
#include <math.h>

#include "check_main.h"
#include "millrace/hash.h"
#include "millrace/profile.h"
#include "millrace/schedule.h"
#include "millrace/sobol.h"
#include "sample_spec.h"

static const double pi = 3.14159265358979323846;

static double relative(float value, double truth)
{
    return fabs((double)value - truth) / fabs(truth);
}

static double worst(double so_far, double error)
{
    return error > so_far ? error : so_far;
}

START_TEST(exp_and_log_keep_their_bounds)
{
    double exp_error = 0.0;
    double log_error = 0.0;
    for (int i = -87000; i <= 88000; i++) {
        const float x = (float)i * 1e-3f;
        if (x >= -87.0f && x <= 88.0f) {
            exp_error = worst(exp_error, relative(mr_exp(x), exp((double)x)));
        }
    }
    for (uint32_t bits = 0x00800000u; bits < 0x7f800000u; bits += 9973) {
        const float x = mr_float_of(bits);
        const double truth = log((double)x);
        if (truth != 0.0) {
            log_error = worst(log_error, relative(mr_log(x), truth));
        }
    }
    ck_assert_double_le(exp_error, 0x1p-23);
    ck_assert_double_le(log_error, 0x1p-22);
}
END_TEST

START_TEST(sincos_keeps_its_bound)
{
    double error = 0.0;
    for (int i = -2000000; i <= 2000000; i++) {
        const float turns = (float)i * 1.7e-5f;
        float sine;
        float cosine;
        mr_sincos_turns(turns, &sine, &cosine);
        error = worst(error, fabs((double)sine - sin(2 * pi * (double)turns)));
        error = worst(error, fabs((double)cosine - cos(2 * pi * (double)turns)));
    }
    ck_assert_double_le(error, 0x1p-23);
}
END_TEST

START_TEST(sigmoid_and_tanh_keep_their_bounds)
{
    double sigmoid_error = 0.0;
    double tanh_error = 0.0;
    for (int i = -80000; i <= 80000; i++) {
        const float x = (float)i * 1e-3f;
        sigmoid_error = worst(sigmoid_error, relative(mr_sigmoid(x), 1.0 / (1.0 + exp(-(double)x))));
        if (i != 0) {
            tanh_error = worst(tanh_error, relative(mr_tanh(x), tanh((double)x)));
        }
    }
    ck_assert_double_le(sigmoid_error, 0x1p-22);
    ck_assert_double_le(tanh_error, 0x1p-22);
}
END_TEST

START_TEST(ends_are_as_stated)
{
    float sine;
    float cosine;
    ck_assert(mr_exp(-1000.0f) == mr_exp(-87.0f));
    ck_assert(mr_exp(1000.0f) == mr_exp(88.0f));
    ck_assert(isnan(mr_exp((float)NAN)));
    ck_assert(mr_log(0.0f) == mr_log(0x1p-126f));
    ck_assert(mr_log(-1.0f) == mr_log(0x1p-126f));
    ck_assert(isinf(mr_log((float)INFINITY)));
    ck_assert(isnan(mr_log((float)NAN)));
    mr_sincos_turns(0x1p20f, &sine, &cosine);
    ck_assert(sine == 0.0f && cosine == 1.0f);
    mr_sincos_turns((float)INFINITY, &sine, &cosine);
    ck_assert(isnan(sine) && isnan(cosine));
    mr_sincos_turns((float)NAN, &sine, &cosine);
    ck_assert(isnan(sine) && isnan(cosine));
    ck_assert(mr_tanh(100.0f) == 1.0f && mr_tanh(-100.0f) == -1.0f && mr_tanh(0.0f) == 0.0f);
    ck_assert(!signbit(mr_relu(-1.0f)) && mr_relu(-1.0f) == 0.0f && isnan(mr_relu((float)NAN)));
}
END_TEST

START_TEST(philox_gives_the_known_words)
{
    static const struct {
        uint32_t counter[4];
        uint64_t key;
        uint32_t words[4];
    } vectors[] = {
        {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, ~(uint64_t)0, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         (uint64_t)0x299f31d0 << 32 | 0xa4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < MR_COUNT_OF(vectors); i++) {
        struct mr_philox_words counter;
        for (int word = 0; word < 4; word++) {
            counter.word[word] = vectors[i].counter[word];
        }
        const struct mr_philox_words words = mr_philox(counter, vectors[i].key);
        ck_assert_mem_eq(words.word, vectors[i].words, sizeof words.word);
    }
}
END_TEST

START_TEST(uniforms_never_reach_the_ends)
{
    ck_assert(mr_uniform(0) == 0x1p-24f);
    ck_assert(mr_uniform(UINT32_MAX) == 1.0f - 0x1p-24f);
}
END_TEST

/* Mean, variance, skewness and kurtosis of 2^20 normals, within six standard errors of their estimates. */
START_TEST(normals_are_normal)
{
    enum { COUNT = 1 << 19 };
    double moment[5] = {0};
    for (uint32_t i = 0; i < COUNT; i++) {
        float z[2];
        const struct mr_philox_words words = mr_philox((struct mr_philox_words){{i, 0, 0, 0}}, 1);
        mr_normals(words.word[0], words.word[1], &z[0], &z[1]);
        for (int k = 0; k < 2; k++) {
            double power = 1.0;
            for (int m = 0; m < 5; m++) {
                moment[m] += power;
                power *= (double)z[k];
            }
        }
    }
    const double error = 6.0 / sqrt(moment[0]);
    ck_assert_double_le(fabs(moment[1] / moment[0]), error);
    ck_assert_double_le(fabs(moment[2] / moment[0] - 1.0), error * sqrt(2.0));
    ck_assert_double_le(fabs(moment[3] / moment[0]), error * sqrt(15.0));
    ck_assert_double_le(fabs(moment[4] / moment[0] - 3.0), error * sqrt(96.0));
}
END_TEST

START_TEST(sobol_points_are_joe_and_kuos)
{
    enum { COUNT = 4096 };
    static uint32_t points[COUNT][MR_SOBOL_DIMENSIONS];
    static const double at_1000[] = {.21972656, .09667969, .51855469, .67675781, .28027344, .90722656};
    char text[MR_SHA256_TEXT_SIZE];
    for (uint32_t i = 0; i < COUNT; i++) {
        mr_sobol_raw(i, points[i]);
    }
    for (int d = 0; d < MR_SOBOL_DIMENSIONS; d++) {
        ck_assert_uint_eq(points[1][d], 0x80000000u);
        ck_assert_double_eq_tol(points[1000][d] / 4294967296.0, at_1000[d], 1e-8);
    }
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of(points, sizeof points));
    mr_sha256_text(&hash, text);
    ck_assert_str_eq(text, "20383030f6a27ed2b525cd964fdb7c82283f365edbafc597cbcdcbc25098850e");
}
END_TEST

/* A nested uniform scramble keeps what Sobol points are for: of the first 2^k points, one in each 2^k-th. */
START_TEST(the_scramble_keeps_the_strata)
{
    enum { COUNT = 256 };
    for (uint64_t seed = 0; seed < 5; seed++) {
        bool taken[MR_SOBOL_DIMENSIONS][COUNT] = {{false}};
        for (uint64_t i = 0; i < COUNT; i++) {
            uint32_t point[MR_SOBOL_DIMENSIONS];
            mr_sobol_scrambled(i, seed, point);
            for (int d = 0; d < MR_SOBOL_DIMENSIONS; d++) {
                bool *cell = &taken[d][point[d] >> 24];
                ck_assert(!*cell);
                *cell = true;
            }
        }
    }
}
END_TEST

START_TEST(seeds_scramble_differently)
{
    uint32_t a[MR_SOBOL_DIMENSIONS];
    uint32_t b[MR_SOBOL_DIMENSIONS];
    mr_sobol_scrambled(7, 1, a);
    mr_sobol_scrambled(7, 2, b);
    for (int d = 0; d < MR_SOBOL_DIMENSIONS; d++) {
        ck_assert_uint_ne(a[d], b[d]);
    }
}
END_TEST

START_TEST(sobol_contracts_lie_in_the_domain)
{
    const struct mr_run_spec spec = sample_spec(sample_pricing_json);
    double mean[MR_CONTRACT_FIELDS] = {0};
    for (uint64_t i = 0; i < 1024; i++) {
        float contract[MR_CONTRACT_FIELDS];
        mr_sobol_contract(&spec.pricing, i, contract);
        for (int f = 0; f < MR_CONTRACT_FIELDS; f++) {
            const struct mr_bound bound = spec.pricing.domain[f];
            ck_assert(contract[f] >= bound.lower && contract[f] <= bound.upper);
            mean[f] += (double)((contract[f] - bound.lower) / (bound.upper - bound.lower)) / 1024;
        }
    }
    for (int f = 0; f < MR_CONTRACT_FIELDS; f++) {
        ck_assert_double_eq_tol(mean[f], 0.5, 1e-3);
    }
}
END_TEST

START_TEST(rates_follow_the_schedule)
{
    const struct mr_schedule_spec flat = {MR_SCHEDULE_CONSTANT, 0.25f, 0.25f, 0, 0};
    const struct mr_schedule_spec cosine = {MR_SCHEDULE_COSINE, 0.8f, 0.2f, 10, 110};
    ck_assert(mr_schedule_rate(&flat, 1) == 0.25f && mr_schedule_rate(&flat, 1000000) == 0.25f);
    ck_assert_float_eq_tol(mr_schedule_rate(&cosine, 5), 0.4f, 1e-6f);
    ck_assert(mr_schedule_rate(&cosine, 10) == 0.8f);
    ck_assert_float_eq_tol(mr_schedule_rate(&cosine, 60), 0.5f, 1e-6f);
    ck_assert_float_eq_tol(mr_schedule_rate(&cosine, 35), 0.2f + 0.3f * (1.0f + 0.70710678f), 1e-6f);
    ck_assert(mr_schedule_rate(&cosine, 110) == 0.2f && mr_schedule_rate(&cosine, 5000) == 0.2f);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, exp_and_log_keep_their_bounds);
    tcase_add_test(tests, sincos_keeps_its_bound);
    tcase_add_test(tests, sigmoid_and_tanh_keep_their_bounds);
    tcase_add_test(tests, ends_are_as_stated);
    tcase_add_test(tests, philox_gives_the_known_words);
    tcase_add_test(tests, uniforms_never_reach_the_ends);
    tcase_add_test(tests, normals_are_normal);
    tcase_add_test(tests, sobol_points_are_joe_and_kuos);
    tcase_add_test(tests, the_scramble_keeps_the_strata);
    tcase_add_test(tests, seeds_scramble_differently);
    tcase_add_test(tests, sobol_contracts_lie_in_the_domain);
    tcase_add_test(tests, rates_follow_the_schedule);
}

int main(void)
{
    return check_main("model_profile", add);
}
