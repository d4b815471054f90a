/* The stage loop over the in-memory log: each test is one promise of rules O and R. */
#include "check_main.h"
#include "millrace/retry.h"
#include "stage_rig.h"
#include "stamped.h"

#include <string.h>

#define IN MR_TOPIC_SUBMITTED
#define OUT MR_TOPIC_INGESTED
#define RETRY MR_TOPIC_RETRIES_INGEST

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

static uint64_t committed(const char *topic, uint32_t partition)
{
    uint64_t next = 0;
    return memory_broker_committed(broker, "ingest", topic, partition, &next) ? next : UINT64_MAX;
}

static void pass(int64_t ms)
{
    rig->now_ms += ms;
    rig_run(rig);
}

static bool header_is(const struct mr_log_record *record, const char *name, const char *value)
{
    struct mr_bytes found;
    return mr_log_header_find(record, name, &found) && mr_bytes_equal(found, mr_bytes_of_text(value));
}

START_TEST(records_flow_in_order_and_name_their_predecessors)
{
    rig_submit(broker, IN, 0, "a", "ok");
    rig_submit(broker, IN, 0, "b", "ok");
    rig_submit(broker, IN, 0, "a", "drop");
    rig_submit(broker, IN, 0, "a", "ok");
    rig_start(rig);
    rig_run(rig);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 3");
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "b"), "1");
    ck_assert_uint_eq(committed(IN, 0), 4);
    const struct mr_log_record *last = memory_broker_record(broker, OUT, 0, 2);
    ck_assert(header_is(last, "ce_source", "/millrace/ingest"));
    ck_assert(header_is(last, "ce_type", "test.Echo"));
}
END_TEST

/* The last one of a stream: no later one makes good for it. */
static double decided(const char *decision)
{
    const struct mr_label labels[] = {{"stage", "ingest"}, {"decision", decision}};
    return mr_metric_value(
        mr_metrics_counter(rig->metrics, "millrace_decisions_total", "", labels, MR_COUNT_OF(labels)));
}

/* It is connected, and acknowledges nothing. */
START_TEST(a_broker_that_does_not_answer_is_told)
{
    rig_start(rig);
    memory_broker_hold_acks(broker, true);
    rig_submit(broker, IN, 0, "a", "ok");
    rig_run(rig);
    pass(8000);
    ck_assert(decided("DependencyDown") == 0);
    pass(2000);
    ck_assert(decided("DependencyDown") == 1);
    pass(20000);
    ck_assert(decided("DependencyDown") == 1);
    memory_broker_hold_acks(broker, false);
    rig_run(rig);
    memory_broker_hold_acks(broker, true);
    rig_submit(broker, IN, 0, "a", "ok");
    rig_run(rig);
    pass(12000);
    ck_assert(decided("DependencyDown") == 2);
    memory_broker_hold_acks(broker, false);
    rig_run(rig);
}
END_TEST

static struct mr_store_result slow_head(struct mr_store *store, const char *key)
{
    (void)store;
    (void)key;
    pass(8000);
    ck_assert(decided("DependencyDown") == 0);
    pass(2000);
    ck_assert(decided("DependencyDown") == 1);
    return (struct mr_store_result){.outcome = MR_STORE_DONE};
}

static void close_none(struct mr_store *store)
{
    (void)store;
}

START_TEST(a_store_that_does_not_answer_is_told)
{
    static const struct mr_store_ops ops = {.head = slow_head, .close = close_none};
    struct mr_store slow = {&ops};
    const struct mr_clock clock = rig_clock(rig);
    ck_assert(!mr_failed(mr_store_watch(&slow, &clock, &rig->store)));
    rig_start(rig);
    rig_run(rig);
    ck_assert_int_eq(mr_store_unanswered_ms(rig->store), 0);
    (void)mr_store_head(rig->store, "k");
    ck_assert_int_eq(mr_store_unanswered_ms(rig->store), 0);
    pass(20000);
    ck_assert(decided("DependencyDown") == 1);
    mr_store_close(rig->store);
}
END_TEST

START_TEST(a_refused_commit_is_made_again)
{
    memory_broker_fail_commits(broker, 3);
    rig_submit(broker, IN, 0, "a", "fail1");
    rig_submit(broker, IN, 0, "a", "ok");
    rig_start(rig);
    rig_run(rig);
    for (int i = 0; i < 10; i++) {
        pass(300);
    }
    ck_assert_uint_eq(committed(IN, 0), 2);
    ck_assert_uint_eq(committed(RETRY, 0), memory_broker_high(broker, RETRY, 0));
}
END_TEST

START_TEST(the_offset_waits_for_the_acknowledgement)
{
    rig_submit(broker, IN, 0, "a", "ok");
    rig_submit(broker, IN, 0, "b", "drop");
    memory_broker_hold_acks(broker, true);
    rig_start(rig);
    rig_run(rig);
    pass(1000);
    ck_assert_uint_eq(committed(IN, 0), UINT64_MAX);
    memory_broker_hold_acks(broker, false);
    pass(1000);
    ck_assert_uint_eq(committed(IN, 0), 2);
}
END_TEST

START_TEST(equal_records_have_equal_ids_and_bytes_after_a_crash)
{
    rig_submit(broker, IN, 0, "a", "ok");
    memory_broker_hold_acks(broker, true); /* written, but the process dies before it knows */
    rig_start(rig);
    rig_run(rig);
    ck_assert_uint_eq(memory_broker_high(broker, OUT, 0), 1);
    rig_crash(rig);
    memory_broker_hold_acks(broker, false);
    rig_start(rig);
    rig_run(rig);
    pass(1000);
    /* The fold of its own output tells that it is resolved: it is not even written again. */
    ck_assert_uint_eq(memory_broker_high(broker, OUT, 0), 1);
    ck_assert_uint_eq(rig->duplicates, 1);
    ck_assert_uint_eq(committed(IN, 0), 1);
}
END_TEST

START_TEST(a_dead_letter_keeps_every_byte_and_is_not_handled_again)
{
    const struct mr_log_header header = {"mine", mr_bytes_of("\0x", 2)};
    const struct mr_log_output output = {.topic = IN,
                                         .has_key = true,
                                         .key = mr_bytes_of_text("a"),
                                         .has_value = true,
                                         .value = mr_bytes_of_text("dead"),
                                         .headers = &header,
                                         .header_count = 1};
    memory_broker_append(broker, &output);
    rig_start(rig);
    rig_run(rig);
    const struct mr_log_record *dead = memory_broker_record(broker, MR_TOPIC_DEADLETTERS, 0, 0);
    ck_assert(mr_bytes_equal(dead->value, mr_bytes_of_text("dead")));
    ck_assert(mr_bytes_equal(dead->key, mr_bytes_of_text("a")));
    struct mr_bytes mine;
    ck_assert(mr_log_header_find(dead, "mine", &mine));
    ck_assert(mr_bytes_equal(mine, header.value));
    ck_assert(header_is(dead, "mr_dlq_stage", "ingest"));
    ck_assert(header_is(dead, "mr_dlq_reason", "said_so"));
    ck_assert(header_is(dead, "mr_dlq_topic", IN));
    ck_assert(header_is(dead, "mr_dlq_offset", "0"));
    rig_crash(rig);
    memory_broker_commit(broker, "ingest", IN, 0, 0); /* as if the commit had been lost */
    rig_start(rig);
    rig_run(rig);
    ck_assert_uint_eq(memory_broker_high(broker, MR_TOPIC_DEADLETTERS, 0), 1);
}
END_TEST

START_TEST(a_retry_parks_its_model_and_no_other)
{
    rig_submit(broker, IN, 0, "a", "fail2");
    rig_submit(broker, IN, 0, "a", "ok");
    rig_submit(broker, IN, 0, "b", "ok");
    rig_start(rig);
    rig_run(rig);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "");
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "b"), "2");
    pass(500);
    ck_assert_uint_eq(committed(IN, 0), 3); /* parked records hold nothing back */
    pass(300);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "");
    pass(3000);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1");
    ck_assert_uint_eq(rig->call_count, 5); /* a twice failing and once good, a's second, b */
    rig_submit(broker, IN, 0, "a", "ok");
    rig_run(rig);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1 3");
    pass(1000);
    ck_assert_uint_eq(committed(RETRY, 0), memory_broker_high(broker, RETRY, 0));
}
END_TEST

START_TEST(retries_end_in_a_dead_letter_and_the_model_goes_on)
{
    rig_submit(broker, IN, 0, "a", "fail9");
    rig_submit(broker, IN, 0, "a", "ok");
    rig_start(rig);
    for (int i = 0; i < 30; i++) {
        pass(1000);
    }
    ck_assert_uint_eq(memory_broker_high(broker, MR_TOPIC_DEADLETTERS, 0), 1);
    ck_assert(header_is(memory_broker_record(broker, MR_TOPIC_DEADLETTERS, 0, 0), "mr_dlq_attempt", "5"));
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "1");
    ck_assert_uint_eq(rig->call_count, 6); /* five attempts, and the next record */
}
END_TEST

START_TEST(parked_records_survive_a_restart_with_their_attempts)
{
    rig_submit(broker, IN, 0, "a", "fail9");
    rig_submit(broker, IN, 0, "a", "ok");
    rig_start(rig);
    rig_run(rig);
    pass(1200); /* the second attempt has failed too */
    ck_assert_uint_eq(rig->call_count, 2);
    rig_crash(rig);
    rig_start(rig);
    rig_run(rig);
    for (int i = 0; i < 30; i++) {
        pass(1000);
    }
    ck_assert_uint_eq(rig->call_count, 6);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "1");
    ck_assert_uint_eq(memory_broker_high(broker, MR_TOPIC_DEADLETTERS, 0), 1);
}
END_TEST

static void turns(int count)
{
    for (int i = 0; i < count && !rig->over; i++) {
        rig->over = !mr_stage_turn(rig->stage, 0, false, &rig->exit_code);
        rig->now_ms++;
    }
}

/* Rule R3: no record comes sooner for it, and none later. */
START_TEST(a_restart_keeps_when_a_record_is_due)
{
    static const char *const models[] = {"a", "b", "c", "d", "e", "f"};
    enum { MODELS = MR_COUNT_OF(models), LATE_MS = 100 };
    for (size_t i = 0; i < MODELS; i++) {
        rig_submit(broker, IN, 0, models[i], "fail1");
    }
    rig_start(rig);
    const int64_t begun_ms = rig->now_ms;
    turns(20);
    ck_assert_uint_eq(rig->call_count, MODELS);
    rig_crash(rig);
    rig_start(rig);
    for (int i = 0; i < 1400; i++) {
        turns(1);
        size_t may = 0, must = 0;
        for (uint64_t origin = 0; origin < MODELS; origin++) {
            const int64_t due_ms = begun_ms + mr_retry_decide(MR_RETRY_DEFAULT, 0, mr_retry_event(0, origin)).wait_ms;
            may += due_ms <= rig->now_ms ? 1 : 0;
            must += due_ms + LATE_MS <= rig->now_ms ? 1 : 0;
        }
        ck_assert_uint_le(memory_broker_high(broker, OUT, 0), may);
        ck_assert_uint_ge(memory_broker_high(broker, OUT, 0), must);
    }
}
END_TEST

/* The clock jumps back while one record waits, and before another stage reads what waits. */
START_TEST(a_clock_that_jumps_makes_no_record_wait_longer)
{
    enum { HOUR_MS = 3600 * 1000 };
    rig_submit(broker, IN, 0, "a", "fail1");
    rig_start(rig);
    rig_run(rig);
    rig->wall_shift_ms = -HOUR_MS;
    pass(1300);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0");
    rig->wall_shift_ms = 0;
    rig_submit(broker, IN, 0, "a", "fail1");
    rig_run(rig);
    rig_crash(rig);
    rig->wall_shift_ms = -HOUR_MS;
    rig_start(rig);
    rig_run(rig);
    pass(1300);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1");
    rig_submit(broker, IN, 0, "a", "fail1");
    turns(20);
    rig->wall_shift_ms = HOUR_MS;
    turns(700); /* nor shorter */
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1");
    pass(600);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1 2");
}
END_TEST

/* An earlier owner's write of a parked record lands behind those of its successor. */
START_TEST(a_parked_record_that_is_written_late_is_known)
{
    rig_submit(broker, IN, 0, "a", "fail1");
    rig_start(rig);
    rig_run(rig);
    pass(1300);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0");
    rig_submit(broker, IN, 0, "a", "fail1");
    rig_run(rig);
    rig_crash(rig);
    const struct mr_log_record *first = memory_broker_record(broker, RETRY, 0, 0);
    const struct mr_log_output late = {.topic = RETRY,
                                       .has_key = true,
                                       .key = first->key,
                                       .has_value = true,
                                       .value = first->value,
                                       .headers = first->headers,
                                       .header_count = first->header_count};
    (void)memory_broker_append(broker, &late);
    rig_start(rig);
    rig_run(rig);
    pass(1300);
    ck_assert(!rig->over);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1");
}
END_TEST

START_TEST(a_dependency_that_is_down_spends_no_attempt)
{
    rig->dependency_up = false;
    rig_submit(broker, IN, 0, "a", "down");
    rig_submit(broker, IN, 0, "b", "ok");
    rig_start(rig);
    for (int i = 0; i < 60; i++) {
        pass(1000);
    }
    ck_assert_uint_gt(rig->probes, 5);
    enum { WAIT_MS = 7 };
    ck_assert(mr_stage_turn(rig->stage, WAIT_MS, false, &rig->exit_code));
    ck_assert(mr_stage_turn(rig->stage, WAIT_MS, false, &rig->exit_code));
    ck_assert_uint_eq(memory_log_waited_ms(rig->log), WAIT_MS); /* "b" is ready, and is not waited for in circles */
    ck_assert_uint_eq(memory_broker_high(broker, RETRY, 0), 0);
    ck_assert_uint_eq(memory_broker_high(broker, MR_TOPIC_DEADLETTERS, 0), 0);
    ck_assert_uint_eq(committed(IN, 0), UINT64_MAX);
    rig->dependency_up = true;
    pass(1000);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0");
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "b"), "1");
    for (size_t i = 0; i < rig->call_count; i++) {
        ck_assert_uint_eq(rig->calls[i].attempt, 0);
    }
}
END_TEST

START_TEST(a_busy_lane_waits_and_others_go_on)
{
    rig_submit(broker, IN, 0, "a", "busy");
    rig_submit(broker, IN, 0, "a", "ok");
    rig_submit(broker, IN, 0, "b", "ok");
    rig_start(rig);
    rig_run(rig);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "");
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "b"), "2");
    rig_finish(rig);
    rig_run(rig);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1");
}
END_TEST

static double gauge(const char *name)
{
    const struct mr_label label = {"stage", "ingest"};
    return mr_metric_value(mr_metrics_gauge(rig->metrics, name, "", &label, 1));
}

static double lag(uint32_t partition)
{
    const struct mr_label labels[] = {{"stage", "ingest"}, {"topic", IN}, {"partition", partition == 0 ? "0" : "1"}};
    return mr_metric_value(
        mr_metrics_gauge(rig->metrics, "millrace_input_lag_records", "", labels, MR_COUNT_OF(labels)));
}

/* What is not read yet counts, too: a full window keeps it out of the other figures. */
START_TEST(how_far_a_partition_is_behind_is_shown)
{
    rig->window_records = 4;
    rig_submit(broker, IN, 0, "a", "busy");
    for (int i = 0; i < 9; i++) {
        rig_submit(broker, IN, 0, "a", "ok");
    }
    rig_submit(broker, IN, 1, "b", "ok");
    rig_start(rig);
    rig_run(rig);
    for (int i = 0; i < 10; i++) {
        rig_submit(broker, IN, 0, "a", "ok");
    }
    pass(1000);
    ck_assert(gauge("millrace_unresolved_records") == 10);
    ck_assert(lag(0) == 20);
    ck_assert(lag(1) == 0);
    rig_finish(rig);
    pass(1000);
    pass(1000); /* it reads on, and shows it a second later */
    ck_assert(lag(0) == 0);
}
END_TEST

START_TEST(what_is_unresolved_or_parked_is_shown)
{
    const struct mr_log_output early = {.topic = IN,
                                        .has_key = true,
                                        .key = mr_bytes_of_text("a"),
                                        .has_value = true,
                                        .value = mr_bytes_of_text("busy"),
                                        .timestamp_ms = rig->now_ms - 4000};
    memory_broker_append(broker, &early);
    rig_submit(broker, IN, 0, "a", "ok");
    rig_submit(broker, IN, 1, "b", "fail2");
    rig_submit(broker, IN, 1, "b", "ok");
    rig_submit(broker, IN, 1, "b", "ok");
    rig_start(rig);
    rig_run(rig);
    pass(1000);
    pass(700); /* b has failed twice: nothing of it is in hand */
    ck_assert(gauge("millrace_unresolved_records") == 2);
    /* The rig lets a millisecond pass with every turn. */
    ck_assert(gauge("millrace_oldest_unresolved_seconds") >= 5 && gauge("millrace_oldest_unresolved_seconds") < 8);
    ck_assert(gauge("millrace_parked_models") == 1);
    ck_assert(gauge("millrace_parked_records") == 3);
    rig_finish(rig);
    pass(5000);
    pass(1000);
    ck_assert(gauge("millrace_unresolved_records") == 0);
    ck_assert(gauge("millrace_oldest_unresolved_seconds") == 0);
    ck_assert(gauge("millrace_parked_models") == 0);
    ck_assert(gauge("millrace_parked_records") == 0);
}
END_TEST

START_TEST(a_full_window_pauses_and_polling_goes_on)
{
    rig->window_records = 8;
    for (int i = 0; i < 40; i++) {
        rig_submit(broker, IN, 0, "a", i == 0 ? "busy" : "ok");
    }
    rig_submit(broker, IN, 1, "b", "ok");
    rig_start(rig);
    rig_run(rig);
    ck_assert(memory_log_paused(rig->log, IN, 0));
    ck_assert(!memory_log_paused(rig->log, IN, 1));
    ck_assert_str_eq(stamped_origins(broker, OUT, 1, "b"), "0");
    rig_finish(rig);
    rig_run(rig);
    pass(1000);
    ck_assert(!memory_log_paused(rig->log, IN, 0));
    ck_assert_uint_eq(committed(IN, 0), 40);
}
END_TEST

START_TEST(garbage_without_a_key_goes_through_its_own_lane)
{
    rig_submit(broker, IN, 0, NULL, "dead");
    rig_submit(broker, IN, 0, "NOT AN ID", "dead");
    rig_submit(broker, IN, 0, "a", "ok");
    rig_start(rig);
    rig_run(rig);
    ck_assert_uint_eq(memory_broker_high(broker, MR_TOPIC_DEADLETTERS, 0), 2);
    ck_assert(!memory_broker_record(broker, MR_TOPIC_DEADLETTERS, 0, 0)->has_key);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "2");
}
END_TEST

START_TEST(a_failed_delivery_ends_the_process)
{
    rig_submit(broker, IN, 0, "a", "ok");
    memory_broker_fail_next(broker, OUT);
    rig_start(rig);
    rig_run(rig);
    ck_assert(rig->over);
    ck_assert_int_ne(rig->exit_code, 0);
    ck_assert_uint_eq(committed(IN, 0), UINT64_MAX);
}
END_TEST

/* The process ends and says that it is the log. */
static void expect_the_log_is_refused(void)
{
    rig_start(rig);
    rig_run(rig);
    ck_assert(rig->over);
    ck_assert_int_eq(rig->exit_code, 76);
}

START_TEST(an_offset_that_is_gone_is_an_alarm)
{
    for (int i = 0; i < 10; i++) {
        rig_submit(broker, IN, 0, "a", "ok");
    }
    memory_broker_commit(broker, "ingest", IN, 0, 2);
    memory_broker_expire(broker, IN, 0, 5);
    expect_the_log_is_refused();
}
END_TEST

START_TEST(records_that_went_before_anything_was_committed_are_an_alarm)
{
    for (int i = 0; i < 10; i++) {
        rig_submit(broker, IN, 0, "a", "ok");
    }
    memory_broker_expire(broker, IN, 0, 5);
    expect_the_log_is_refused();
}
END_TEST

START_TEST(outputs_of_the_entry_that_are_gone_are_an_alarm)
{
    rig_submit(broker, IN, 0, "a", "ok");
    rig_submit(broker, IN, 0, "a", "ok");
    rig_start(rig);
    rig_run(rig);
    rig_crash(rig);
    memory_broker_expire(broker, OUT, 0, 1);
    expect_the_log_is_refused();
}
END_TEST

/* The input was made anew, alone: its next records would be taken for repeated ones. */
START_TEST(an_entry_that_ends_before_what_was_handled_is_another_log)
{
    rig_stamped(broker, OUT, 0, "a", 7, -1, "ok");
    for (int i = 0; i < 7; i++) {
        rig_submit(broker, IN, 0, "a", "ok");
    }
    expect_the_log_is_refused();
}
END_TEST

static const char *const committed_topics[] = {IN, RETRY};

START_TEST(a_commit_beyond_the_end_is_another_log)
{
    rig_submit(broker, IN, 0, "a", "ok");
    memory_broker_commit(broker, "ingest", committed_topics[_i], 0, 17);
    expect_the_log_is_refused();
}
END_TEST

START_TEST(stop_settles_what_goes_on_by_itself_and_commits)
{
    rig_submit(broker, IN, 0, "a", "ok");
    rig_submit(broker, IN, 0, "a", "busy");
    rig_submit(broker, IN, 0, "a", "ok");
    memory_broker_hold_acks(broker, true);
    rig_start(rig);
    rig_run(rig);
    ck_assert(mr_stage_turn(rig->stage, 0, true, &rig->exit_code)); /* unacknowledged: not yet */
    memory_broker_hold_acks(broker, false);
    bool going = true;
    for (int i = 0; i < 100 && going; i++) {
        going = mr_stage_turn(rig->stage, 0, true, &rig->exit_code);
    }
    ck_assert(!going);
    ck_assert_int_eq(rig->exit_code, 0);
    ck_assert_uint_eq(committed(IN, 0), 1); /* the second was not resolved, the third never begun */
}
END_TEST

START_TEST(outcomes_of_an_earlier_assignment_are_ignored)
{
    rig->mode = MR_LOG_SUBSCRIBE;
    rig_submit(broker, IN, 0, "a", "ok");
    rig_submit(broker, IN, 0, "a", "busy");
    memory_broker_hold_acks(broker, true);
    rig_start(rig);
    memory_log_assign(rig->log, (const uint32_t[]){0}, 1);
    rig_run(rig);
    ck_assert_uint_eq(rig->busy_count, 1);
    memory_log_revoke(rig->log);
    rig_run(rig);
    ck_assert(!memory_log_revoking(rig->log));
    ck_assert_uint_eq(rig->busy_count, 0);
    memory_broker_hold_acks(broker, false);
    rig_run(rig);
    ck_assert(!rig->over);
    ck_assert_uint_eq(rig->resolved, 0);
    memory_log_assign(rig->log, (const uint32_t[]){0}, 1);
    rig_run(rig);
    ck_assert_uint_eq(rig->busy_count, 1); /* the first is known from the fold, the second is begun anew */
    rig_finish(rig);
    rig_run(rig);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1");
}
END_TEST

/* ---- Behind the entry: stamps ------------------------------------------------------------------------------ */

static void behind(void)
{
    rig_free(rig);
    rig = rig_new(broker, "stage_gpu", MR_TOPIC_VALIDATED, MR_TOPIC_STAGED, NULL);
}

START_TEST(duplicates_are_dropped_by_origin)
{
    behind();
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 3, -1, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 7, 3, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 3, -1, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 7, 3, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 9, 7, "ok");
    rig_start(rig);
    rig_run(rig);
    ck_assert_str_eq(stamped_origins(broker, MR_TOPIC_STAGED, 0, "a"), "3 7 9");
    ck_assert_uint_eq(rig->duplicates, 2);
}
END_TEST

START_TEST(a_gap_is_read_again_from_the_log)
{
    behind();
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 3, -1, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "b", 4, -1, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 7, 3, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 9, 7, "ok");
    memory_broker_commit(broker, "stage_gpu", MR_TOPIC_VALIDATED, 0,
                         3); /* as if 3 and 7 had been resolved, which they were not */
    rig_start(rig);
    rig_run(rig);
    ck_assert_str_eq(stamped_origins(broker, MR_TOPIC_STAGED, 0, "a"), "3 7 9");
    ck_assert(!rig->over);
}
END_TEST

/* More than one pass of re-reading takes. */
START_TEST(a_long_gap_is_read_again_whole)
{
    enum { LONG = 700 };
    behind();
    for (int i = 0; i < LONG; i++) {
        rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", (uint64_t)(2 * i), i == 0 ? -1 : 2 * i - 2, "ok");
        rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "b", (uint64_t)(2 * i + 1), i == 0 ? -1 : 2 * i - 1, "ok");
    }
    memory_broker_commit(broker, "stage_gpu", MR_TOPIC_VALIDATED, 0, 2 * LONG - 2);
    rig_start(rig);
    for (int i = 0; i < 10; i++) {
        rig_run(rig);
    }
    ck_assert(!rig->over);
    ck_assert_uint_eq(memory_broker_high(broker, MR_TOPIC_STAGED, 0), 2 * LONG);
    ck_assert_uint_eq(strlen(stamped_origins(broker, MR_TOPIC_STAGED, 0, "a")),
                      strlen(stamped_origins(broker, MR_TOPIC_VALIDATED, 0, "a")));
}
END_TEST

/* Further back than the first look, and further than the second. */
static const uint64_t distances[] = {1500, 9000};

START_TEST(a_gap_far_back_is_found)
{
    const uint64_t distance = distances[_i];
    behind();
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 1, -1, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 2, 1, "ok");
    for (uint64_t i = 0; i < distance; i++) {
        rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "b", 3 + i, i == 0 ? -1 : (int64_t)(2 + i), "ok");
    }
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 3 + distance, 2, "ok");
    memory_broker_commit(broker, "stage_gpu", MR_TOPIC_VALIDATED, 0, 2 + distance);
    rig_start(rig);
    rig_run(rig);
    char expected[64];
    snprintf(expected, sizeof expected, "1 2 %llu", (unsigned long long)(3 + distance));
    ck_assert_str_eq(stamped_origins(broker, MR_TOPIC_STAGED, 0, "a"), expected);
    ck_assert(!rig->over);
}
END_TEST

START_TEST(a_gap_that_the_log_cannot_mend_stops_that_model_alone)
{
    behind();
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 3, -1, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 9, 7, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "b", 10, -1, "ok");
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 11, 9, "ok");
    rig_start(rig);
    rig_run(rig);
    pass(1000);
    ck_assert_str_eq(stamped_origins(broker, MR_TOPIC_STAGED, 0, "a"), "3");
    ck_assert_str_eq(stamped_origins(broker, MR_TOPIC_STAGED, 0, "b"), "10");
    ck_assert(!rig->over);
    uint64_t next;
    ck_assert(memory_broker_committed(broker, "stage_gpu", MR_TOPIC_VALIDATED, 0, &next));
    ck_assert_uint_eq(next, 1); /* the record that could not be applied is kept for another day */
    struct mr_metric *stopped =
        mr_metrics_gauge(rig->metrics, "millrace_models_stopped", "", &(struct mr_label){"stage", "stage_gpu"}, 1);
    ck_assert(mr_metric_value(stopped) > 0.5);
    rig_crash(rig); /* as an assignment that ends: who gets the model next begins it anew */
    ck_assert(mr_metric_value(stopped) < 0.5);
}
END_TEST

START_TEST(a_total_stage_may_not_reject)
{
    behind();
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 3, -1, "dead");
    rig_start(rig);
    rig_run(rig);
    ck_assert(rig->over);
    ck_assert_uint_eq(memory_broker_high(broker, MR_TOPIC_DEADLETTERS, 0), 0);
}
END_TEST

START_TEST(a_record_of_another_log_is_refused)
{
    behind();
    rig_stamped(broker, MR_TOPIC_VALIDATED, 0, "a", 3, -1, "ok");
    rig->deployment.log_id.bytes[0] = 1;
    rig_start(rig);
    rig_run(rig);
    ck_assert(rig->over);
    ck_assert_int_eq(rig->exit_code, 76);
    ck_assert_uint_eq(memory_broker_high(broker, MR_TOPIC_STAGED, 0), 0);
}
END_TEST

/* Whatever a user says, what is written reads back as the same time: else a record's time would change in a crash. */
START_TEST(any_time_comes_through)
{
    static const struct {
        const char *ce_time;
        int64_t timestamp_ms;
        const char *expected;
    } cases[] = {
        {"2026-05-05T12:00:00.123Z", 7, "2026-05-05T12:00:00.123Z"},
        {"1969-12-31T23:59:59.500Z", 7, "1969-12-31T23:59:59.500Z"},
        {"0001-01-01T00:00:00Z", 7, "0001-01-01T00:00:00.000Z"},
        {"9999-12-31T23:59:59.999Z", 7, "9999-12-31T23:59:59.999Z"},
        {"0000-12-31T00:00:00Z", 7, "0001-01-01T00:00:00.000Z"},
        {"2024-02-29T23:59:59Z", 7, "2024-02-29T23:59:59.000Z"},
        {"2000-02-29T00:00:00.0Z", 7, "2000-02-29T00:00:00.000Z"},
        {"1900-03-01T00:00:00.9999999Z", 7, "1900-03-01T00:00:00.999Z"},
        /* No such time in UTC: the record's own. */
        {"-999-01-01T00:00:00Z", 7, "1970-01-01T00:00:00.007Z"},
        {"2026-13-01T00:00:00Z", 7, "1970-01-01T00:00:00.007Z"},
        {"2026-05-05T24:00:00Z", 7, "1970-01-01T00:00:00.007Z"},
        {"2026-05-05T12:00:00.123", 7, "1970-01-01T00:00:00.007Z"},
        {"2026-05-05T12:00:00Zulu", 7, "1970-01-01T00:00:00.007Z"},
        {"2026-05-05T12:00:00+02:00", 7, "1970-01-01T00:00:00.007Z"},
        {NULL, -1, "1969-12-31T23:59:59.999Z"},
        {NULL, INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {NULL, INT64_MIN, "0001-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        const bool some = cases[i].ce_time != NULL;
        const struct mr_log_header header = {"ce_time", mr_bytes_of_text(some ? cases[i].ce_time : "")};
        const struct mr_log_output output = {.topic = IN,
                                             .has_key = true,
                                             .key = mr_bytes_of_text("a"),
                                             .has_value = true,
                                             .value = mr_bytes_of_text("ok"),
                                             .headers = &header,
                                             .header_count = some ? 1 : 0,
                                             .timestamp_ms = cases[i].timestamp_ms};
        (void)memory_broker_append(broker, &output);
    }
    rig_start(rig);
    rig_run(rig);
    ck_assert_uint_eq(memory_broker_high(broker, OUT, 0), MR_COUNT_OF(cases));
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        ck_assert_msg(header_is(memory_broker_record(broker, OUT, 0, i), "ce_time", cases[i].expected), "case %zu", i);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, records_flow_in_order_and_name_their_predecessors);
    tcase_add_test(tcase, a_broker_that_does_not_answer_is_told);
    tcase_add_test(tcase, a_store_that_does_not_answer_is_told);
    tcase_add_test(tcase, a_refused_commit_is_made_again);
    tcase_add_test(tcase, the_offset_waits_for_the_acknowledgement);
    tcase_add_test(tcase, equal_records_have_equal_ids_and_bytes_after_a_crash);
    tcase_add_test(tcase, a_dead_letter_keeps_every_byte_and_is_not_handled_again);
    tcase_add_test(tcase, a_retry_parks_its_model_and_no_other);
    tcase_add_test(tcase, retries_end_in_a_dead_letter_and_the_model_goes_on);
    tcase_add_test(tcase, parked_records_survive_a_restart_with_their_attempts);
    tcase_add_test(tcase, a_restart_keeps_when_a_record_is_due);
    tcase_add_test(tcase, a_clock_that_jumps_makes_no_record_wait_longer);
    tcase_add_test(tcase, a_parked_record_that_is_written_late_is_known);
    tcase_add_test(tcase, a_dependency_that_is_down_spends_no_attempt);
    tcase_add_test(tcase, a_busy_lane_waits_and_others_go_on);
    tcase_add_test(tcase, what_is_unresolved_or_parked_is_shown);
    tcase_add_test(tcase, how_far_a_partition_is_behind_is_shown);
    tcase_add_test(tcase, a_full_window_pauses_and_polling_goes_on);
    tcase_add_test(tcase, garbage_without_a_key_goes_through_its_own_lane);
    tcase_add_test(tcase, a_failed_delivery_ends_the_process);
    tcase_add_test(tcase, an_offset_that_is_gone_is_an_alarm);
    tcase_add_test(tcase, records_that_went_before_anything_was_committed_are_an_alarm);
    tcase_add_test(tcase, outputs_of_the_entry_that_are_gone_are_an_alarm);
    tcase_add_test(tcase, an_entry_that_ends_before_what_was_handled_is_another_log);
    tcase_add_loop_test(tcase, a_commit_beyond_the_end_is_another_log, 0, (int)MR_COUNT_OF(committed_topics));
    tcase_add_test(tcase, stop_settles_what_goes_on_by_itself_and_commits);
    tcase_add_test(tcase, outcomes_of_an_earlier_assignment_are_ignored);
    tcase_add_test(tcase, duplicates_are_dropped_by_origin);
    tcase_add_test(tcase, a_gap_is_read_again_from_the_log);
    tcase_add_test(tcase, a_long_gap_is_read_again_whole);
    tcase_add_loop_test(tcase, a_gap_far_back_is_found, 0, MR_COUNT_OF(distances));
    tcase_add_test(tcase, a_gap_that_the_log_cannot_mend_stops_that_model_alone);
    tcase_add_test(tcase, a_total_stage_may_not_reject);
    tcase_add_test(tcase, a_record_of_another_log_is_refused);
    tcase_add_test(tcase, any_time_comes_through);
}

int main(void)
{
    return check_main("stage_loop", add);
}
