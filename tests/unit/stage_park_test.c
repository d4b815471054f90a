/* Models that come back from the retry topic, and what they may not do to others meanwhile (rules R3, R4). */
#include "check_main.h"
#include "stage_internal.h"
#include "stage_rig.h"
#include "stamped.h"

#include <string.h>

#define IN MR_TOPIC_SUBMITTED
#define OUT MR_TOPIC_INGESTED
#define RETRY MR_TOPIC_RETRIES_INGEST

enum { DUE_MS = 1500 };

static struct memory_broker *broker;
static struct rig *rig;

static void setup(void)
{
    broker = memory_broker_new(1);
    rig_create_topics(broker);
    rig = rig_new(broker, "ingest", IN, OUT, RETRY);
}

static void teardown(void)
{
    rig_free(rig);
    memory_broker_free(broker);
}

static void submit(const char *model, const char *word, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        rig_submit(broker, IN, 0, model, word);
    }
}

static void pass(int64_t ms)
{
    rig->now_ms += ms;
    rig_run(rig);
}

static void turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        ck_assert(mr_stage_turn(rig->stage, 0, false, &rig->exit_code));
    }
}

/* Parks the model: the first record fails once, the others wait behind it. */
static void park(const char *model, const char *word, unsigned others)
{
    submit(model, "fail1", 1);
    submit(model, word, others);
    rig_start(rig);
    rig_run(rig);
    rig_run(rig);
    ck_assert_uint_eq(rig->call_count, 1);
    ck_assert_uint_eq(memory_broker_high(broker, RETRY, 0), others + 1);
}

static size_t out_of(const char *model)
{
    const char *origins = stamped_origins(broker, OUT, 0, model);
    size_t count = *origins == '\0' ? 0 : 1;
    for (; *origins != '\0'; origins++) {
        count += *origins == ' ';
    }
    return count;
}

static size_t in_memory(void)
{
    const struct mr_label label = {"stage", "ingest"};
    return (size_t)mr_metric_value(mr_metrics_gauge(rig->metrics, "millrace_unresolved_records", "", &label, 1));
}

START_TEST(what_comes_back_stays_within_the_window)
{
    rig->window_records = 16;
    park("a", "ok", 200);
    memory_broker_hold_acks(broker, true);
    pass(DUE_MS);
    pass(DUE_MS);
    ck_assert_uint_gt(in_memory(), 1);
    ck_assert_uint_le(in_memory(), 16);
    memory_broker_hold_acks(broker, false);
    pass(DUE_MS);
    pass(DUE_MS);
    ck_assert_uint_eq(out_of("a"), 201);
    ck_assert_uint_eq(in_memory(), 0);
}
END_TEST

START_TEST(what_comes_back_stays_within_the_bytes_of_the_windows)
{
    enum { SIZE = 100000 };
    char value[SIZE + 1] = "ok";
    memset(value + 2, '.', SIZE - 2);
    park("a", value, 50);
    memory_broker_hold_acks(broker, true);
    pass(DUE_MS);
    pass(DUE_MS);
    ck_assert_uint_gt(in_memory(), 1);
    ck_assert_uint_le(in_memory(), 12);
    memory_broker_hold_acks(broker, false);
    pass(DUE_MS);
    ck_assert_uint_eq(out_of("a"), 51);
}
END_TEST

START_TEST(every_model_brings_its_head_back_however_many_there_are)
{
    rig->window_records = 4;
    for (unsigned i = 0; i < 20; i++) {
        submit((const char[]){(char)('a' + i), '\0'}, "fail1", 1);
        submit((const char[]){(char)('a' + i), '\0'}, "busy", 1);
    }
    rig_start(rig);
    rig_run(rig);
    pass(DUE_MS);
    ck_assert_uint_eq(rig->busy_count, 20);
    submit("z", "ok", 10);
    rig_run(rig);
    ck_assert_uint_eq(out_of("z"), 10);
}
END_TEST

START_TEST(others_have_their_turn_while_a_model_comes_back)
{
    park("a", "ok", 100);
    rig->now_ms += DUE_MS;
    submit("b", "ok", 1);
    turns(5);
    ck_assert_uint_eq(out_of("b"), 1);
    ck_assert_uint_gt(rig->call_count, 2);
    ck_assert_uint_lt(rig->call_count, 10);
    pass(1);
    ck_assert_uint_eq(out_of("a"), 101);
}
END_TEST

START_TEST(what_follows_a_busy_head_leaves_the_window)
{
    rig->window_records = 16;
    park("a", "busy", 1);
    pass(DUE_MS);
    ck_assert_uint_eq(rig->busy_count, 1);
    for (unsigned i = 0; i < 40; i++) {
        submit("a", "ok", 1);
        submit("b", "ok", 1);
        turns(2);
    }
    rig_run(rig);
    ck_assert_uint_eq(out_of("b"), 40);
    ck_assert_uint_eq(out_of("a"), 1);
    rig_finish(rig);
    rig_run(rig);
    pass(1);
    ck_assert_uint_eq(out_of("a"), 42);
}
END_TEST

/* Outputs of what comes back are always in flight, and what is parked is not to be in flight beside them. */
START_TEST(what_follows_a_stream_of_outputs_leaves_the_window)
{
    rig->window_records = 16;
    park("a", "ok", 1000);
    memory_broker_hold_acks(broker, true);
    rig->now_ms += DUE_MS;
    turns(8);
    submit("a", "ok", 12);
    submit("b", "ok", 30);
    for (unsigned i = 0; i < 300; i++) {
        turns(1);
        memory_broker_release_acks(broker, 1);
    }
    ck_assert_uint_eq(out_of("b"), 30);
    ck_assert_uint_lt(out_of("a"), 1000);
    memory_broker_hold_acks(broker, false);
    for (unsigned i = 0; i < 10; i++) {
        pass(1);
    }
    ck_assert_uint_eq(out_of("a"), 1013);
}
END_TEST

/* Records of ten models in turn, each of which fails once; returns how many records were read for it. */
static size_t reads_of_burning(const char *value, unsigned each, uint64_t kept_most)
{
    enum { MODELS = 10 };
    for (unsigned i = 0; i < MODELS * each; i++) {
        submit((const char[]){(char)('a' + i % MODELS), '\0'}, value, 1);
    }
    rig_start(rig);
    const size_t before = memory_broker_reads(broker);
    for (unsigned i = 0; i < 200 * each && out_of("a") < each; i++) {
        turns(4);
        rig->now_ms += 50;
        ck_assert_uint_le(rig->stage->kept_bytes, kept_most);
    }
    for (unsigned i = 0; i < 40; i++) {
        pass(DUE_MS);
    }
    for (unsigned i = 0; i < MODELS; i++) {
        ck_assert_uint_eq(out_of((const char[]){(char)('a' + i), '\0'}), each);
    }
    ck_assert_uint_eq(rig->call_count, 2 * MODELS * each);
    ck_assert_uint_eq(rig->stage->kept_bytes, 0);
    return memory_broker_reads(broker) - before;
}

START_TEST(what_is_parked_and_fits_into_memory_is_not_read)
{
    ck_assert_uint_eq(reads_of_burning("fail1", 20, 1 << 19), 0);
}
END_TEST

START_TEST(what_is_parked_beyond_memory_is_read_in_stretches)
{
    enum { SIZE = 10000, EACH = 40, HEADS = 10 * (SIZE + 1000) };
    char value[SIZE + 1] = "fail1";
    memset(value + 5, '.', SIZE - 5);
    const size_t reads = reads_of_burning(value, EACH, (1 << 19) + HEADS);
    ck_assert_uint_ge(reads, 10 * EACH / 2);
    ck_assert_uint_le(reads, 10 * EACH * 10);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_comes_back_stays_within_the_window);
    tcase_add_test(tcase, what_comes_back_stays_within_the_bytes_of_the_windows);
    tcase_add_test(tcase, every_model_brings_its_head_back_however_many_there_are);
    tcase_add_test(tcase, others_have_their_turn_while_a_model_comes_back);
    tcase_add_test(tcase, what_follows_a_busy_head_leaves_the_window);
    tcase_add_test(tcase, what_follows_a_stream_of_outputs_leaves_the_window);
    tcase_add_test(tcase, what_is_parked_and_fits_into_memory_is_not_read);
    tcase_add_test(tcase, what_is_parked_beyond_memory_is_read_in_stretches);
}

int main(void)
{
    return check_main("stage_park", add);
}
