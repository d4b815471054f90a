/* The fold: from any checkpoint it goes on to the very bytes that a straight run gives. */
#include "check_main.h"
#include "memory_store.h"
#include "submitted.h"
#include "train_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_MAX = 64, CUTS_MAX = 32 };

struct log {
    struct mr_buffer value[LOG_MAX]; /* of batches.validated */
    size_t count;
};

struct cut {
    size_t at; /* records folded in */
    struct mr_buffer bytes;
    struct mr_sha256 hash;
};

struct course {
    struct cut cut[CUTS_MAX];
    size_t cuts;
    enum train_decision_kind what[LOG_MAX];
};

static const struct mr_engine_ops *ops;
static struct mr_engine *engine;
static struct mr_store *store;

static void set_up(void)
{
    const struct mr_engine_options options = {.device = "cpu", .threads = 1};
    ck_assert(!mr_failed(mr_engine_select("cpu", &ops)));
    ck_assert(!mr_failed(ops->open(&options, &engine)));
    store = memory_store_new(1);
}

static void tear_down(void)
{
    ops->close(engine);
    mr_store_close(store);
}

static void add_record(struct log *log, struct mr_buffer submitted)
{
    Millrace__Batch__V1__Validated wire;
    millrace__batch__v1__validated__init(&wire);
    wire.submitted.data = submitted.data;
    wire.submitted.len = submitted.size;
    wire.precision = MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP;
    struct mr_buffer *value = &log->value[log->count++];
    const size_t size = millrace__batch__v1__validated__get_packed_size(&wire);
    ck_assert(!mr_failed(mr_buffer_reserve(value, size)));
    value->size = millrace__batch__v1__validated__pack(&wire, value->data);
    mr_buffer_deinit(&submitted);
}

static void log_free(struct log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        mr_buffer_deinit(&log->value[i]);
    }
}

static void course_free(struct course *course)
{
    for (size_t i = 0; i < course->cuts; i++) {
        mr_buffer_deinit(&course->cut[i].bytes);
    }
}

static void add_sobol(struct log *log, const char *run, unsigned start)
{
    char payload[64];
    snprintf(payload, sizeof payload, "\"sobol_range\":{\"start\":%u,\"count\":3}", start);
    add_record(log, submitted_batch(run, "m", "", payload));
}

static void add_labelled(struct log *log, const char *run, float target)
{
    add_record(log, submitted_labelled(run, "m", target));
}

#define EVERY_2 "\"interval_commit\":{\"every_steps\":2}"
#define FINAL_EVERY_4 "\"final_and_interval_commit\":{\"every_steps\":4}"

static const char pricing[] = SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP);
static const char labelled[] = SUBMITTED_LABELLED_SPEC(SUBMITTED_KEEP);

/* Folds the records from `begin` on. */
static void run_from(const struct log *log, size_t begin, struct train_fold *fold, struct train_chain chain,
                     struct course *course)
{
    for (size_t i = begin; i < log->count; i++) {
        struct train_outcome outcome;
        const struct mr_error error =
            train_fold_validated(fold, &chain, store, mr_buffer_view(&log->value[i]), &outcome);
        ck_assert_msg(!mr_failed(error), "record %zu: %s: %s", i, error.code, error.detail);
        course->what[i] = outcome.what;
        ck_assert_uint_eq(fold->state.applied, i + 1);
        if (outcome.has_cut) {
            struct cut *cut = &course->cut[course->cuts++];
            cut->at = i + 1;
            ck_assert(!mr_failed(train_cut_seal(&outcome.cut, &chain, &cut->bytes)));
            cut->hash = chain.last;
        }
        train_outcome_deinit(&outcome);
    }
}

static void straight(const struct log *log, struct course *course)
{
    struct train_fold fold;
    train_fold_init(&fold, ops, engine, "m");
    run_from(log, 0, &fold, (struct train_chain){.some = false}, course);
    train_fold_deinit(&fold);
}

/* From each checkpoint of the course the rest comes out the same, to the byte. */
static void check_resumes(const struct log *log, const struct course *course)
{
    for (size_t c = 0; c < course->cuts; c++) {
        struct mr_checkpoint checkpoint;
        struct train_fold fold;
        struct course rest = {.cuts = 0};
        ck_assert(!mr_failed(mr_checkpoint_decode(mr_buffer_view(&course->cut[c].bytes), &checkpoint)));
        train_fold_init(&fold, ops, engine, "m");
        ck_assert(!mr_failed(train_fold_hydrate(&fold, &checkpoint)));
        mr_checkpoint_deinit(&checkpoint);
        ck_assert_uint_eq(fold.state.applied, course->cut[c].at);
        run_from(log, course->cut[c].at, &fold, (struct train_chain){true, course->cut[c].hash}, &rest);
        ck_assert_uint_eq(rest.cuts, course->cuts - c - 1);
        for (size_t i = 0; i < rest.cuts; i++) {
            ck_assert(
                mr_bytes_equal(mr_buffer_view(&rest.cut[i].bytes), mr_buffer_view(&course->cut[c + 1 + i].bytes)));
        }
        for (size_t i = course->cut[c].at; i < log->count; i++) {
            ck_assert_int_eq(rest.what[i], course->what[i]);
        }
        train_fold_deinit(&fold);
        course_free(&rest);
    }
}

START_TEST(any_checkpoint_goes_on_to_the_same_bytes)
{
    struct log log = {.count = 0};
    struct course course = {.cuts = 0};
    add_record(&log, submitted_start("r1", "m", submitted_planned(pricing, EVERY_2)));
    for (unsigned i = 0; i < 5; i++) {
        add_sobol(&log, "r1", 3 * i);
    }
    add_record(&log, submitted_stop("r1", "m"));
    add_record(&log, submitted_start("r2", "m", submitted_planned(labelled, FINAL_EVERY_4)));
    for (unsigned i = 0; i < 6; i++) {
        add_labelled(&log, "r2", (float)i);
    }
    add_record(&log, submitted_stop("r2", "m"));
    straight(&log, &course);
    ck_assert_uint_eq(course.cuts, 2 + 2); /* r1 at 2 and 4; r2 at 4 and at its end */
    check_resumes(&log, &course);
    course_free(&course);
    log_free(&log);
}
END_TEST

START_TEST(a_checkpoint_names_the_one_before)
{
    struct log log = {.count = 0};
    struct course course = {.cuts = 0};
    add_record(&log, submitted_start("r1", "m", submitted_planned(pricing, EVERY_2)));
    for (unsigned i = 0; i < 4; i++) {
        add_sobol(&log, "r1", 3 * i);
    }
    straight(&log, &course);
    struct mr_checkpoint first, second;
    ck_assert(!mr_failed(mr_checkpoint_decode(mr_buffer_view(&course.cut[0].bytes), &first)));
    ck_assert(!mr_failed(mr_checkpoint_decode(mr_buffer_view(&course.cut[1].bytes), &second)));
    ck_assert(!first.has_previous);
    ck_assert(second.has_previous && mr_sha256_equal(&second.previous, &course.cut[0].hash));
    ck_assert_uint_eq(second.step, 4);
    ck_assert_uint_eq(second.samples, 12);
    ck_assert_uint_eq(second.applied, 5);
    ck_assert_str_eq(second.run_id, "r1");
    ck_assert(!second.run_closed);
    mr_checkpoint_deinit(&first);
    mr_checkpoint_deinit(&second);
    course_free(&course);
    log_free(&log);
}
END_TEST

/* Rule A3, C13: a diverged run gives no checkpoint any more, and its records fold to nothing. */
START_TEST(a_diverged_run_is_over)
{
    struct log log = {.count = 0};
    struct course course = {.cuts = 0};
    add_record(&log, submitted_start("r1", "m", submitted_planned(labelled, FINAL_EVERY_4)));
    add_labelled(&log, "r1", 1);
    add_labelled(&log, "r1", 3e38F);
    add_labelled(&log, "r1", 1);
    add_record(&log, submitted_stop("r1", "m"));
    add_record(&log, submitted_start("r2", "m", submitted_planned(labelled, FINAL_EVERY_4)));
    add_labelled(&log, "r2", 1);
    add_record(&log, submitted_stop("r2", "m"));
    straight(&log, &course);
    const enum train_decision_kind expected[] = {
        TRAIN_DECISION_RUN_OPENED, TRAIN_DECISION_STEPPED,    TRAIN_DECISION_DIVERGED, TRAIN_DECISION_SKIPPED,
        TRAIN_DECISION_SKIPPED,    TRAIN_DECISION_RUN_OPENED, TRAIN_DECISION_STEPPED,  TRAIN_DECISION_RUN_CLOSED};
    for (size_t i = 0; i < log.count; i++) {
        ck_assert_int_eq(course.what[i], expected[i]);
    }
    ck_assert_uint_eq(course.cuts, 1);
    course_free(&course);
    log_free(&log);
}
END_TEST

/* Rule C13: not a second checkpoint of one step; and none of a run that failed or was cancelled. */
START_TEST(a_final_checkpoint_is_made_once)
{
    struct log log = {.count = 0};
    struct course course = {.cuts = 0};
    add_record(&log, submitted_start("r1", "m", submitted_planned(pricing, FINAL_EVERY_4)));
    for (unsigned i = 0; i < 4; i++) {
        add_sobol(&log, "r1", 3 * i);
    }
    add_record(&log, submitted_stop("r1", "m"));
    add_record(&log, submitted_start("r2", "m", submitted_planned(pricing, FINAL_EVERY_4)));
    add_sobol(&log, "r2", 0);
    add_record(&log, submitted_bytes("{\"run_stopped\":{\"run_id\":\"r2\",\"model_id\":\"m\",\"outcome\":"
                                     "\"cancelled\"}}"));
    straight(&log, &course);
    ck_assert_uint_eq(course.cuts, 1);
    ck_assert_uint_eq(course.cut[0].at, 5);
    course_free(&course);
    log_free(&log);
}
END_TEST

START_TEST(records_that_validate_never_wrote_leave_the_fold_alone)
{
    struct log log = {.count = 0};
    struct train_fold fold;
    struct train_chain chain = {.some = false};
    struct train_outcome outcome;
    train_fold_init(&fold, ops, engine, "m");
    add_record(&log, submitted_start("r1", "m", pricing));
    add_labelled(&log, "r1", 1); /* not of its job */
    ck_assert(!mr_failed(train_fold_validated(&fold, &chain, store, mr_buffer_view(&log.value[0]), &outcome)));
    const struct train_state before = fold.state;
    struct mr_error error = train_fold_validated(&fold, &chain, store, mr_buffer_view(&log.value[1]), &outcome);
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    error = train_fold_validated(&fold, &chain, store, mr_bytes_of("\xff", 1), &outcome);
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    ck_assert_int_eq(fold.state.run, before.run);
    ck_assert_uint_eq(fold.state.applied, before.applied);
    ck_assert_uint_eq(fold.state.step, before.step);
    train_fold_deinit(&fold);
    log_free(&log);
}
END_TEST

START_TEST(a_checkpoint_of_another_model_is_refused)
{
    struct log log = {.count = 0};
    struct course course = {.cuts = 0};
    struct mr_checkpoint checkpoint;
    struct train_fold fold;
    add_record(&log, submitted_start("r1", "m", pricing));
    add_sobol(&log, "r1", 0);
    add_record(&log, submitted_stop("r1", "m"));
    straight(&log, &course);
    ck_assert(!mr_failed(mr_checkpoint_decode(mr_buffer_view(&course.cut[0].bytes), &checkpoint)));
    train_fold_init(&fold, ops, engine, "other");
    ck_assert_str_eq(train_fold_hydrate(&fold, &checkpoint).code, "other_model");
    ck_assert_int_eq(fold.state.run, TRAIN_RUN_NONE);
    mr_checkpoint_deinit(&checkpoint);
    course_free(&course);
    log_free(&log);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, any_checkpoint_goes_on_to_the_same_bytes);
    tcase_add_test(tcase, a_checkpoint_names_the_one_before);
    tcase_add_test(tcase, a_diverged_run_is_over);
    tcase_add_test(tcase, a_final_checkpoint_is_made_once);
    tcase_add_test(tcase, records_that_validate_never_wrote_leave_the_fold_alone);
    tcase_add_test(tcase, a_checkpoint_of_another_model_is_refused);
}

int main(void)
{
    return check_main("train_fold", add);
}
