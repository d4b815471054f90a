/*
 * Promise 3: the same bits for any thread count and instruction set, and through a snapshot. The expected hashes are
 * written down: a change of any of them is a change of the arithmetic profile and needs another name for it.
 */
#include <string.h>

#include "check_main.h"
#include "millrace/engine.h"
#include "millrace/sobol.h"
#include "sample_spec.h"

enum { STEPS = 6, ROWS = 21 };

static const struct {
    const char *json, *find, *replace, *hash;
} cases[] = {
    {sample_pricing_json, "\"seed\": 3", "\"seed\": 3",
     "7b50023b5ce7c491a46d91b7fe6082703dc363b889fcce4e8ef99288fa3eba1b"},
    {sample_pricing_json, "\"log_euler\"", "\"simple_euler\"",
     "5ad69a76707006821cca0e6041eeb11b7f42fc685879843ff08801c40f8ddbd8"},
    {sample_pricing_json, "\"antithetic\": true", "\"antithetic\": false",
     "ca05558f634323dd53da649e26077815ad25194de1bef3a47ee08870b09649b8"},
    {sample_pricing_json, "\"gaussian\"", "\"none\"",
     "3bb77df79039777700183ab188542c1f8e597df719b609cf9b06587a30da07cf"},
    {sample_payoff_json, "\"seed\": 3", "\"seed\": 3",
     "146c9fbc5f9273e4bf84ccc4cab57ee71b37c0479105f01614754fe663b22064"},
    {sample_payoff_json, "\"normalisation\": \"raw\"", "\"normalisation\": \"forward\"",
     "d2e9993bb00ed92f889759407364bfcb64b4187fedd282adb70cc5b8394d3e80"},
    {sample_labelled_json, "\"csilu\"", "\"zrelu\"",
     "5a56eab44609de3f6aa689a0a22232d5ec1e511ef07f4f7607689529c2a870db"},
    {sample_labelled_json, "\"csilu\"", "\"crelu\"",
     "cfd1857e4d112aa0ac5b156e593a1f342abd1e7fad5afb54c2cf11ef2330cdd0"},
};

static float features[ROWS * 5], targets[ROWS * 6];

static struct mr_batch batch_of(const struct mr_run_spec *spec, uint64_t step)
{
    if (spec->job == MR_JOB_PRICING) {
        return mr_batch_of_sobol(step * ROWS, ROWS);
    }
    for (size_t i = 0; i < MR_COUNT_OF(features); i++) {
        features[i] = (float)((i * 7 + step) % 11) / 4.0f - 1.0f;
    }
    for (size_t i = 0; i < MR_COUNT_OF(targets); i++) {
        targets[i] = (float)((i * 5 + step) % 13) / 8.0f - 0.5f;
    }
    return (struct mr_batch){.kind = MR_BATCH_LABELLED, .rows = ROWS, .features = features, .targets = targets};
}

static const struct mr_engine_ops *ops;

static struct mr_engine *open_engine(uint32_t threads, const char *isa)
{
    const struct mr_engine_options options = {"cpu", threads, isa};
    struct mr_engine *engine = NULL;
    ck_assert(!mr_failed(mr_engine_select("cpu", &ops)));
    const struct mr_error error = ops->open(&options, &engine);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    return engine;
}

static void run_steps(struct mr_model *model, const struct mr_run_spec *spec, uint64_t from, uint64_t to)
{
    for (uint64_t step = from; step < to; step++) {
        struct mr_step_outcome outcome;
        const struct mr_batch batch = batch_of(spec, step);
        ck_assert(!mr_failed(ops->step(model, &batch, &outcome)));
        ck_assert(!outcome.diverged);
        ck_assert_uint_eq(outcome.step, step + 1);
        ck_assert_uint_eq(outcome.samples, (step + 1) * ROWS);
    }
}

static void hash_model(struct mr_model *model, char ret_text[MR_SHA256_TEXT_SIZE])
{
    struct mr_checkpoint state;
    struct mr_buffer bytes = {0};
    ck_assert(!mr_failed(ops->snapshot(model, &state)));
    ck_assert(!mr_failed(mr_checkpoint_encode(&state, &bytes)));
    const struct mr_sha256 hash = mr_sha256_of(mr_buffer_view(&bytes));
    mr_sha256_text(&hash, ret_text);
    mr_buffer_deinit(&bytes);
    mr_checkpoint_deinit(&state);
}

static struct mr_run_spec spec_of(int i)
{
    return sample_spec_with(cases[i].json, cases[i].find, cases[i].replace);
}

static const struct {
    uint32_t threads;
    const char *isa;
} engines[] = {{1, "baseline"}, {1, NULL}, {2, NULL}, {3, NULL}, {7, NULL}, {64, NULL}};

START_TEST(every_engine_gives_the_written_hash)
{
    const struct mr_run_spec spec = spec_of(_i);
    for (size_t i = 0; i < MR_COUNT_OF(engines); i++) {
        struct mr_engine *engine = open_engine(engines[i].threads, engines[i].isa);
        struct mr_model *model;
        char text[MR_SHA256_TEXT_SIZE];
        ck_assert(!mr_failed(ops->model_new(engine, &spec, &model)));
        run_steps(model, &spec, 0, STEPS);
        hash_model(model, text);
        ck_assert_msg(strcmp(text, cases[_i].hash) == 0, "case %d, %s, %u threads: %s, expected %s", _i,
                      ops->isa(engine), (unsigned)engines[i].threads, text, cases[_i].hash);
        ops->model_free(model);
        ops->close(engine);
    }
}
END_TEST

START_TEST(a_snapshot_in_the_middle_changes_nothing)
{
    const struct mr_run_spec spec = spec_of(_i);
    struct mr_engine *engine = open_engine(2, NULL);
    struct mr_model *model;
    struct mr_checkpoint middle;
    struct mr_checkpoint decoded;
    struct mr_buffer bytes = {0};
    char text[MR_SHA256_TEXT_SIZE];
    ck_assert(!mr_failed(ops->model_new(engine, &spec, &model)));
    run_steps(model, &spec, 0, STEPS / 2);
    ck_assert(!mr_failed(ops->snapshot(model, &middle)));
    ops->model_free(model);
    ck_assert(!mr_failed(mr_checkpoint_encode(&middle, &bytes)));
    ck_assert(!mr_failed(mr_checkpoint_decode(mr_buffer_view(&bytes), &decoded)));
    ck_assert(!mr_failed(ops->model_load(engine, &decoded, &model)));
    run_steps(model, &spec, STEPS / 2, STEPS);
    hash_model(model, text);
    ck_assert_str_eq(text, cases[_i].hash);
    ops->model_free(model);
    ops->close(engine);
    mr_buffer_deinit(&bytes);
    mr_checkpoint_deinit(&middle);
    mr_checkpoint_deinit(&decoded);
}
END_TEST

/* Explicit contracts that are the range's points are the same batch. */
START_TEST(a_range_is_its_contracts)
{
    const struct mr_run_spec spec = spec_of(0);
    struct mr_engine *engine = open_engine(2, NULL);
    char text[2][MR_SHA256_TEXT_SIZE];
    for (int listed = 0; listed < 2; listed++) {
        struct mr_model *model;
        float rows[ROWS][MR_CONTRACT_FIELDS];
        struct mr_step_outcome outcome;
        struct mr_batch batch = mr_batch_of_sobol(40, ROWS);
        for (uint64_t i = 0; i < ROWS; i++) {
            mr_sobol_contract(&spec.pricing, 40 + i, rows[i]);
        }
        if (listed != 0) {
            ck_assert(!mr_failed(mr_batch_of_packed(&spec, ROWS, mr_bytes_of(rows, sizeof rows), &batch)));
        }
        ck_assert(!mr_failed(ops->model_new(engine, &spec, &model)));
        ck_assert(!mr_failed(ops->step(model, &batch, &outcome)));
        hash_model(model, text[listed]);
        ops->model_free(model);
    }
    ck_assert_str_eq(text[0], text[1]);
    ops->close(engine);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, every_engine_gives_the_written_hash, 0, (int)MR_COUNT_OF(cases));
    tcase_add_loop_test(tests, a_snapshot_in_the_middle_changes_nothing, 0, (int)MR_COUNT_OF(cases));
    tcase_add_test(tests, a_range_is_its_contracts);
}

int main(void)
{
    return check_main("engine_bits", add);
}
