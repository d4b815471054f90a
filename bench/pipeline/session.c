#include "session.h"

#include "millrace/step/v1/step.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEADERS = 6, BROKER_WAIT_MS = 5000, FULL_WAIT_MS = 10, HEAR_MAX = 256, ID_SIZE = 64, TIME_SIZE = 40 };

struct bench_lane {
    uint64_t base;     /* the offset of the first record that is sent to it */
    uint32_t *records; /* their numbers */
    size_t count, capacity;
};

/* Topics by point; dead letters are followed in any case. */
static const struct {
    const char *text, *topic;
    bool always;
} points[BENCH_POINTS] = {
    [BENCH_ACKNOWLEDGED] = {"acknowledged", NULL, true},
    [BENCH_INGESTED] = {"ingested", MR_TOPIC_INGESTED, false},
    [BENCH_VALIDATED] = {"validated", MR_TOPIC_VALIDATED, false},
    [BENCH_STAGED] = {"staged", MR_TOPIC_STAGED, false},
    [BENCH_TRAINED] = {"trained", MR_TOPIC_TRAINED, true},
    [BENCH_METRIC] = {"metric", MR_TOPIC_METRICS, false},
    [BENCH_COMMITTED] = {"committed", MR_TOPIC_COMMITTED, true},
    [BENCH_VERSION] = {"version", MR_TOPIC_VERSIONS, true},
};

const char *bench_point_text(enum bench_point point)
{
    return points[point].text;
}

static struct mr_error out_of_memory(void)
{
    return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the benchmark's records");
}

/* ---- Opening -------------------------------------------------------------------------------------------------- */

static struct mr_error follow(struct bench_session *session, const char *topic)
{
    struct mr_log *log = session->log;
    for (uint32_t partition = 0; partition < session->deployment.partitions; partition++) {
        uint64_t low = 0, high = 0;
        MR_TRY(log->ops->watermarks(log, topic, partition, &low, &high));
        MR_TRY(log->ops->fetch(log, topic, partition, high));
    }
    return mr_ok();
}

static struct mr_error open_lanes(struct bench_session *session)
{
    session->lanes = calloc(session->deployment.partitions, sizeof *session->lanes);
    if (session->lanes == NULL) {
        return out_of_memory();
    }
    for (uint32_t partition = 0; partition < session->deployment.partitions; partition++) {
        uint64_t low = 0;
        MR_TRY(session->log->ops->watermarks(session->log, MR_TOPIC_SUBMITTED, partition, &low,
                                             &session->lanes[partition].base));
    }
    return mr_ok();
}

static struct mr_error open_points(struct bench_session *session, bool all)
{
    session->records = calloc(session->capacity, sizeof *session->records);
    if (session->records == NULL) {
        return out_of_memory();
    }
    for (size_t point = 0; point < BENCH_POINTS; point++) {
        if (!all && !points[point].always) {
            continue;
        }
        uint32_t *latencies = malloc(session->capacity * sizeof *latencies);
        if (latencies == NULL) {
            return out_of_memory();
        }
        memset(latencies, 0xff, session->capacity * sizeof *latencies);
        session->latency_us[point] = latencies;
        if (points[point].topic != NULL) {
            MR_TRY(follow(session, points[point].topic));
        }
    }
    return follow(session, MR_TOPIC_DEADLETTERS);
}

struct mr_error bench_session_open(const char *brokers, uint32_t linger_ms, bool all, size_t capacity,
                                   struct bench_session *ret_session)
{
    struct bench_session session = {.clock = mr_clock_system(), .capacity = capacity};
    bool development = false;
    MR_TRY(mr_log_kafka_is_development(brokers, NULL, BROKER_WAIT_MS, &development));
    const struct mr_log_kafka_config config = {
        .brokers = brokers,
        .client_id = "millrace-bench",
        .mode = MR_LOG_ASSIGN,
        .development_broker = development,
        .linger_ms = linger_ms,
        .consume = true,
        .produce = true,
    };
    MR_TRY(mr_log_kafka_open(&config, &session.log));
    struct mr_error error = mr_deployment_read(session.log, &session.deployment);
    if (!mr_failed(error)) {
        error = open_lanes(&session);
    }
    if (!mr_failed(error)) {
        error = open_points(&session, all);
    }
    session.progress_us = bench_now_us(&session);
    if (mr_failed(error)) {
        bench_session_close(&session);
        return error;
    }
    *ret_session = session;
    return mr_ok();
}

void bench_session_close(struct bench_session *session)
{
    for (uint32_t i = 0; session->lanes != NULL && i < session->deployment.partitions; i++) {
        free(session->lanes[i].records);
    }
    for (size_t point = 0; point < BENCH_POINTS; point++) {
        free(session->latency_us[point]);
    }
    free(session->lanes);
    free(session->records);
    session->log->ops->close(session->log);
    *session = (struct bench_session){.log = NULL};
}

/* ---- Sending -------------------------------------------------------------------------------------------------- */

static struct mr_error lane_append(struct bench_lane *lane, uint32_t record)
{
    if (lane->count == lane->capacity) {
        const size_t capacity = lane->capacity == 0 ? 1024 : 2 * lane->capacity;
        uint32_t *records = realloc(lane->records, capacity * sizeof *records);
        if (records == NULL) {
            return out_of_memory();
        }
        lane->records = records;
        lane->capacity = capacity;
    }
    lane->records[lane->count++] = record;
    return mr_ok();
}

static void time_text(int64_t time_ms, char ret_text[TIME_SIZE])
{
    const time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char date[24] = "1970-01-01T00:00:00";
    if (gmtime_r(&seconds, &parts) != NULL) {
        (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    (void)snprintf(ret_text, TIME_SIZE, "%s.%03dZ", date, (int)(time_ms % 1000));
}

static struct mr_error produce(struct bench_session *session, struct mr_bytes model_id, struct mr_bytes value,
                               uint32_t partition)
{
    char id[ID_SIZE], at[TIME_SIZE];
    const uint64_t offset = session->lanes[partition].base + session->lanes[partition].count;
    (void)snprintf(id, sizeof id, "bench:%" PRIu32 ":%" PRIu64, partition, offset);
    time_text(mr_clock_wall_ms(&session->clock), at);
    const struct mr_log_header headers[HEADERS] = {
        {"ce_specversion", mr_bytes_of_text("1.0")},
        {"ce_id", mr_bytes_of_text(id)},
        {"ce_type", mr_bytes_of_text("millrace.batch.v1.Submitted")},
        {"ce_source", mr_bytes_of_text("/millrace/bench")},
        {"ce_time", mr_bytes_of_text(at)},
        {"content-type", mr_bytes_of_text("application/protobuf")},
    };
    const struct mr_log_output output = {
        .topic = MR_TOPIC_SUBMITTED,
        .partition = partition,
        .has_key = true,
        .has_value = true,
        .key = model_id,
        .value = value,
        .headers = headers,
        .header_count = HEADERS,
        .token = session->sent,
    };
    struct mr_error error = session->log->ops->produce(session->log, &output);
    while (error.kind == MR_ERROR_TRANSIENT && strcmp(error.code, "queue_full") == 0) {
        MR_TRY(bench_session_hear(session, FULL_WAIT_MS));
        error = session->log->ops->produce(session->log, &output);
    }
    return error;
}

struct mr_error bench_session_send(struct bench_session *session, const char *model_id, struct mr_bytes value,
                                   int64_t due_us)
{
    MR_ASSERT(session->sent < session->capacity);
    const struct mr_bytes key = mr_bytes_of_text(model_id);
    const uint32_t partition = mr_partition_of(key, session->deployment.partitions);
    struct bench_lane *lane = &session->lanes[partition];
    session->records[session->sent] = (struct bench_record){due_us, lane->base + lane->count, false};
    MR_TRY(produce(session, key, value, partition));
    MR_TRY(lane_append(lane, (uint32_t)session->sent));
    session->sent++;
    return mr_ok();
}

struct mr_error bench_session_poison(struct bench_session *session, const char *model_id, struct mr_bytes value,
                                     int64_t due_us)
{
    MR_TRY(bench_session_send(session, model_id, value, due_us));
    session->records[session->sent - 1].poison = true;
    session->poisoned++;
    return mr_ok();
}

/* ---- Hearing -------------------------------------------------------------------------------------------------- */

static void note(struct bench_session *session, enum bench_point point, size_t record)
{
    uint32_t *latency = &session->latency_us[point][record];
    if (*latency != BENCH_NEVER) {
        session->repeated[point]++;
        return;
    }
    const int64_t now_us = bench_now_us(session), since_us = now_us - session->records[record].due_us;
    *latency = since_us < 0 ? 0 : since_us < BENCH_NEVER ? (uint32_t)since_us : BENCH_NEVER - 1;
    session->seen[point]++;
    session->progress_us = now_us;
}

static struct mr_error delivered(struct bench_session *session, size_t record, uint64_t offset)
{
    if (offset != session->records[record].offset) {
        return mr_error_make(MR_ERROR_REJECT, "not_alone", 0,
                             "somebody else writes to %s: a record lies at %" PRIu64 ", expected at %" PRIu64,
                             MR_TOPIC_SUBMITTED, offset, session->records[record].offset);
    }
    note(session, BENCH_ACKNOWLEDGED, record);
    return mr_ok();
}

/* Notes the record of that stamp; one that was submitted before this session is passed over. */
static struct mr_error stamped(struct bench_session *session, enum bench_point point,
                               const Millrace__Common__V1__Stamp *stamp)
{
    if (stamp == NULL || stamp->origin == NULL || stamp->origin->partition >= session->deployment.partitions) {
        return mr_error_make(MR_ERROR_REJECT, "bad_record", 0, "a record of %s has no origin", points[point].topic);
    }
    const struct bench_lane *lane = &session->lanes[stamp->origin->partition];
    if (stamp->origin->offset < lane->base) {
        return mr_ok();
    }
    const uint64_t at = stamp->origin->offset - lane->base;
    if (at >= lane->count) {
        return mr_error_make(MR_ERROR_REJECT, "not_alone", 0, "%s has a record that this benchmark did not submit",
                             points[point].topic);
    }
    note(session, point, lane->records[at]);
    return mr_ok();
}

/* A step that changed nothing is no step. */
static struct mr_error trained(struct bench_session *session, struct mr_bytes value)
{
    Millrace__Step__V1__StepTrained *step = millrace__step__v1__step_trained__unpack(NULL, value.size, value.data);
    if (step == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "bad_record", 0, "a record of %s is no StepTrained", MR_TOPIC_TRAINED);
    }
    const bool good = step->event_case == MILLRACE__STEP__V1__STEP_TRAINED__EVENT_STEPPED ||
                      step->event_case == MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_OPENED ||
                      step->event_case == MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_CLOSED;
    const struct mr_error error =
        good ? stamped(session, BENCH_TRAINED, step->stamp)
             : mr_error_make(MR_ERROR_REJECT, "diverged", 0, "run %.63s diverged", step->run_id);
    millrace__step__v1__step_trained__free_unpacked(step, NULL);
    return error;
}

static struct mr_error heard(struct bench_session *session, enum bench_point point, struct mr_bytes value)
{
    if (point == BENCH_TRAINED) {
        return trained(session, value);
    }
    Millrace__Common__V1__Stamped *message = millrace__common__v1__stamped__unpack(NULL, value.size, value.data);
    if (message == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "bad_record", 0, "a record of %s has no stamp", points[point].topic);
    }
    const struct mr_error error = stamped(session, point, message->stamp);
    millrace__common__v1__stamped__free_unpacked(message, NULL);
    return error;
}

/* The record that this is the dead letter of; NULL: none of this session. */
static const struct bench_record *buried(const struct bench_session *session, const struct mr_log_record *letter)
{
    const struct bench_lane *lane = &session->lanes[letter->partition];
    struct mr_bytes text;
    char number[24] = "";
    if (!mr_log_header_find(letter, "mr_dlq_origin", &text) || text.size >= sizeof number) {
        return NULL;
    }
    memcpy(number, text.data, text.size);
    const uint64_t origin = strtoull(number, NULL, 10);
    return origin < lane->base || origin - lane->base >= lane->count
               ? NULL
               : &session->records[lane->records[origin - lane->base]];
}

static struct mr_error dead_letter(struct bench_session *session, const struct mr_log_record *record)
{
    struct mr_bytes reason = mr_bytes_of_text("?");
    const struct bench_record *const of = buried(session, record);
    if (of != NULL && of->poison) {
        session->buried++;
        session->progress_us = bench_now_us(session);
        return mr_ok();
    }
    (void)!mr_log_header_find(record, "mr_dlq_reason", &reason);
    return mr_error_make(MR_ERROR_REJECT, "dead_lettered", 0, "a record of model %.*s became a dead letter: %.*s",
                         (int)record->key.size, (const char *)record->key.data, (int)reason.size,
                         (const char *)reason.data);
}

static struct mr_error received(struct bench_session *session, const struct mr_log_record *record)
{
    for (size_t point = 0; point < BENCH_POINTS; point++) {
        if (points[point].topic != NULL && strcmp(record->topic, points[point].topic) == 0) {
            return heard(session, (enum bench_point)point, record->value);
        }
    }
    return dead_letter(session, record);
}

/* One thing; *ret_some false: there was none. */
static struct mr_error hear_one(struct bench_session *session, uint32_t wait_ms, bool *ret_some)
{
    struct mr_log *log = session->log;
    const struct mr_log_event event = log->ops->poll(log, wait_ms);
    *ret_some = event.kind != MR_LOG_EVENT_QUIET;
    switch (event.kind) {
    case MR_LOG_EVENT_RECORD: {
        const struct mr_error error = received(session, &event.of.record.view);
        log->ops->record_free(log, event.of.record.held);
        return error;
    }
    case MR_LOG_EVENT_DELIVERED: return delivered(session, (size_t)event.of.delivered.token, event.of.delivered.offset);
    case MR_LOG_EVENT_DELIVERY_FAILED: return event.of.delivery_failed.error;
    case MR_LOG_EVENT_FAILED: return event.of.error;
    case MR_LOG_EVENT_OFFSET_GONE:
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0, "%s lost records before they were read",
                             event.of.offset_gone.topic);
    case MR_LOG_EVENT_QUIET:
    case MR_LOG_EVENT_DOWN: /* it goes on trying; the benchmark gives up by its own patience */
    case MR_LOG_EVENT_UP:
    case MR_LOG_EVENT_ASSIGNED:
    case MR_LOG_EVENT_REVOKED:
    case MR_LOG_EVENT_COMMIT_FAILED: return mr_ok();
    }
    mr_unreachable(__func__);
}

struct mr_error bench_session_hear(struct bench_session *session, uint32_t wait_ms)
{
    bool some = true;
    MR_TRY(hear_one(session, wait_ms, &some));
    for (int heard_more = 0; some && heard_more < HEAR_MAX; heard_more++) {
        MR_TRY(hear_one(session, 0, &some));
    }
    return mr_ok();
}
