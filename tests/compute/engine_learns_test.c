/* The demo's run learns to price: within 10 bp of spot of Black and Scholes, and within 5 bp for other seeds. */
#include <math.h>
#include <stdio.h>

#include "check_main.h"
#include "millrace/engine.h"
#include "millrace/pricing.h"
#include "millrace/sobol.h"
#include "sample_spec.h"

enum { ROWS = 64, HELD_OUT = 1000 };

static struct mr_run_spec demo_spec(void)
{
    static char text[1 << 16];
    FILE *file = fopen(DEMO_RUN, "r");
    ck_assert_ptr_nonnull(file);
    const size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    return sample_spec(text);
}

static struct mr_checkpoint train(const struct mr_run_spec *spec)
{
    const struct mr_engine_options options = {"cpu", 2, NULL};
    const struct mr_engine_ops *ops;
    struct mr_engine *engine;
    struct mr_model *model;
    struct mr_checkpoint state;
    ck_assert(!mr_failed(mr_engine_select("cpu", &ops)));
    ck_assert(!mr_failed(ops->open(&options, &engine)));
    ck_assert(!mr_failed(ops->model_new(engine, spec, &model)));
    for (uint64_t step = 0; step < spec->schedule.total_steps; step++) {
        const struct mr_batch batch = mr_batch_of_sobol(step * ROWS, ROWS);
        struct mr_step_outcome outcome;
        ck_assert(!mr_failed(ops->step(model, &batch, &outcome)));
        ck_assert(!outcome.diverged);
    }
    ck_assert(!mr_failed(ops->snapshot(model, &state)));
    ops->model_free(model);
    ops->close(engine);
    return state;
}

/* RMSE of puts and calls together, in basis points of spot, over contracts of another Sobol seed. */
static double error_bp(const struct mr_checkpoint *state)
{
    static float contracts[HELD_OUT][MR_CONTRACT_FIELDS];
    static struct mr_price prices[HELD_OUT];
    struct mr_pricing_job held_out = state->spec.pricing;
    struct mr_pricer *pricer;
    struct mr_contract_fault fault;
    double squares = 0;
    held_out.sobol_seed = 999983;
    for (uint64_t i = 0; i < HELD_OUT; i++) {
        mr_sobol_contract(&held_out, i, contracts[i]);
    }
    ck_assert(!mr_failed(mr_pricer_new(state, &pricer)));
    ck_assert(!mr_failed(mr_pricer_price(pricer, contracts[0], HELD_OUT, prices, &fault)));
    mr_pricer_free(pricer);
    for (int i = 0; i < HELD_OUT; i++) {
        double contract[MR_CONTRACT_FIELDS];
        for (int f = 0; f < MR_CONTRACT_FIELDS; f++) {
            contract[f] = (double)contracts[i][f];
        }
        const struct mr_price truth = mr_black_scholes(contract);
        const double put = (prices[i].put - truth.put) / contract[MR_CONTRACT_X0];
        const double call = (prices[i].call - truth.call) / contract[MR_CONTRACT_X0];
        squares += put * put + call * call;
    }
    return 1e4 * sqrt(squares / (2 * HELD_OUT));
}

START_TEST(held_out_prices_are_right)
{
    static const double bound_bp[] = {10, 5, 5, 5};
    struct mr_run_spec spec = demo_spec();
    const uint64_t seed = (uint64_t)_i;
    spec.init_seed += seed;
    spec.pricing.simulation.seed += seed;
    spec.pricing.sobol_seed += seed;
    struct mr_checkpoint state = train(&spec);
    const double error = error_bp(&state);
    printf("seed %d: %.2f bp\n", _i, error);
    ck_assert_double_le(error, bound_bp[_i]);
    mr_checkpoint_deinit(&state);
}
END_TEST

static void add(TCase *tests)
{
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, held_out_prices_are_right, 0, 4);
}

int main(void)
{
    return check_main("engine_learns", add);
}
