/*
 * Two members of a group on Apache Kafka, with a long backlog, so that many records are fetched ahead when partitions
 * change hands: mr_kafka_members BROKERS TOPIC, a topic with 4 partitions that this fills.
 *
 * What a member must never do: hand out a record of partitions that it has been asked to give up, or has; go on
 * anywhere but where the new owner asked to; be told of the next assignment before it released the last one.
 */
#include "millrace/log_kafka.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PARTITIONS = 4, BACKLOG = 2000, ROUNDS = 3, READS = 300, WAIT_MS = 20, PATIENCE_S = 60 };

struct member {
    const char *name;
    struct mr_log *log;
    bool assigned, released; /* released: and not assigned again */
    bool owns[PARTITIONS];
    uint64_t next[PARTITIONS];
    uint64_t records; /* since the last assignment */
};
static const char *brokers, *topic;
static uint64_t written; /* records of each partition */

static void fail(const struct member *member, const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", member->name, what);
    exit(EXIT_FAILURE);
}

static void must(struct mr_error error, const struct member *member)
{
    if (mr_failed(error)) {
        fail(member, error.detail);
    }
}

static void open_log(struct member *member, const char *name, enum mr_log_mode mode)
{
    const struct mr_log_kafka_config config = {
        .brokers = brokers,
        .settings = "heartbeat.interval.ms=200",
        .client_id = name,
        .group = mode == MR_LOG_SUBSCRIBE ? "members-of-a-test" : NULL,
        .mode = mode,
        .topics = &topic,
        .topic_count = 1,
        .consume = true,
        .produce = true,
    };
    *member = (struct member){.name = name};
    must(mr_log_kafka_open(&config, &member->log), member);
}

/* Each value is its offset. */
static void fill(struct member *writer)
{
    struct mr_log *const log = writer->log;
    for (const uint64_t end = written + BACKLOG; written < end; written++) {
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            const struct mr_log_output output = {
                .topic = topic,
                .partition = p,
                .has_value = true,
                .value = mr_bytes_of((const uint8_t *)&written, sizeof written),
            };
            must(log->ops->produce(log, &output), writer);
        }
    }
    while (log->ops->in_flight(log) > 0) {
        const struct mr_log_event event = log->ops->poll(log, WAIT_MS);
        if (event.kind == MR_LOG_EVENT_DELIVERY_FAILED) {
            fail(writer, event.of.delivery_failed.error.detail);
        }
    }
}

static void on_record(struct member *member, const struct mr_log_record *record)
{
    if (member->released || !member->assigned) {
        fail(member, "a record of partitions that it has given up");
    }
    if (record->partition >= PARTITIONS || !member->owns[record->partition]) {
        fail(member, "a record of another member's partition");
    }
    if (record->offset != member->next[record->partition] || record->value.size != sizeof record->offset ||
        memcmp(record->value.data, &record->offset, sizeof record->offset) != 0) {
        fail(member, "not the record that comes next");
    }
    member->next[record->partition]++;
    member->records++;
}

static void on_assigned(struct member *member, const uint32_t *partitions, size_t count)
{
    if (member->assigned && !member->released) {
        fail(member, "assigned twice");
    }
    member->assigned = true;
    member->released = false;
    member->records = 0;
    memset(member->owns, 0, sizeof member->owns);
    for (size_t i = 0; i < count; i++) {
        const uint32_t p = partitions[i];
        bool some = false;
        uint64_t offset = 0;
        must(member->log->ops->committed(member->log, topic, p, &some, &offset), member);
        member->owns[p] = true;
        member->next[p] = some ? offset : 0;
        must(member->log->ops->fetch(member->log, topic, p, member->next[p]), member);
    }
}

/* Commits what it has read; until it releases, nothing may come. */
static void on_revoked(struct member *member)
{
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        if (member->owns[p]) {
            must(member->log->ops->commit(member->log, topic, p, member->next[p]), member);
        }
    }
    must(member->log->ops->commit_wait(member->log, PATIENCE_S * 1000), member);
    for (int i = 0; i < 3; i++) {
        const enum mr_log_event_kind kind = member->log->ops->poll(member->log, WAIT_MS).kind;
        if (kind != MR_LOG_EVENT_QUIET && kind != MR_LOG_EVENT_COMMIT_FAILED) {
            fail(member, "something came before it had released its partitions");
        }
    }
    member->log->ops->released(member->log);
    member->released = true;
}

static void turn(struct member *member)
{
    const struct mr_log_event event = member->log->ops->poll(member->log, WAIT_MS);
    if (event.kind == MR_LOG_EVENT_RECORD) {
        on_record(member, &event.of.record.view);
        member->log->ops->record_free(member->log, event.of.record.held);
    } else if (event.kind == MR_LOG_EVENT_ASSIGNED) {
        on_assigned(member, event.of.assigned.partitions, event.of.assigned.count);
    } else if (event.kind == MR_LOG_EVENT_REVOKED) {
        on_revoked(member);
    } else if (event.kind == MR_LOG_EVENT_FAILED) {
        fail(member, event.of.error.detail);
    } else if (event.kind == MR_LOG_EVENT_OFFSET_GONE) {
        fail(member, "an offset is gone");
    }
}

static size_t owned(const struct member *member)
{
    size_t count = 0;
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        count += member->assigned && !member->released && member->owns[p] ? 1 : 0;
    }
    return count;
}

/* There is always more to read, so that records are at hand whenever partitions change hands. */
static bool runs_out(const struct member *member)
{
    bool near = false;
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        near = near || (member->owns[p] && member->next[p] + BACKLOG / 2 > written);
    }
    return near;
}

/* Until each member owns its share and has read so many records since; `second` may be NULL. */
static void run_until(struct member *writer, struct member *first, struct member *second)
{
    const time_t deadline = time(NULL) + PATIENCE_S;
    const size_t share = second == NULL ? PARTITIONS : PARTITIONS / 2;
    while (owned(first) != share || first->records < READS ||
           (second != NULL && (owned(second) != share || second->records < READS))) {
        if (runs_out(first) || (second != NULL && runs_out(second))) {
            fill(writer);
        }
        turn(first);
        if (second != NULL) {
            turn(second);
        }
        if (time(NULL) >= deadline) {
            fail(first, "does not get its share");
        }
    }
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        (void)fprintf(stderr, "mr_kafka_members BROKERS TOPIC\n");
        return 64;
    }
    brokers = argv[1];
    topic = argv[2];
    struct member writer, first, second;
    open_log(&writer, "writer", MR_LOG_ASSIGN);
    open_log(&first, "first", MR_LOG_SUBSCRIBE);
    fill(&writer);
    run_until(&writer, &first, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        open_log(&second, "second", MR_LOG_SUBSCRIBE);
        run_until(&writer, &first, &second);
        second.log->ops->close(second.log);
        run_until(&writer, &first, NULL);
    }
    first.log->ops->close(first.log);
    writer.log->ops->close(writer.log);
    (void)printf("%d times shared and taken back, %" PRIu64 " records of each partition\n", ROUNDS, written);
    return EXIT_SUCCESS;
}
