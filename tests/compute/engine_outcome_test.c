/* Devices and options that are refused, divergence, what the paths say, and models side by side. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "check_main.h"
#include "millrace/engine.h"
#include "millrace/network.h"
#include "millrace/pricing.h"
#include "millrace/sobol.h"
#include "sample_spec.h"

static const struct mr_engine_ops *ops;

static struct mr_engine *open_engine(uint32_t threads)
{
    const struct mr_engine_options options = {"cpu", threads, NULL};
    struct mr_engine *engine = NULL;
    ck_assert(!mr_failed(mr_engine_select("cpu", &ops)));
    ck_assert(!mr_failed(ops->open(&options, &engine)));
    return engine;
}

START_TEST(devices_and_options_are_never_guessed)
{
    struct mr_engine *engine = NULL;
    const struct mr_engine_options none = {"cpu", 0, NULL};
    const struct mr_engine_options many = {"cpu", MR_ENGINE_THREADS_MAX + 1, NULL};
    const struct mr_engine_options odd = {"cpu", 1, "z80"};
    ck_assert_str_eq(mr_engine_select("cuda:0", &ops).code, "device_unavailable");
    ck_assert_str_eq(mr_engine_select("cuda", &ops).code, "bad_device");
    ck_assert_str_eq(mr_engine_select("", &ops).code, "bad_device");
    ck_assert(!mr_failed(mr_engine_select("cpu", &ops)));
    ck_assert_str_eq(ops->open(&none, &engine).code, "bad_threads");
    ck_assert_str_eq(ops->open(&many, &engine).code, "bad_threads");
    ck_assert_str_eq(ops->open(&odd, &engine).code, "isa_unavailable");
    ck_assert_ptr_null(engine);
}
END_TEST

static float features[2 * 5], targets[2 * 6];
static const struct mr_batch labelled_batch = {
    .kind = MR_BATCH_LABELLED, .rows = 2, .features = features, .targets = targets};

/* Steps a model of zero weights whose first moment is `moment`, and expects a divergence that changes nothing. */
static void expect_divergence(struct mr_run_spec spec, float moment, float feature, float target,
                              enum mr_diverged_reason reason)
{
    struct mr_engine *engine = open_engine(2);
    struct mr_model *model;
    struct mr_checkpoint before;
    struct mr_checkpoint after;
    struct mr_step_outcome outcome;
    for (size_t i = 0; i < MR_COUNT_OF(features); i++) {
        features[i] = feature;
    }
    for (size_t i = 0; i < MR_COUNT_OF(targets); i++) {
        targets[i] = target;
    }
    spec.layers = 0;
    ck_assert(!mr_failed(mr_checkpoint_init(&before, &spec)));
    before.first[0] = moment;
    ck_assert(!mr_failed(ops->model_load(engine, &before, &model)));
    ck_assert(!mr_failed(ops->step(model, &labelled_batch, &outcome)));
    ck_assert(outcome.diverged);
    ck_assert_int_eq(outcome.reason, reason);
    ck_assert_uint_eq(outcome.step, 0);
    ck_assert_uint_eq(outcome.samples, 0);
    ck_assert(!mr_failed(ops->snapshot(model, &after)));
    ck_assert_mem_eq(after.weights, before.weights, 3 * before.parameters * sizeof(float));
    ops->model_free(model);
    ops->close(engine);
    mr_checkpoint_deinit(&before);
    mr_checkpoint_deinit(&after);
}

START_TEST(divergence_leaves_the_state_as_it_was)
{
    struct mr_run_spec spec = sample_spec(sample_labelled_json);
    expect_divergence(spec, 0.0f, 1.0f, 1e25f, MR_DIVERGED_LOSS);
    /* The loss and each gradient are finite, the sum of the gradients' squares is not. */
    expect_divergence(spec, 0.0f, 1e10f, 1e15f, MR_DIVERGED_GRADIENT);
    /* No gradient now, but a moment from before, over an epsilon that is almost 0. */
    spec.optimiser.beta2 = 0.0f;
    spec.optimiser.epsilon = 1e-30f;
    expect_divergence(spec, 1e10f, 1.0f, 0.0f, MR_DIVERGED_WEIGHT);
    ck_assert_str_eq(mr_diverged_reason_text(MR_DIVERGED_WEIGHT), "weight");
}
END_TEST

START_TEST(batches_of_another_job_are_refused)
{
    const struct mr_run_spec labelled = sample_spec(sample_labelled_json);
    const struct mr_run_spec pricing = sample_spec(sample_pricing_json);
    const struct mr_batch range = mr_batch_of_sobol(0, 4);
    const struct mr_batch empty = mr_batch_of_sobol(0, 0);
    struct mr_engine *engine = open_engine(1);
    struct mr_model *model;
    struct mr_step_outcome outcome;
    ck_assert(!mr_failed(ops->model_new(engine, &labelled, &model)));
    ck_assert_str_eq(ops->step(model, &range, &outcome).code, "batch_kind");
    ops->model_free(model);
    ck_assert(!mr_failed(ops->model_new(engine, &pricing, &model)));
    ck_assert_str_eq(ops->step(model, &labelled_batch, &outcome).code, "batch_kind");
    ck_assert_str_eq(ops->step(model, &empty, &outcome).code, "batch_empty");
    ops->model_free(model);
    ops->close(engine);
}
END_TEST

/* Trains only the biases of a network without layers on one contract, until they are the target's mean. */
static struct mr_checkpoint train_constant(struct mr_run_spec spec, const float contract[MR_CONTRACT_FIELDS],
                                           uint64_t steps, float rate)
{
    struct mr_engine *engine = open_engine(2);
    struct mr_model *model;
    struct mr_checkpoint state;
    const struct mr_batch batch = {.kind = MR_BATCH_CONTRACTS, .rows = 1, .contracts = contract};
    spec.layers = 0;
    spec.schedule = (struct mr_schedule_spec){MR_SCHEDULE_COSINE, rate, 0.0f, 0, steps};
    ck_assert(!mr_failed(mr_checkpoint_init(&state, &spec)));
    ck_assert(!mr_failed(ops->model_load(engine, &state, &model)));
    mr_checkpoint_deinit(&state);
    for (uint64_t i = 0; i < steps; i++) {
        struct mr_step_outcome outcome;
        ck_assert(!mr_failed(ops->step(model, &batch, &outcome)));
        ck_assert(!outcome.diverged);
    }
    ck_assert(!mr_failed(ops->snapshot(model, &state)));
    ops->model_free(model);
    ops->close(engine);
    return state;
}

static const struct {
    const char *json, *find, *replace;
    float rate;
    double tolerance; /* in prices, of a spot of 100 */
} markets[] = {
    {sample_pricing_json, "\"seed\": 3", "\"seed\": 4", 0.01f, 0.05},
    {sample_pricing_json, "\"forward\"", "\"raw\"", 0.01f, 0.1},
    {sample_pricing_json, "\"timesteps\": 1", "\"timesteps\": 4", 0.01f, 0.05},
    {sample_pricing_json, "\"scheme\": \"log_euler\", \"normalisation\": \"forward\", \"timesteps\": 1",
     "\"scheme\": \"simple_euler\", \"normalisation\": \"forward\", \"timesteps\": 16", 0.01f, 0.15},
    {sample_pricing_json, "\"gaussian\"", "\"none\"", 0.02f, 0.1},
    {sample_payoff_json, "\"raw\", \"timesteps\": 3", "\"forward\", \"timesteps\": 16", 1.0f, 0.15},
    {sample_payoff_json, "\"scheme\": \"simple_euler\"", "\"scheme\": \"log_euler\"", 1.0f, 0.15},
};

START_TEST(the_paths_say_the_price)
{
    const struct mr_run_spec spec = sample_spec_with(markets[_i].json, markets[_i].find, markets[_i].replace);
    const float contract[] = {100, 105, 1, 0.05f, 0.02f, 0.25f};
    const double same[] = {100, 105, 1, 0.05, 0.02, 0.25};
    struct mr_checkpoint state = train_constant(spec, contract, 400, markets[_i].rate);
    struct mr_pricer *pricer;
    struct mr_price price;
    struct mr_contract_fault fault;
    const struct mr_price truth = mr_black_scholes(same);
    ck_assert(!mr_failed(mr_pricer_new(&state, &pricer)));
    ck_assert(!mr_failed(mr_pricer_price(pricer, contract, 1, &price, &fault)));
    ck_assert_double_eq_tol(price.put, truth.put, markets[_i].tolerance);
    ck_assert_double_eq_tol(price.call, truth.call, markets[_i].tolerance);
    mr_pricer_free(pricer);
    mr_checkpoint_deinit(&state);
}
END_TEST

struct worker {
    struct mr_model *model;
    uint64_t steps;
};

static void *work(void *argument)
{
    const struct worker *worker = argument;
    for (uint64_t i = 0; i < worker->steps; i++) {
        struct mr_step_outcome outcome;
        const struct mr_batch batch = mr_batch_of_sobol(i * 8, 8);
        if (mr_failed(ops->step(worker->model, &batch, &outcome))) {
            return argument;
        }
    }
    return NULL;
}

/* Two models of one engine on two threads, with snapshots between: they take turns and end equal. */
START_TEST(models_of_one_engine_take_turns)
{
    const struct mr_run_spec spec = sample_spec(sample_pricing_json);
    struct mr_engine *engine = open_engine(3);
    struct worker workers[2];
    pthread_t threads[2];
    struct mr_checkpoint state[2];
    for (int i = 0; i < 2; i++) {
        workers[i].steps = 10;
        ck_assert(!mr_failed(ops->model_new(engine, &spec, &workers[i].model)));
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        ck_assert(!mr_failed(ops->snapshot(workers[i % 2].model, &state[0])));
        mr_checkpoint_deinit(&state[0]);
    }
    for (int i = 0; i < 2; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
        ck_assert(!mr_failed(ops->snapshot(workers[i].model, &state[i])));
        ck_assert_uint_eq(state[i].step, 10);
    }
    ck_assert_mem_eq(state[0].weights, state[1].weights, 3 * state[0].parameters * sizeof(float));
    for (int i = 0; i < 2; i++) {
        mr_checkpoint_deinit(&state[i]);
        ops->model_free(workers[i].model);
    }
    ops->close(engine);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, devices_and_options_are_never_guessed);
    tcase_add_test(tests, divergence_leaves_the_state_as_it_was);
    tcase_add_test(tests, batches_of_another_job_are_refused);
    tcase_add_loop_test(tests, the_paths_say_the_price, 0, (int)MR_COUNT_OF(markets));
    tcase_add_test(tests, models_of_one_engine_take_turns);
}

int main(void)
{
    return check_main("engine_outcome", add);
}
