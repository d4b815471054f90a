/* COS with the exact characteristic function against Black and Scholes, and the pricer's refusals. */
#include <math.h>

#include "check_main.h"
#include "millrace/network.h"
#include "millrace/pricing.h"
#include "sample_spec.h"

enum { FREQUENCIES = 128 };

static const struct {
    double contract[MR_CONTRACT_FIELDS], call, put;
} table[] = {
    {{100, 100, 1, .05, 0, .2}, 10.450583572185567, 5.5735260222569677},
    {{100, 100, 1, .05, .02, .2}, 9.2270055081540475, 6.3300806275499182},
    {{120, 100, 2, .03, .01, .35}, 34.425652826531716, 10.97826538814595},
    {{42, 40, .5, .1, 0, .2}, 4.7594223928715332, 0.80859937290009358},
};

START_TEST(the_closed_form_is_the_known_table)
{
    for (size_t i = 0; i < MR_COUNT_OF(table); i++) {
        const struct mr_price price = mr_black_scholes(table[i].contract);
        ck_assert_double_eq_tol(price.call, table[i].call, 1e-12);
        ck_assert_double_eq_tol(price.put, table[i].put, 1e-12);
    }
}
END_TEST

static struct mr_price cos_price(const double *contract, uint32_t frequencies, const double *re, const double *im)
{
    const struct mr_cos_terms terms = {
        .forward = contract[0] * exp((contract[3] - contract[4]) * contract[2]),
        .strike = contract[1],
        .discount = exp(-contract[3] * contract[2]),
        .deviation = contract[5] * sqrt(contract[2]),
        .width = 10,
        .frequencies = frequencies,
        .phi_re = re,
        .phi_im = im,
    };
    return mr_cos_price(&terms);
}

START_TEST(cos_with_the_exact_function_is_the_closed_form)
{
    for (size_t i = 0; i < MR_COUNT_OF(table); i++) {
        double re[FREQUENCIES];
        double im[FREQUENCIES];
        const double *contract = table[i].contract;
        mr_gbm_characteristic_function(contract[5] * sqrt(contract[2]), 10, FREQUENCIES, re, im);
        for (uint32_t frequencies = 64; frequencies <= FREQUENCIES; frequencies *= 2) {
            const struct mr_price price = cos_price(contract, frequencies, re, im);
            ck_assert_double_eq_tol(price.call, table[i].call, 1e-10 * contract[0]);
            ck_assert_double_eq_tol(price.put, table[i].put, 1e-10 * contract[0]);
        }
    }
}
END_TEST

START_TEST(phi_at_zero_is_one_whatever_is_given)
{
    double re[64];
    double im[64];
    mr_gbm_characteristic_function(.2, 10, 64, re, im);
    const struct mr_price right = cos_price(table[0].contract, 64, re, im);
    re[0] = 5;
    im[0] = -3;
    const struct mr_price same = cos_price(table[0].contract, 64, re, im);
    ck_assert_double_eq(right.put, same.put);
}
END_TEST

START_TEST(far_strikes_and_no_deviation_are_intrinsic)
{
    double re[64];
    double im[64];
    const double worthless[] = {100, 1, 1, 0, 0, .1};
    const double deep[] = {100, 10000, 1, 0, 0, .1};
    const double still[] = {100, 110, 1, .05, 0, 1e-7};
    mr_gbm_characteristic_function(.1, 10, 64, re, im);
    ck_assert_double_eq(cos_price(worthless, 64, re, im).put, 0.0);
    ck_assert_double_eq_tol(cos_price(worthless, 64, re, im).call, 99.0, 1e-9);
    ck_assert_double_eq_tol(cos_price(deep, 64, re, im).put, 9900.0, 1e-7);
    ck_assert_double_eq_tol(cos_price(still, 64, re, im).put, exp(-.05) * 110 - 100, 1e-9);
    ck_assert_double_eq_tol(cos_price(still, 64, re, im).call, 0.0, 1e-9);
}
END_TEST

/* A model whose network gives 0 everywhere: only the envelope e^(-w^2/2) is left, the law without its mean -s/2. */
static struct mr_checkpoint still_model(const char *json)
{
    const struct mr_run_spec spec = sample_spec(json);
    struct mr_checkpoint checkpoint;
    ck_assert(!mr_failed(mr_checkpoint_init(&checkpoint, &spec)));
    return checkpoint;
}

START_TEST(a_model_prices_its_envelope)
{
    struct mr_checkpoint checkpoint = still_model(sample_pricing_json);
    struct mr_pricer *pricer;
    struct mr_price price;
    struct mr_contract_fault fault;
    double re[40];
    double im[40];
    const float contract[] = {100, 95, 1, 0.03125f, 0, 0.25f};
    const double same[] = {100, 95, 1, 0.03125, 0, 0.25};
    ck_assert(!mr_failed(mr_pricer_new(&checkpoint, &pricer)));
    ck_assert(!mr_failed(mr_pricer_price(pricer, contract, 1, &price, &fault)));
    for (int j = 0; j < 40; j++) {
        const double w = j * 3.14159265358979323846 / 20;
        re[j] = exp(-w * w / 2);
        im[j] = 0;
    }
    const struct mr_price expected = cos_price(same, 40, re, im);
    ck_assert_double_eq_tol(price.put, expected.put, 1e-9);
    ck_assert_double_eq_tol(price.call, expected.call, 1e-9);
    mr_pricer_free(pricer);
    mr_checkpoint_deinit(&checkpoint);
}
END_TEST

START_TEST(a_payoff_model_prices_its_first_coefficient)
{
    struct mr_checkpoint checkpoint = still_model(sample_payoff_json);
    struct mr_network network;
    struct mr_pricer *pricer;
    struct mr_price price;
    struct mr_contract_fault fault;
    const float contract[] = {100, 95, 1, 0.03125f, 0, 0.25f};
    mr_network_plan(&checkpoint.spec, &network);
    checkpoint.weights[network.layer[network.layers - 1].bias_re] = 48.0f;
    ck_assert(!mr_failed(mr_pricer_new(&checkpoint, &pricer)));
    ck_assert(!mr_failed(mr_pricer_price(pricer, contract, 1, &price, &fault)));
    ck_assert_double_eq_tol(price.put, 3.0, 1e-12);
    ck_assert_double_eq_tol(price.call, 3.0 + 100 - 95 * exp(-0.03125), 1e-9);
    mr_pricer_free(pricer);
    mr_checkpoint_deinit(&checkpoint);
}
END_TEST

START_TEST(contracts_outside_the_domain_are_refused)
{
    struct mr_checkpoint checkpoint = still_model(sample_pricing_json);
    struct mr_pricer *pricer;
    struct mr_price prices[2] = {{-1, -1}, {-1, -1}};
    struct mr_contract_fault fault;
    float contracts[12] = {100, 95, 1, 0.03f, 0, 0.25f, 100, 95, 1, 0.03f, 0, 0.5f};
    ck_assert(!mr_failed(mr_pricer_new(&checkpoint, &pricer)));
    struct mr_error error = mr_pricer_price(pricer, contracts, 2, prices, &fault);
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    ck_assert_str_eq(error.code, "out_of_domain");
    ck_assert_uint_eq(fault.row, 1);
    ck_assert_int_eq(fault.field, MR_CONTRACT_V);
    ck_assert_double_eq(prices[0].put, -1);
    contracts[0] = (float)NAN;
    error = mr_pricer_price(pricer, contracts, 2, prices, &fault);
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    ck_assert_int_eq(fault.field, MR_CONTRACT_X0);
    mr_pricer_free(pricer);
    mr_checkpoint_deinit(&checkpoint);
}
END_TEST

START_TEST(a_labelled_model_prices_nothing)
{
    struct mr_checkpoint checkpoint = still_model(sample_labelled_json);
    struct mr_pricer *pricer;
    ck_assert_str_eq(mr_pricer_new(&checkpoint, &pricer).code, "not_a_pricing_model");
    mr_checkpoint_deinit(&checkpoint);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, the_closed_form_is_the_known_table);
    tcase_add_test(tests, cos_with_the_exact_function_is_the_closed_form);
    tcase_add_test(tests, phi_at_zero_is_one_whatever_is_given);
    tcase_add_test(tests, far_strikes_and_no_deviation_are_intrinsic);
    tcase_add_test(tests, a_model_prices_its_envelope);
    tcase_add_test(tests, a_payoff_model_prices_its_first_coefficient);
    tcase_add_test(tests, contracts_outside_the_domain_are_refused);
    tcase_add_test(tests, a_labelled_model_prices_nothing);
}

int main(void)
{
    return check_main("model_pricing", add);
}
