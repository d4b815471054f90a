/* Rule O10: a spec is refused with the path of its first fault; a good one has one encoding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "sample_spec.h"

static const struct {
    const char *json, *find, *replace, *path;
} faults[] = {
    {sample_pricing_json, "\"schema\": \"gbm\", ", "", "pricing.schema"},
    {sample_pricing_json, "\"inputs\": [\"T\", \"r\", \"d\", \"v\"]", "\"inputs\": []", "pricing.inputs"},
    {sample_pricing_json, "\"r\", \"d\", \"v\"]", "\"r\", \"T\", \"v\"]", "pricing.inputs[2]"},
    {sample_pricing_json, "{\"field\": \"X0\", \"lower\": 80, \"upper\": 120},", "", "pricing.domain"},
    {sample_pricing_json, "{\"field\": \"X0\"", "{\"field\": \"K\"", "pricing.domain[0].field"},
    {sample_pricing_json, "\"K\", \"lower\": 80", "\"K\", \"lower\": 0", "pricing.domain[1].lower"},
    {sample_pricing_json, "\"lower\": 0.25", "\"lower\": -0.25", "pricing.domain[2].lower"},
    {sample_pricing_json, "\"upper\": 0.06", "\"upper\": 0", "pricing.domain[3].upper"},
    {sample_pricing_json, "\"lower\": 0.1", "\"lower\": 0.5", "pricing.domain[5].upper"},
    {sample_pricing_json, "\"upper\": 0.03", "\"upper\": 1e-45", "pricing.domain[4]"},
    {sample_pricing_json, "\"scheme\": \"log_euler\", ", "", "pricing.simulation.scheme"},
    {sample_pricing_json, "\"normalisation\": \"forward\", ", "", "pricing.simulation.normalisation"},
    {sample_pricing_json, "\"timesteps\": 1", "\"timesteps\": 0", "pricing.simulation.timesteps"},
    {sample_pricing_json, "\"frequencies\": 40", "\"frequencies\": 5000",
     "pricing.characteristic_function.frequencies"},
    {sample_pricing_json, "\"width\": 10", "\"width\": 0", "pricing.characteristic_function.width"},
    {sample_pricing_json, "\"paths\": 1280", "\"paths\": 1281", "pricing.characteristic_function.paths"},
    {sample_pricing_json, "\"paths\": 1280", "\"paths\": 4000000000", "pricing.characteristic_function.paths"},
    {sample_pricing_json, ", \"envelope\": \"gaussian\"", "", "pricing.characteristic_function.envelope"},
    {sample_payoff_json, "\"network_size\": 16", "\"network_size\": 24", "pricing.payoff_fft.network_size"},
    {sample_payoff_json, "\"batches\": 70", "\"batches\": 65537", "pricing.payoff_fft.batches"},
    {sample_labelled_json, "\"features\": 5", "\"features\": 0", "labelled.features"},
    {sample_labelled_json, "\"labelled\": {\"features\": 5, \"targets\": 3},", "", "job"},
    {sample_pricing_json, "{\"width\": 9}", "{\"width\": 0}", "network.layers[2].linear.width"},
    {sample_pricing_json, "{\"kind\": \"modrelu\"}", "{}", "network.layers[3].activation.kind"},
    {sample_pricing_json, "{\"linear\": {\"width\": 9}}", "{\"batch_norm\": {\"kind\": \"naive\"}}",
     "network.layers[2].batch_norm"},
    {sample_pricing_json, "{\"linear\": {\"width\": 9}}", "{\"residual\": {}}", "network.layers[2].residual"},
    {sample_pricing_json, "{\"linear\": {\"width\": 9}}", "{}", "network.layers[2]"},
    {sample_pricing_json, "{\"linear\": {\"width\": 9}}",
     "{\"linear\": {\"width\": 4096}},{\"linear\": {\"width\": 4096}}", "network"},
    {sample_pricing_json, "\"beta1\": 0.9", "\"beta1\": 1", "optimiser.beta1"},
    {sample_pricing_json, "\"beta2\": 0.999", "\"beta2\": -0.1", "optimiser.beta2"},
    {sample_pricing_json, ", \"epsilon\": 1e-8", "", "optimiser.epsilon"},
    {sample_pricing_json, "\"epsilon\": 1e-8", "\"epsilon\": 1e-8, \"weight_decay\": 2", "optimiser.weight_decay"},
    {sample_pricing_json, "\"epsilon\": 1e-8", "\"epsilon\": 1e-8, \"clip_norm\": -1", "optimiser.clip_norm"},
    {sample_pricing_json, "\"learning_rate\": 0.004", "\"learning_rate\": 0", "schedule.constant.learning_rate"},
    {sample_pricing_json, "{\"constant\": {\"learning_rate\": 0.004}}", "{}", "schedule"},
    {sample_pricing_json, "{\"constant\": {\"learning_rate\": 0.004}}",
     "{\"cosine\": {\"peak_rate\": 0.1, \"final_rate\": 0.2, \"total_steps\": 9}}", "schedule.cosine.final_rate"},
    {sample_pricing_json, "{\"constant\": {\"learning_rate\": 0.004}}",
     "{\"cosine\": {\"peak_rate\": 0.1, \"warmup_steps\": 9, \"total_steps\": 9}}", "schedule.cosine.warmup_steps"},
    {sample_pricing_json, "\"every_steps\": 10", "\"every_steps\": 0", "commit_plan.interval_commit.every_steps"},
    {sample_pricing_json, "\"dtype_policy\": \"keep\", ", "", "dtype_policy"},
    {sample_pricing_json, "{model} at", "{modell} at", "message_template"},
    {sample_pricing_json, "{model} at", "{model at", "message_template"},
    {sample_pricing_json, "{model} at", "model} at", "message_template"},
    {sample_pricing_json, "{model} at", "\\u0007", "message_template"},
    {sample_pricing_json, "\"alpha\"", "\"Alpha\"", "tags[0].key"},
    {sample_pricing_json, "\"alpha\"", "\"beta\"", "tags[1].key"},
    {sample_pricing_json, "\"alpha\"", "\"gamma\"", "tags[1].key"},
    {sample_pricing_json, "\"init_seed\": 11", "\"study_id\": \"../x\"", "study_id"},
    {sample_pricing_json, "\"init_seed\": 11", "\"trial_id\": \"-x\"", "trial_id"},
    {sample_pricing_json, "\"init_seed\": 11", "\"restart_from\": {\"version_id\": \"v1\"}", "restart_from.version_id"},
    {sample_pricing_json, "\"init_seed\": 11",
     "\"restart_from\": {\"version_id\": \"v0000000042_0123abcd\", \"content_hash\": \"00ff\"}",
     "restart_from.content_hash"},
    {sample_pricing_json, "\"init_seed\": 11", "\"spectral_norm\": {\"enabled\": true}", "spectral_norm.enabled"},
    {sample_pricing_json, "mr-f32-v1", "mr-f64-v1", "arithmetic_profile"},
};

START_TEST(a_fault_is_named_by_its_path)
{
    Millrace__Run__V1__RunSpec *wire = NULL;
    struct mr_field_fault fault = {"", ""};
    struct mr_run_spec spec;
    struct mr_run_spec untouched;
    memset(&spec, 0x5a, sizeof spec);
    memset(&untouched, 0x5a, sizeof untouched);
    char *json = sample_replaced(faults[_i].json, faults[_i].find, faults[_i].replace);
    struct mr_error error = mr_run_spec_from_json(mr_bytes_of_text(json), &wire, &fault);
    ck_assert_msg(!mr_failed(error), "%s: %s", faults[_i].path, error.detail);
    error = mr_run_spec_decode(wire, &spec, &fault);
    ck_assert_msg(error.kind == MR_ERROR_REJECT, "%s is accepted", faults[_i].path);
    ck_assert_str_eq(error.code, "bad_spec");
    ck_assert_str_eq(fault.path, faults[_i].path);
    ck_assert_uint_gt(strlen(fault.expected), 0);
    ck_assert_mem_eq(&spec, &untouched, sizeof spec);
    millrace__run__v1__run_spec__free_unpacked(wire, NULL);
    free(json);
}
END_TEST

static const struct {
    const char *find, *replace, *path;
} json_faults[] = {
    {"\"init_seed\": 11", "\"init_sead\": 11", "init_sead"},
    {"{\"width\": 9}", "{\"width\": 9, \"height\": 1}", "network.layers[2].linear.height"},
    {"{\"width\": 9}", "{\"width\": \"nine\"}", "network.layers[2].linear.width"},
    {"{\"width\": 9}", "{\"width\": -9}", "network.layers[2].linear.width"},
    {"{\"width\": 9}", "{\"width\": 4294967296}", "network.layers[2].linear.width"},
    {"{\"linear\": {\"width\": 9}}", "{\"linear\": {}, \"activation\": {}}", "network.layers[2].activation"},
    {"\"csilu\"", "\"relu\"", "network.layers[1].activation.kind"},
    {"\"csilu\"", "\"unspecified\"", "network.layers[1].activation.kind"},
    {"\"upper\": 0.06", "\"upper\": 1e39", "pricing.domain[3].upper"},
    {"\"antithetic\": true", "\"antithetic\": 1", "pricing.simulation.antithetic"},
    {"\"init_seed\": 11", "\"restart_from\": {\"content_hash\": \"0G\"}", "restart_from.content_hash"},
    {"\"init_seed\": 11", "\"init_seed\": \"18446744073709551616\"", "init_seed"},
    {"\"init_seed\": 11", "\"init_seed\": 11, \"init_seed\": 12", "line 1"},
};

START_TEST(json_faults_are_named_by_their_path)
{
    Millrace__Run__V1__RunSpec *wire = NULL;
    struct mr_field_fault fault = {"", ""};
    char *json = sample_replaced(sample_pricing_json, json_faults[_i].find, json_faults[_i].replace);
    const struct mr_error error = mr_run_spec_from_json(mr_bytes_of_text(json), &wire, &fault);
    ck_assert_msg(error.kind == MR_ERROR_REJECT, "%s is accepted", json_faults[_i].path);
    ck_assert_str_eq(error.code, "bad_json");
    ck_assert_str_eq(fault.path, json_faults[_i].path);
    ck_assert_ptr_null(wire);
    free(json);
}
END_TEST

START_TEST(json_values_arrive)
{
    const struct mr_run_spec spec =
        sample_spec_with(sample_pricing_json, "\"init_seed\": 11", "\"init_seed\": \"18446744073709551615\"");
    ck_assert_uint_eq(spec.init_seed, UINT64_MAX);
    ck_assert_int_eq(spec.job, MR_JOB_PRICING);
    ck_assert_uint_eq(spec.pricing.inputs, 4);
    ck_assert_int_eq(spec.pricing.input[3], MR_CONTRACT_V);
    ck_assert(spec.pricing.domain[MR_CONTRACT_R].upper == 0.06f);
    ck_assert(spec.pricing.simulation.antithetic);
    ck_assert_uint_eq(spec.pricing.characteristic_function.paths, 1280);
    ck_assert_uint_eq(spec.layers, 4);
    ck_assert_uint_eq(spec.layer[2].width, 9);
    ck_assert_int_eq(spec.layer[3].activation, MR_ACTIVATION_MODRELU);
    ck_assert_int_eq(spec.commit, MR_COMMIT_INTERVAL);
    ck_assert_uint_eq(spec.commit_every_steps, 10);
    ck_assert_int_eq(spec.version_bump, MR_BUMP_MINOR);
    ck_assert_str_eq(spec.tag[1].key, "beta");
    ck_assert_uint_eq(spec.max_rows, 100);
    ck_assert_uint_eq(mr_run_spec_outputs(&spec), 40);
    ck_assert_uint_eq(mr_run_spec_inputs(&spec), 4);
}
END_TEST

static const char *const all_samples[] = {sample_pricing_json, sample_payoff_json, sample_labelled_json};

START_TEST(a_spec_has_one_encoding)
{
    const struct mr_run_spec spec = sample_spec(all_samples[_i]);
    struct mr_run_spec again;
    struct mr_field_fault fault;
    struct mr_buffer first = {0};
    struct mr_buffer second = {0};
    ck_assert(!mr_failed(mr_run_spec_encode(&spec, &first)));
    ck_assert(!mr_failed(mr_run_spec_unpack(mr_buffer_view(&first), &again, &fault)));
    ck_assert(!mr_failed(mr_run_spec_encode(&again, &second)));
    ck_assert(mr_bytes_equal(mr_buffer_view(&first), mr_buffer_view(&second)));
    mr_buffer_deinit(&first);
    mr_buffer_deinit(&second);
}
END_TEST

/* Two ways to write the same spec. */
START_TEST(equal_specs_have_equal_bytes)
{
    const struct mr_run_spec plain = sample_spec(sample_pricing_json);
    const struct mr_run_spec wordy =
        sample_spec_with(sample_pricing_json, "\"init_seed\": 11",
                         "\"init_seed\": 11, \"spectral_norm\": {\"enabled\": false}, \"study_id\": \"\"");
    struct mr_buffer first = {0};
    struct mr_buffer second = {0};
    ck_assert(!mr_failed(mr_run_spec_encode(&plain, &first)));
    ck_assert(!mr_failed(mr_run_spec_encode(&wordy, &second)));
    ck_assert(mr_bytes_equal(mr_buffer_view(&first), mr_buffer_view(&second)));
    mr_buffer_deinit(&first);
    mr_buffer_deinit(&second);
}
END_TEST

START_TEST(unknown_fields_are_refused_where_they_stand)
{
    Millrace__Run__V1__RunSpec *wire = NULL;
    struct mr_field_fault fault = {"", ""};
    struct mr_run_spec spec;
    uint8_t byte = 1;
    ProtobufCMessageUnknownField unknown = {
        .tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = &byte};
    ck_assert(!mr_failed(mr_run_spec_from_json(mr_bytes_of_text(sample_pricing_json), &wire, &fault)));
    ProtobufCMessage *inside = &wire->network->layers[2]->linear->base;
    inside->n_unknown_fields = 1;
    inside->unknown_fields = &unknown;
    ck_assert_int_eq(mr_run_spec_decode(wire, &spec, &fault).kind, MR_ERROR_REJECT);
    ck_assert_str_eq(fault.path, "network.layers[2].linear.field 99");
    inside->n_unknown_fields = 0;
    inside->unknown_fields = NULL;
    millrace__run__v1__run_spec__free_unpacked(wire, NULL);
}
END_TEST

START_TEST(numbers_that_are_not_finite_are_refused)
{
    static const char *const paths[] = {
        "pricing.domain[0].lower", "pricing.domain[0].upper",         "optimiser.beta1",
        "optimiser.clip_norm",     "schedule.constant.learning_rate", "pricing.characteristic_function.width"};
    const float bad[] = {(float)NAN, (float)INFINITY};
    for (size_t i = 0; i < MR_COUNT_OF(paths) * 2; i++) {
        Millrace__Run__V1__RunSpec *wire = NULL;
        struct mr_field_fault fault = {"", ""};
        struct mr_run_spec spec;
        ck_assert(!mr_failed(mr_run_spec_from_json(mr_bytes_of_text(sample_pricing_json), &wire, &fault)));
        float *const members[] = {&wire->pricing->domain[0]->lower,
                                  &wire->pricing->domain[0]->upper,
                                  &wire->optimiser->beta1,
                                  &wire->optimiser->clip_norm,
                                  &wire->schedule->constant->learning_rate,
                                  &wire->pricing->characteristic_function->width};
        *members[i / 2] = bad[i % 2];
        ck_assert_int_eq(mr_run_spec_decode(wire, &spec, &fault).kind, MR_ERROR_REJECT);
        ck_assert_str_eq(fault.path, paths[i / 2]);
        millrace__run__v1__run_spec__free_unpacked(wire, NULL);
    }
}
END_TEST

START_TEST(texts_that_are_not_utf8_are_refused)
{
    Millrace__Run__V1__RunSpec *wire = NULL;
    struct mr_field_fault fault = {"", ""};
    struct mr_run_spec spec;
    ck_assert(!mr_failed(mr_run_spec_from_json(mr_bytes_of_text(sample_pricing_json), &wire, &fault)));
    wire->tags[0]->value[0] = (char)0xff;
    ck_assert_int_eq(mr_run_spec_decode(wire, &spec, &fault).kind, MR_ERROR_REJECT);
    ck_assert_str_eq(fault.path, "tags[0].value");
    wire->message_template[0] = (char)0xff;
    ck_assert_int_eq(mr_run_spec_decode(wire, &spec, &fault).kind, MR_ERROR_REJECT);
    ck_assert_str_eq(fault.path, "message_template");
    millrace__run__v1__run_spec__free_unpacked(wire, NULL);
}
END_TEST

START_TEST(messages_are_filled_in)
{
    char text[MR_MESSAGE_SIZE];
    const struct mr_message_facts facts = {"r1", "m1", "b7", 12, 0.5f};
    mr_message_render("", &facts, text);
    ck_assert_str_eq(text, "Checkpoint at step 12");
    mr_message_render("{run}/{model}/{batch}: {step}, {loss}", &facts, text);
    ck_assert_str_eq(text, "r1/m1/b7: 12, 0.5");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, a_fault_is_named_by_its_path, 0, (int)MR_COUNT_OF(faults));
    tcase_add_loop_test(tests, json_faults_are_named_by_their_path, 0, (int)MR_COUNT_OF(json_faults));
    tcase_add_loop_test(tests, a_spec_has_one_encoding, 0, (int)MR_COUNT_OF(all_samples));
    tcase_add_test(tests, json_values_arrive);
    tcase_add_test(tests, equal_specs_have_equal_bytes);
    tcase_add_test(tests, unknown_fields_are_refused_where_they_stand);
    tcase_add_test(tests, numbers_that_are_not_finite_are_refused);
    tcase_add_test(tests, texts_that_are_not_utf8_are_refused);
    tcase_add_test(tests, messages_are_filled_in);
}

int main(void)
{
    return check_main("model_spec", add);
}
