/* The record log on librdkafka against a millrace-devbroker process. */
#include "check_main.h"
#include "dev_broker.h"
#include "log_events.h"

#include "millrace/lag.h"
#include "millrace/topics.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dev_broker broker;

static void start_broker(void)
{
    dev_broker_start(&broker, DEVBROKER_PROGRAM, NULL);
}
static void stop_broker(void)
{
    ck_assert_int_eq(dev_broker_stop(&broker), 0);
    dev_broker_forget(&broker);
}

static void must(struct mr_error error)
{
    ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
}
static void refused(struct mr_error error, enum mr_error_class kind, const char *code)
{
    ck_assert_msg(error.kind == kind, "%s: %s: %s", mr_error_class_text(error.kind), error.code, error.detail);
    ck_assert_str_eq(error.code, code);
}

static struct mr_log *open_log(const char *group)
{
    const struct mr_log_kafka_config config = dev_broker_config(&broker, group);
    struct mr_log *log = NULL;
    must(mr_log_kafka_open(&config, &log));
    return log;
}
static struct mr_log *open_member(const char *const *topics, size_t count)
{
    struct mr_log_kafka_config config = dev_broker_config(&broker, "members");
    config.mode = MR_LOG_SUBSCRIBE;
    config.topics = topics;
    config.topic_count = count;
    struct mr_log *log = NULL;
    must(mr_log_kafka_open(&config, &log));
    return log;
}

static void write_numbers(struct mr_log *log, const char *topic, uint32_t partition, uint64_t from, uint64_t count)
{
    for (uint64_t i = from; i < from + count; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)i);
        ck_assert_uint_eq(log_write(log, topic, partition, "k", text), i);
    }
}

/* The next record, which must be this one; its value is its offset. */
static void expect_number(struct mr_log *log, const char *topic, uint32_t partition, uint64_t offset)
{
    const struct mr_log_event event = log_await(log, MR_LOG_EVENT_RECORD);
    const struct mr_log_record *const r = &event.of.record.view;
    char text[32];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)offset);
    ck_assert_str_eq(r->topic, topic);
    ck_assert_uint_eq(r->partition, partition);
    ck_assert_uint_eq(r->offset, offset);
    ck_assert(mr_bytes_equal(r->value, mr_bytes_of_text(text)));
    log->ops->record_free(log, event.of.record.held);
}

START_TEST(a_record_comes_back_as_it_was)
{
    struct mr_log *const log = open_log(NULL);
    const struct mr_log_header headers[] = {
        {"ce_id", mr_bytes_of_text("one")},
        {"empty", mr_bytes_of_text("")},
        {"ce_id", mr_bytes_of_text("two")},
    };
    const struct mr_log_output output = {
        .topic = MR_TOPIC_SUBMITTED,
        .partition = 2,
        .has_key = true,
        .has_value = true,
        .key = mr_bytes_of_text("model"),
        .value = mr_bytes_of("a\0b", 3),
        .headers = headers,
        .header_count = MR_COUNT_OF(headers),
        .timestamp_ms = 1234567890123,
        .token = 0xfedcba9876543210u,
    };
    must(log->ops->produce(log, &output));
    ck_assert_uint_eq(log->ops->in_flight(log), 1);
    const struct mr_log_event delivered = log_await(log, MR_LOG_EVENT_DELIVERED);
    ck_assert(delivered.of.delivered.token == output.token);
    ck_assert_uint_eq(delivered.of.delivered.offset, 0);
    ck_assert_uint_eq(log->ops->in_flight(log), 0);

    must(log->ops->fetch(log, MR_TOPIC_SUBMITTED, 2, 0));
    const struct mr_log_event event = log_await(log, MR_LOG_EVENT_RECORD);
    const struct mr_log_record *const r = &event.of.record.view;
    ck_assert_str_eq(r->topic, MR_TOPIC_SUBMITTED);
    ck_assert_uint_eq(r->partition, 2);
    ck_assert_int_eq(r->timestamp_ms, output.timestamp_ms);
    ck_assert(r->has_key && mr_bytes_equal(r->key, output.key));
    ck_assert(r->has_value && mr_bytes_equal(r->value, output.value));
    ck_assert_uint_eq(r->header_count, 3);
    struct mr_bytes value;
    ck_assert(mr_log_header_find(r, "ce_id", &value) && mr_bytes_equal(value, mr_bytes_of_text("two")));
    ck_assert(mr_log_header_find(r, "empty", &value) && value.size == 0);
    ck_assert(!mr_log_header_find(r, "other", &value));
    log->ops->record_free(log, event.of.record.held);
    log->ops->close(log);
}
END_TEST

START_TEST(null_is_not_empty)
{
    struct mr_log *const log = open_log(NULL);
    (void)log_write(log, MR_TOPIC_SUBMITTED, 0, NULL, "");
    (void)log_write(log, MR_TOPIC_SUBMITTED, 0, "", NULL);
    must(log->ops->fetch(log, MR_TOPIC_SUBMITTED, 0, 0));
    for (int i = 0; i < 2; i++) {
        const struct mr_log_event event = log_await(log, MR_LOG_EVENT_RECORD);
        const struct mr_log_record *const r = &event.of.record.view;
        ck_assert_int_eq(r->has_key, i == 1);
        ck_assert_int_eq(r->has_value, i == 0);
        ck_assert_uint_eq(r->key.size + r->value.size, 0);
        log->ops->record_free(log, event.of.record.held);
    }
    log->ops->close(log);
}
END_TEST

START_TEST(a_committed_offset_is_resumed)
{
    struct mr_log *log = open_log("resumer");
    write_numbers(log, MR_TOPIC_INGESTED, 1, 0, 6);
    bool some = true;
    uint64_t next = 0;
    must(log->ops->committed(log, MR_TOPIC_INGESTED, 1, &some, &next));
    ck_assert(!some);
    must(log->ops->fetch(log, MR_TOPIC_INGESTED, 1, MR_LOG_OFFSET_COMMITTED));
    expect_number(log, MR_TOPIC_INGESTED, 1, 0);
    must(log->ops->commit(log, MR_TOPIC_INGESTED, 1, 1));
    must(log->ops->commit(log, MR_TOPIC_INGESTED, 1, 3));
    must(log->ops->commit(log, MR_TOPIC_INGESTED, 1, 4));
    must(log->ops->commit_wait(log, 30000));
    log->ops->close(log);

    log = open_log("resumer");
    must(log->ops->committed(log, MR_TOPIC_INGESTED, 1, &some, &next));
    ck_assert(some);
    ck_assert_uint_eq(next, 4);
    must(log->ops->fetch(log, MR_TOPIC_INGESTED, 1, MR_LOG_OFFSET_COMMITTED));
    expect_number(log, MR_TOPIC_INGESTED, 1, 4);
    expect_number(log, MR_TOPIC_INGESTED, 1, 5);
    log->ops->close(log);
}
END_TEST

START_TEST(a_group_is_as_far_behind_as_it_has_not_committed)
{
    struct mr_log *const log = open_log("slow");
    const struct mr_log_kafka_config config = dev_broker_config(&broker, NULL);
    struct mr_lag lags[] = {{.group = "slow", .topic = MR_TOPIC_INGESTED},
                            {.group = "slow", .topic = MR_TOPIC_VALIDATED},
                            {.group = "unheard-of", .topic = MR_TOPIC_INGESTED}};
    struct mr_lag_asker *asker = NULL;
    write_numbers(log, MR_TOPIC_INGESTED, 0, 0, 3);
    write_numbers(log, MR_TOPIC_INGESTED, 2, 0, 6);
    must(log->ops->fetch(log, MR_TOPIC_INGESTED, 2, 0));
    expect_number(log, MR_TOPIC_INGESTED, 2, 0);
    uint64_t end = 0;
    ck_assert(log->ops->fetched_end(log, MR_TOPIC_INGESTED, 2, &end));
    ck_assert_uint_eq(end, 6);
    ck_assert(!log->ops->fetched_end(log, MR_TOPIC_INGESTED, 0, &end));
    must(log->ops->commit(log, MR_TOPIC_INGESTED, 2, 4));
    must(log->ops->commit_wait(log, 30000));
    must(mr_lag_asker_open(config.brokers, NULL, &asker));
    for (int i = 0; i < 2; i++) {
        must(mr_lag_ask(asker, 4, lags, MR_COUNT_OF(lags)));
        ck_assert_uint_eq(lags[0].end, 9);
        ck_assert_uint_eq(lags[0].lag, 5);
        ck_assert_uint_eq(lags[1].end, 0);
        ck_assert_uint_eq(lags[1].lag, 0);
        ck_assert_uint_eq(lags[2].lag, 9);
    }
    lags[1].topic = "no.such.topic";
    refused(mr_lag_ask(asker, 4, lags, MR_COUNT_OF(lags)), MR_ERROR_REJECT, "unknown_topic");
    mr_lag_asker_close(asker);
    log->ops->close(log);
}
END_TEST

START_TEST(without_a_group_nothing_is_committed)
{
    struct mr_log *const log = open_log(NULL);
    refused(log->ops->commit(log, MR_TOPIC_INGESTED, 0, 1), MR_ERROR_FATAL, "no_group");
    must(log->ops->commit_wait(log, 1000));
    log->ops->close(log);
}
END_TEST

START_TEST(a_paused_partition_keeps_its_records)
{
    struct mr_log *const log = open_log(NULL);
    write_numbers(log, MR_TOPIC_STAGED, 0, 0, 3);
    must(log->ops->fetch(log, MR_TOPIC_STAGED, 0, 0));
    must(log->ops->fetch(log, MR_TOPIC_STAGED, 1, 0));
    expect_number(log, MR_TOPIC_STAGED, 0, 0);
    must(log->ops->pause(log, MR_TOPIC_STAGED, 0));
    const uint64_t offset = log_write(log, MR_TOPIC_STAGED, 1, "k", "0");
    ck_assert_uint_eq(offset, 0);
    expect_number(log, MR_TOPIC_STAGED, 1, 0);
    ck_assert_int_eq(log->ops->poll(log, 100).kind, MR_LOG_EVENT_QUIET);
    must(log->ops->resume(log, MR_TOPIC_STAGED, 0));
    expect_number(log, MR_TOPIC_STAGED, 0, 1);
    expect_number(log, MR_TOPIC_STAGED, 0, 2);
    refused(log->ops->pause(log, MR_TOPIC_STAGED, 3), MR_ERROR_FATAL, "not_fetched");
    log->ops->close(log);
}
END_TEST

START_TEST(a_fetch_moves_and_drops_what_was_fetched_ahead)
{
    struct mr_log *const log = open_log(NULL);
    write_numbers(log, MR_TOPIC_STAGED, 0, 0, 20);
    must(log->ops->fetch(log, MR_TOPIC_STAGED, 0, 10));
    expect_number(log, MR_TOPIC_STAGED, 0, 10);
    must(log->ops->fetch(log, MR_TOPIC_STAGED, 0, 2));
    expect_number(log, MR_TOPIC_STAGED, 0, 2);
    expect_number(log, MR_TOPIC_STAGED, 0, 3);
    must(log->ops->fetch(log, MR_TOPIC_STAGED, 0, 18));
    expect_number(log, MR_TOPIC_STAGED, 0, 18);
    expect_number(log, MR_TOPIC_STAGED, 0, 19);
    log->ops->close(log);
}
END_TEST

START_TEST(an_offset_that_is_not_there_is_gone)
{
    struct mr_log *const log = open_log(NULL);
    write_numbers(log, MR_TOPIC_STAGED, 3, 0, 2);
    must(log->ops->fetch(log, MR_TOPIC_STAGED, 3, 7));
    const struct mr_log_event event = log_await(log, MR_LOG_EVENT_OFFSET_GONE);
    ck_assert_str_eq(event.of.offset_gone.topic, MR_TOPIC_STAGED);
    ck_assert_uint_eq(event.of.offset_gone.partition, 3);
    must(log->ops->fetch(log, MR_TOPIC_STAGED, 3, 1));
    expect_number(log, MR_TOPIC_STAGED, 3, 1);

    struct mr_log_reader *reader = NULL;
    struct mr_log_record record;
    bool some = false;
    must(log->ops->reader_open(log, MR_TOPIC_STAGED, 3, 9, &reader));
    refused(log->ops->reader_next(log, reader, 30000, &some, &record), MR_ERROR_REJECT, "offset_gone");
    must(log->ops->reader_seek(log, reader, 0));
    must(log->ops->reader_next(log, reader, 30000, &some, &record));
    ck_assert(some && record.offset == 0);
    log->ops->reader_close(log, reader);
    log->ops->close(log);
}
END_TEST

START_TEST(readers_go_on_and_seek)
{
    struct mr_log *const log = open_log(NULL);
    write_numbers(log, MR_TOPIC_VALIDATED, 0, 0, 30);
    struct mr_log_reader *reader = NULL, *other = NULL;
    must(log->ops->reader_open(log, MR_TOPIC_VALIDATED, 0, 5, &reader));
    must(log->ops->reader_open(log, MR_TOPIC_VALIDATED, 0, 25, &other)); /* of the same partition */
    struct mr_log_record record;
    bool some = false;
    for (uint64_t offset = 5; offset < 30; offset++) {
        must(log->ops->reader_next(log, reader, 30000, &some, &record));
        ck_assert(some);
        ck_assert_uint_eq(record.offset, offset);
    }
    must(log->ops->reader_next(log, other, 30000, &some, &record));
    ck_assert(some && record.offset == 25);
    must(log->ops->reader_next(log, reader, 0, &some, &record));
    ck_assert(!some);
    const uint64_t jumps[] = {3, 29, 0, 17, 18, 4};
    for (size_t i = 0; i < MR_COUNT_OF(jumps); i++) {
        must(log->ops->reader_seek(log, reader, jumps[i]));
        must(log->ops->reader_next(log, reader, 30000, &some, &record));
        ck_assert(some);
        ck_assert_uint_eq(record.offset, jumps[i]);
    }
    log->ops->reader_close(log, other);
    log->ops->reader_close(log, reader);
    log->ops->close(log);
}
END_TEST

START_TEST(watermarks_follow_the_log)
{
    struct mr_log *const log = open_log(NULL);
    uint64_t low = 9, high = 9;
    must(log->ops->watermarks(log, MR_TOPIC_TRAINED, 0, &low, &high));
    ck_assert(low == 0 && high == 0);
    write_numbers(log, MR_TOPIC_TRAINED, 0, 0, 3);
    must(log->ops->watermarks(log, MR_TOPIC_TRAINED, 0, &low, &high));
    ck_assert(low == 0 && high == 3);
    log->ops->close(log);
}
END_TEST

START_TEST(a_topic_that_is_not_there_is_not_created)
{
    struct mr_log *const log = open_log("asker");
    struct mr_log_reader *reader = NULL;
    uint32_t count = 0;
    uint64_t low, high;
    bool some;
    const struct mr_log_output output = {.topic = "no.such.topic"};
    const struct mr_log_output beyond = {.topic = MR_TOPIC_SUBMITTED, .partition = 4};
    refused(log->ops->produce(log, &output), MR_ERROR_REJECT, "unknown_topic");
    refused(log->ops->produce(log, &beyond), MR_ERROR_REJECT, "unknown_topic");
    refused(log->ops->fetch(log, "no.such.topic", 0, 0), MR_ERROR_REJECT, "unknown_topic");
    refused(log->ops->reader_open(log, "no.such.topic", 0, 0, &reader), MR_ERROR_REJECT, "unknown_topic");
    refused(log->ops->watermarks(log, "no.such.topic", 0, &low, &high), MR_ERROR_REJECT, "unknown_topic");
    refused(log->ops->committed(log, "no.such.topic", 0, &some, &low), MR_ERROR_REJECT, "unknown_topic");
    refused(log->ops->partition_count(log, "no.such.topic", &count), MR_ERROR_REJECT, "unknown_topic");
    must(log->ops->partition_count(log, MR_TOPIC_SUBMITTED, &count));
    ck_assert_uint_eq(count, 4);
    log->ops->close(log);
}
END_TEST

START_TEST(a_record_over_the_limit_is_refused)
{
    struct mr_log *const log = open_log(NULL);
    enum { SIZE = 5000000 };
    uint8_t *const bytes = calloc(1, SIZE);
    const struct mr_log_output output = {
        .topic = MR_TOPIC_SUBMITTED, .has_value = true, .value = mr_bytes_of(bytes, SIZE)};
    refused(log->ops->produce(log, &output), MR_ERROR_REJECT, "too_large");
    ck_assert_uint_eq(log->ops->in_flight(log), 0);
    free(bytes);
    log->ops->close(log);
}
END_TEST

static void *wake(void *log)
{
    ((struct mr_log *)log)->ops->wake(log);
    return NULL;
}

START_TEST(wake_ends_a_poll)
{
    struct mr_log *const log = open_log(NULL);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wake, log), 0);
    /* Far beyond the test's own time limit: only the wake can end it. */
    ck_assert_int_eq(log->ops->poll(log, 3600000).kind, MR_LOG_EVENT_QUIET);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    log->ops->close(log);
}
END_TEST

static const char *const member_topics[] = {MR_TOPIC_INGESTED, MR_TOPIC_VALIDATED};

START_TEST(one_member_gets_everything_and_reads_what_it_asks_for)
{
    struct mr_log *const log = open_member(member_topics, 2);
    write_numbers(log, MR_TOPIC_INGESTED, 3, 0, 4);
    write_numbers(log, MR_TOPIC_RETRIES_VALIDATE, 3, 0, 1);
    const struct mr_log_event event = log_await(log, MR_LOG_EVENT_ASSIGNED);
    ck_assert_uint_eq(event.of.assigned.count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(event.of.assigned.partitions[i], i);
    }
    ck_assert_int_eq(log->ops->poll(log, 100).kind, MR_LOG_EVENT_QUIET); /* nothing is fetched unasked */
    must(log->ops->fetch(log, MR_TOPIC_RETRIES_VALIDATE, 3, 0));
    expect_number(log, MR_TOPIC_RETRIES_VALIDATE, 3, 0);
    must(log->ops->fetch(log, MR_TOPIC_INGESTED, 3, MR_LOG_OFFSET_COMMITTED));
    expect_number(log, MR_TOPIC_INGESTED, 3, 0);
    must(log->ops->commit(log, MR_TOPIC_INGESTED, 3, 1));
    must(log->ops->commit(log, MR_TOPIC_RETRIES_VALIDATE, 3, 1));
    must(log->ops->commit_wait(log, 30000));
    bool some = false;
    uint64_t next = 0;
    must(log->ops->committed(log, MR_TOPIC_INGESTED, 3, &some, &next));
    ck_assert(some && next == 1);
    must(log->ops->committed(log, MR_TOPIC_RETRIES_VALIDATE, 3, &some, &next));
    ck_assert(some && next == 1);
    log->ops->close(log);
}
END_TEST

/* One turn of a member: what it owns, as bits. */
static void member_turn(struct mr_log *log, uint32_t *owned)
{
    const struct mr_log_event event = log->ops->poll(log, 20);
    ck_assert_int_ne(event.kind, MR_LOG_EVENT_RECORD); /* what was fetched before a rebalance is over */
    ck_assert_int_ne(event.kind, MR_LOG_EVENT_FAILED);
    if (event.kind == MR_LOG_EVENT_REVOKED) {
        ck_assert_int_eq(log->ops->poll(log, 20).kind, MR_LOG_EVENT_QUIET); /* held until it is released */
        log->ops->released(log);
        *owned = 0;
    } else if (event.kind == MR_LOG_EVENT_ASSIGNED) {
        ck_assert_uint_eq(*owned, 0);
        for (size_t i = 0; i < event.of.assigned.count; i++) {
            *owned |= 1u << event.of.assigned.partitions[i];
        }
    }
}

START_TEST(a_second_member_takes_its_share)
{
    struct mr_log *const first = open_member(member_topics, 2);
    ck_assert_uint_eq(log_await(first, MR_LOG_EVENT_ASSIGNED).of.assigned.count, 4);
    write_numbers(first, MR_TOPIC_INGESTED, 0, 0, 2);
    must(first->ops->fetch(first, MR_TOPIC_INGESTED, 0, 0));
    expect_number(first, MR_TOPIC_INGESTED, 0, 0);
    must(first->ops->pause(first, MR_TOPIC_INGESTED, 0));

    struct mr_log *const second = open_member(member_topics, 2);
    uint32_t owned[2] = {0xf, 0};
    while (owned[0] == 0xf || owned[1] == 0xf || (owned[0] ^ owned[1]) != 0xf || (owned[0] & owned[1]) != 0) {
        member_turn(first, &owned[0]);
        member_turn(second, &owned[1]);
    }
    second->ops->close(second);
    first->ops->close(first);
}
END_TEST

START_TEST(a_broker_that_goes_and_comes_back_is_told)
{
    struct mr_log *const log = open_log("patient");
    write_numbers(log, MR_TOPIC_SUBMITTED, 0, 0, 1);
    ck_assert_int_eq(dev_broker_stop(&broker), 0);
    const struct mr_log_event event = log_await(log, MR_LOG_EVENT_DOWN);
    ck_assert(strstr(event.of.error.detail, broker.address) != NULL);
    char port[32];
    (void)snprintf(port, sizeof port, "--port=%s", strchr(broker.address, ':') + 1);
    dev_broker_forget(&broker);
    dev_broker_start(&broker, DEVBROKER_PROGRAM, port, NULL);
    (void)log_await(log, MR_LOG_EVENT_UP);
    write_numbers(log, MR_TOPIC_SUBMITTED, 1, 0, 1);
    log->ops->close(log);
}
END_TEST

/* Without an end the test runs into its time limit. */
START_TEST(a_frozen_broker_is_not_waited_for_without_end)
{
    struct mr_log *const log = open_log(NULL);
    uint64_t low = 7, high = 7;
    must(log->ops->watermarks(log, MR_TOPIC_INGESTED, 0, &low, &high));
    ck_assert_int_eq(kill(broker.pid, SIGSTOP), 0);
    const struct mr_error error = log->ops->watermarks(log, MR_TOPIC_INGESTED, 0, &low, &high);
    ck_assert_int_eq(kill(broker.pid, SIGCONT), 0);
    ck_assert_int_eq(error.kind, MR_ERROR_TRANSIENT);
    ck_assert_uint_eq(high, 0);
    log->ops->close(log);
}
END_TEST

START_TEST(closing_does_not_wait_for_a_dead_broker)
{
    struct mr_log *const log = open_log("leaver"), *const member = open_member(member_topics, 2);
    (void)log_await(member, MR_LOG_EVENT_ASSIGNED);
    must(member->ops->fetch(member, MR_TOPIC_INGESTED, 0, 0));
    struct mr_log_reader *reader = NULL;
    must(log->ops->reader_open(log, MR_TOPIC_SUBMITTED, 0, 0, &reader));
    write_numbers(log, MR_TOPIC_SUBMITTED, 0, 0, 1);
    must(log->ops->fetch(log, MR_TOPIC_SUBMITTED, 0, 0));
    (void)log_await(log, MR_LOG_EVENT_RECORD); /* and never given back */
    ck_assert_int_eq(dev_broker_stop(&broker), 0);
    const struct mr_log_output output = {.topic = MR_TOPIC_SUBMITTED, .has_value = true};
    must(log->ops->produce(log, &output));
    must(log->ops->commit(log, MR_TOPIC_SUBMITTED, 0, 1));
    log->ops->close(log);
    member->ops->close(member);
    dev_broker_forget(&broker);
    start_broker(); /* for the fixture's end */
}
END_TEST

START_TEST(settings_reach_the_client_but_not_the_promises)
{
    struct mr_log_kafka_config config = dev_broker_config(&broker, NULL);
    struct mr_log *log = NULL;
    config.settings = "# a comment\n\nenable.idempotence=false\n";
    refused(mr_log_kafka_open(&config, &log), MR_ERROR_FATAL, "bad_setting");
    config.settings = "no.such.setting=1";
    refused(mr_log_kafka_open(&config, &log), MR_ERROR_FATAL, "bad_setting");
    config.settings = "security.protocol";
    refused(mr_log_kafka_open(&config, &log), MR_ERROR_FATAL, "bad_setting");
    config.settings = "# a comment\n\nmessage.max.bytes=1000\nqueue.buffering.max.messages=500\r\n";
    must(mr_log_kafka_open(&config, &log));
    uint8_t bytes[2000] = {0};
    const struct mr_log_output output = {
        .topic = MR_TOPIC_SUBMITTED, .has_value = true, .value = mr_bytes_of(bytes, sizeof bytes)};
    refused(log->ops->produce(log, &output), MR_ERROR_REJECT, "too_large");
    log->ops->close(log);
}
END_TEST

START_TEST(a_full_queue_says_so_and_empties)
{
    struct mr_log_kafka_config config = dev_broker_config(&broker, NULL);
    config.settings = "queue.buffering.max.messages=10";
    struct mr_log *log = NULL;
    must(mr_log_kafka_open(&config, &log));
    const struct mr_log_output output = {.topic = MR_TOPIC_SUBMITTED, .has_value = true};
    uint64_t sent = 0;
    struct mr_error error;
    while (!mr_failed(error = log->ops->produce(log, &output))) {
        ck_assert_uint_le(++sent, 10); /* unreported ones count: nothing polls here */
    }
    refused(error, MR_ERROR_TRANSIENT, "queue_full");
    for (uint64_t i = 0; i < sent; i++) {
        (void)log_await(log, MR_LOG_EVENT_DELIVERED);
    }
    must(log->ops->produce(log, &output));
    (void)log_await(log, MR_LOG_EVENT_DELIVERED);
    log->ops->close(log);
}
END_TEST

static void add(TCase *tests)
{
    tcase_set_timeout(tests, 90);
    tcase_add_checked_fixture(tests, start_broker, stop_broker);
    tcase_add_test(tests, a_record_comes_back_as_it_was);
    tcase_add_test(tests, null_is_not_empty);
    tcase_add_test(tests, a_committed_offset_is_resumed);
    tcase_add_test(tests, a_group_is_as_far_behind_as_it_has_not_committed);
    tcase_add_test(tests, without_a_group_nothing_is_committed);
    tcase_add_test(tests, a_paused_partition_keeps_its_records);
    tcase_add_test(tests, a_fetch_moves_and_drops_what_was_fetched_ahead);
    tcase_add_test(tests, an_offset_that_is_not_there_is_gone);
    tcase_add_test(tests, readers_go_on_and_seek);
    tcase_add_test(tests, watermarks_follow_the_log);
    tcase_add_test(tests, a_topic_that_is_not_there_is_not_created);
    tcase_add_test(tests, a_record_over_the_limit_is_refused);
    tcase_add_test(tests, wake_ends_a_poll);
    tcase_add_test(tests, one_member_gets_everything_and_reads_what_it_asks_for);
    tcase_add_test(tests, a_second_member_takes_its_share);
    tcase_add_test(tests, a_broker_that_goes_and_comes_back_is_told);
    tcase_add_test(tests, a_frozen_broker_is_not_waited_for_without_end);
    tcase_add_test(tests, closing_does_not_wait_for_a_dead_broker);
    tcase_add_test(tests, settings_reach_the_client_but_not_the_promises);
    tcase_add_test(tests, a_full_queue_says_so_and_empties);
}

int main(void)
{
    return check_main("kafka_log", add);
}
