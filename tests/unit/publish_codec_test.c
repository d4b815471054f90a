/* What publish reads and writes. */
#include "check_main.h"
#include "publish_codec.h"

#include "millrace/metric/v1/metric.pb-c.h"
#include "millrace/step/v1/step.pb-c.h"
#include "millrace/version/v1/version.pb-c.h"

#include <string.h>

static struct mr_arena arena;

static struct mr_bytes packed(const ProtobufCMessage *message)
{
    uint8_t *bytes = mr_arena_alloc(&arena, protobuf_c_message_get_packed_size(message) + 1);
    return mr_bytes_of(bytes, protobuf_c_message_pack(message, bytes));
}

static const struct mr_stage_stamp stamp = {
    .model_id = "m1", .log_id = {{7}}, .partition = 3, .origin = 42, .has_prev = true, .prev = 41};

START_TEST(a_step_becomes_a_metric)
{
    Millrace__Step__V1__StepTrained step;
    millrace__step__v1__step_trained__init(&step);
    Millrace__Step__V1__Stepped stepped;
    millrace__step__v1__stepped__init(&stepped);
    char run[] = "run-1", batch[] = "b-9";
    step.run_id = run;
    step.step = 9;
    stepped.batch_id = batch;
    stepped.loss = 0.25f;
    stepped.gradient_norm = 2;
    stepped.learning_rate = 0.5f;
    stepped.rows = 32;
    stepped.samples = 288;
    step.event_case = MILLRACE__STEP__V1__STEP_TRAINED__EVENT_STEPPED;
    step.stepped = &stepped;

    struct mr_bytes value;
    struct publish_progress progress, again;
    ck_assert(!mr_failed(publish_metric_of_step(packed(&step.base), &stamp, &arena, &value, &progress)));
    ck_assert_str_eq(progress.phase, "training");
    ck_assert_str_eq(progress.model_id, "m1");
    ck_assert_uint_eq(progress.step, 9);
    ck_assert(progress.has_numbers);
    ck_assert_uint_eq(progress.samples, 288);

    Millrace__Metric__V1__MetricPublished *metric =
        millrace__metric__v1__metric_published__unpack(NULL, value.size, value.data);
    ck_assert_ptr_nonnull(metric);
    ck_assert_uint_eq(metric->stamp->origin->offset, 42);
    ck_assert_uint_eq(metric->stamp->origin->partition, 3);
    ck_assert_uint_eq(metric->stamp->prev->value, 41);
    ck_assert_int_eq(metric->event_case, MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_STEPPED);
    ck_assert_str_eq(metric->stepped->batch_id, "b-9");
    ck_assert_float_eq(metric->stepped->loss, 0.25f);
    ck_assert_float_eq(metric->stepped->gradient_norm, 2);
    ck_assert_float_eq(metric->stepped->learning_rate, 0.5f);
    ck_assert_uint_eq(metric->stepped->rows, 32);
    millrace__metric__v1__metric_published__free_unpacked(metric, NULL);

    ck_assert(!mr_failed(publish_metric_read(value, &arena, &again)));
    ck_assert_str_eq(again.run_id, progress.run_id);
    ck_assert_float_eq(again.loss, progress.loss);
}
END_TEST

static const struct {
    Millrace__Run__V1__RunOutcome outcome;
    const char *phase;
} closings[] = {
    {MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_COMPLETED, "completed"},
    {MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_FAILED, "failed"},
    {MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_CANCELLED, "cancelled"},
};

START_TEST(a_closed_run_says_how_it_ended)
{
    Millrace__Step__V1__StepTrained step;
    millrace__step__v1__step_trained__init(&step);
    Millrace__Step__V1__RunClosed closed;
    millrace__step__v1__run_closed__init(&closed);
    char run[] = "r";
    step.run_id = run;
    closed.outcome = closings[_i].outcome;
    step.event_case = MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_CLOSED;
    step.run_closed = &closed;
    struct mr_bytes value;
    struct publish_progress progress;
    ck_assert(!mr_failed(publish_metric_of_step(packed(&step.base), &stamp, &arena, &value, &progress)));
    ck_assert_str_eq(progress.phase, closings[_i].phase);
    ck_assert(!progress.has_numbers);
}
END_TEST

START_TEST(what_cannot_be_read_is_refused)
{
    struct mr_bytes value = {0};
    struct publish_progress progress = {0};
    struct publish_version version = {0};
    const struct mr_bytes garbage = mr_bytes_of_text("\xff\xff\xff");
    ck_assert_str_eq(publish_metric_of_step(garbage, &stamp, &arena, &value, &progress).code, "unreadable");
    ck_assert_str_eq(publish_version_of_commit(garbage, &stamp, &arena, &value, &version).code, "unreadable");

    Millrace__Step__V1__StepTrained step;
    millrace__step__v1__step_trained__init(&step); /* without an event */
    char run[] = "r";
    step.run_id = run;
    ck_assert_str_eq(publish_metric_of_step(packed(&step.base), &stamp, &arena, &value, &progress).code, "unreadable");

    Millrace__Version__V1__VersionCommitted committed;
    millrace__version__v1__version_committed__init(&committed);
    ck_assert_str_eq(publish_version_of_commit(packed(&committed.base), &stamp, &arena, &value, &version).code,
                     "unreadable");
    ck_assert_ptr_null(value.data);
    ck_assert_ptr_null(progress.phase);
}
END_TEST

START_TEST(a_commit_becomes_a_version)
{
    uint8_t content[32], record[32], commit[32];
    memset(content, 0xaa, 32);
    memset(record, 0xbb, 32);
    memset(commit, 0xcc, 32);
    Millrace__Version__V1__Version wire;
    millrace__version__v1__version__init(&wire);
    char model[] = "m1", id[] = "v0000000002_aaaaaaaa";
    wire.model_id = model;
    wire.version_id = id;
    wire.counter = 2;
    wire.content_hash = (ProtobufCBinaryData){32, content};
    wire.record_hash = (ProtobufCBinaryData){32, record};
    wire.commit_id = (ProtobufCBinaryData){32, commit};
    Millrace__Version__V1__VersionCommitted committed;
    millrace__version__v1__version_committed__init(&committed);
    committed.version = &wire;
    struct mr_bytes value;
    struct publish_version version, again;
    ck_assert(!mr_failed(publish_version_of_commit(packed(&committed.base), &stamp, &arena, &value, &version)));
    ck_assert_uint_eq(version.counter, 2);
    ck_assert_uint_eq(strspn(version.commit_text, "c"), 64);
    ck_assert(!mr_failed(publish_version_read(value, &arena, &again)));
    ck_assert_str_eq(again.content_hash, version.content_hash);

    wire.commit_id.len = 31;
    ck_assert_str_eq(publish_version_of_commit(packed(&committed.base), &stamp, &arena, &value, &version).code,
                     "unreadable");
}
END_TEST

static void add(TCase *codec)
{
    tcase_add_test(codec, a_step_becomes_a_metric);
    tcase_add_loop_test(codec, a_closed_run_says_how_it_ended, 0, (int)MR_COUNT_OF(closings));
    tcase_add_test(codec, what_cannot_be_read_is_refused);
    tcase_add_test(codec, a_commit_becomes_a_version);
}

int main(void)
{
    const int status = check_main("publish_codec", add);
    mr_arena_deinit(&arena);
    return status;
}
