#include "submit.h"

#include "millrace/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 100, TELL_US = 1000000, HEADERS = 6, BATCH_ID_SIZE = 32 };

struct mr_error submit_open(const struct submit_config *config, struct submitter *ret_submitter)
{
    struct submitter submitter = {.config = config, .clock = mr_clock_system(), .next_sequence = config->sequence};
    if (config->producer[0] != '\0') {
        if (!mr_id_valid(mr_bytes_of_text(config->producer))) {
            return mr_error_make(MR_ERROR_REJECT, "bad_id", 0, "--producer: expected 1 to 63 of a-z 0-9 . _ -");
        }
        (void)snprintf(submitter.producer_id, sizeof submitter.producer_id, "%s", config->producer);
    } else {
        /* Unique: two submits at a time must never take each other's batches for repeated ones. */
        uint8_t random[8];
        char text[2 * sizeof random + 1];
        MR_TRY(mr_random(random, sizeof random));
        mr_hex(mr_bytes_of(random, sizeof random), text);
        (void)snprintf(submitter.producer_id, sizeof submitter.producer_id, "submit-%s", text);
    }
    submitter.epoch =
        config->epoch > 0 ? (uint32_t)config->epoch : (uint32_t)(mr_clock_wall_ms(&submitter.clock) / 1000);
    MR_TRY(cli_session_open(&config->brokers, CLI_WRITE, &submitter.session));
    submitter.began_us = mr_clock_monotonic_us(&submitter.clock);
    submitter.told_us = submitter.began_us;
    *ret_submitter = submitter;
    return mr_ok();
}

void submit_close(struct submitter *submitter)
{
    cli_session_close(&submitter->session);
}

static void tell(struct submitter *submitter)
{
    const int64_t now_us = mr_clock_monotonic_us(&submitter->clock);
    if (now_us - submitter->told_us >= TELL_US) {
        submitter->told_us = now_us;
        (void)fprintf(stderr, "submit: %" PRIu64 " sent, %" PRIu64 " accepted\n", submitter->events,
                      submitter->accepted);
    }
}

/* The log itself tries for ever; a person who waits wants to know. */
static struct mr_error check_patience(const struct submitter *submitter)
{
    const uint64_t timeout_s = submitter->config->timeout_s;
    const int64_t waited_us = mr_clock_monotonic_us(&submitter->clock) - submitter->waiting_us;
    if (submitter->accepted == submitter->events || waited_us < (int64_t)timeout_s * 1000000) {
        return mr_ok();
    }
    return mr_error_make(MR_ERROR_TRANSIENT, "unacknowledged", 0,
                         "the broker acknowledged nothing for %" PRIu64 " s (--timeout)", timeout_s);
}

/* One event of the log: an acknowledgement, mostly. */
static struct mr_error hear(struct submitter *submitter, uint32_t wait_ms)
{
    struct mr_log *log = submitter->session.log;
    const struct mr_log_event event = log->ops->poll(log, wait_ms);
    tell(submitter);
    switch (event.kind) {
    case MR_LOG_EVENT_DELIVERED:
        submitter->accepted++;
        submitter->waiting_us = mr_clock_monotonic_us(&submitter->clock);
        return mr_ok();
    case MR_LOG_EVENT_DELIVERY_FAILED: return event.of.delivery_failed.error;
    case MR_LOG_EVENT_FAILED: return event.of.error;
    case MR_LOG_EVENT_DOWN:
        (void)fprintf(stderr, "submit: no broker answers, trying on: %s\n", event.of.error.detail);
        return check_patience(submitter);
    case MR_LOG_EVENT_RECORD: log->ops->record_free(log, event.of.record.held); return mr_ok();
    case MR_LOG_EVENT_QUIET: return check_patience(submitter);
    case MR_LOG_EVENT_ASSIGNED:
    case MR_LOG_EVENT_REVOKED:
    case MR_LOG_EVENT_UP:
    case MR_LOG_EVENT_OFFSET_GONE:
    case MR_LOG_EVENT_COMMIT_FAILED: return mr_ok();
    }
    mr_unreachable(__func__);
}

static struct mr_error produce(struct submitter *submitter, struct mr_bytes model_id, struct mr_bytes value)
{
    char id[MR_ID_SIZE + 64], at[CLI_TIME_SIZE];
    (void)snprintf(id, sizeof id, "%s:%" PRIu32 ":%" PRIu64, submitter->producer_id, submitter->epoch,
                   submitter->config->sequence + submitter->events);
    cli_time_text(mr_clock_wall_ms(&submitter->clock), at);
    const struct mr_log_header headers[HEADERS] = {
        {"ce_specversion", mr_bytes_of_text("1.0")},
        {"ce_id", mr_bytes_of_text(id)},
        {"ce_type", mr_bytes_of_text("millrace.batch.v1.Submitted")},
        {"ce_source", mr_bytes_of_text("/millrace/submit")},
        {"ce_time", mr_bytes_of_text(at)},
        {"content-type", mr_bytes_of_text("application/protobuf")},
    };
    const struct mr_log_output output = {
        .topic = MR_TOPIC_SUBMITTED,
        .partition = mr_partition_of(model_id, submitter->session.deployment.partitions),
        .has_key = true,
        .has_value = true,
        .key = model_id,
        .value = value,
        .headers = headers,
        .header_count = HEADERS,
    };
    struct mr_log *log = submitter->session.log;
    struct mr_error error = log->ops->produce(log, &output);
    while (error.kind == MR_ERROR_TRANSIENT && strcmp(error.code, "queue_full") == 0) {
        MR_TRY(hear(submitter, POLL_MS));
        error = log->ops->produce(log, &output);
    }
    MR_TRY(error);
    if (submitter->accepted == submitter->events) {
        submitter->waiting_us = mr_clock_monotonic_us(&submitter->clock);
    }
    submitter->events++;
    return hear(submitter, 0);
}

static const char *model_of(const Millrace__Batch__V1__Submitted *event)
{
    if (event->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STARTED) {
        return event->run_started->model_id;
    }
    if (event->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH) {
        return event->batch->model_id;
    }
    return event->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STOPPED ? event->run_stopped->model_id : "";
}

struct mr_error submit_event(struct submitter *submitter, const Millrace__Batch__V1__Submitted *event)
{
    const struct mr_bytes model_id = mr_bytes_of_text(model_of(event));
    if (!mr_id_valid(model_id)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_id", 0,
                             "model_id \"%.70s\": expected 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit",
                             (const char *)model_id.data);
    }
    const size_t size = millrace__batch__v1__submitted__get_packed_size(event);
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "an event of %zu bytes", size);
    }
    (void)millrace__batch__v1__submitted__pack(event, bytes);
    const struct mr_error error = produce(submitter, model_id, mr_bytes_of(bytes, size));
    free(bytes);
    MR_TRY(error);
    submitter->starts += event->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STARTED ? 1 : 0;
    submitter->stops += event->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STOPPED ? 1 : 0;
    return mr_ok();
}

static struct mr_error wait_for_turn(struct submitter *submitter)
{
    if (submitter->config->rate == 0) {
        return mr_ok();
    }
    const int64_t due_us = submitter->began_us + (int64_t)(submitter->batches * 1000000 / submitter->config->rate);
    int64_t left_us = due_us - mr_clock_monotonic_us(&submitter->clock);
    while (left_us > 0) {
        MR_TRY(hear(submitter, (uint32_t)(left_us / 1000 < POLL_MS ? left_us / 1000 + 1 : POLL_MS)));
        left_us = due_us - mr_clock_monotonic_us(&submitter->clock);
    }
    return mr_ok();
}

static size_t inline_bytes(const Millrace__Common__V1__Tensor *tensor)
{
    return tensor != NULL && tensor->content_case == MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA ? tensor->data.len : 0;
}

static struct mr_error check_size(const Millrace__Batch__V1__Batch *batch)
{
    size_t size = 0;
    if (batch->payload_case == MILLRACE__BATCH__V1__BATCH__PAYLOAD_CONTRACTS) {
        size = inline_bytes(batch->contracts->rows);
    } else if (batch->payload_case == MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED) {
        size = inline_bytes(batch->labelled->features) + inline_bytes(batch->labelled->targets);
    }
    if (size > SUBMIT_INLINE_MAX) {
        return mr_error_make(MR_ERROR_REJECT, "too_large", 0,
                             "batch \"%.63s\" has %zu bytes of payload; at most %d go inline: take fewer rows a batch, "
                             "or a claim check (uri, size, sha256)",
                             batch->batch_id, size, SUBMIT_INLINE_MAX);
    }
    return mr_ok();
}

struct mr_error submit_batch(struct submitter *submitter, Millrace__Batch__V1__Batch *batch)
{
    Millrace__Batch__V1__Producer producer;
    millrace__batch__v1__producer__init(&producer);
    producer.producer_id = submitter->producer_id;
    producer.epoch = submitter->epoch;
    producer.sequence = submitter->next_sequence;
    char batch_id[BATCH_ID_SIZE];
    (void)snprintf(batch_id, sizeof batch_id, "b%010" PRIu64, submitter->next_sequence);
    char *const given_id = batch->batch_id;
    Millrace__Batch__V1__Producer *const given_producer = batch->producer;
    if (given_id[0] == '\0') {
        batch->batch_id = batch_id;
    }
    if (given_producer == NULL) {
        batch->producer = &producer;
    }
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH;
    event.batch = batch;
    struct mr_error error = check_size(batch);
    if (!mr_failed(error)) {
        error = wait_for_turn(submitter);
    }
    if (!mr_failed(error)) {
        error = submit_event(submitter, &event);
    }
    batch->batch_id = given_id;
    batch->producer = given_producer;
    MR_TRY(error);
    submitter->next_sequence++;
    submitter->batches++;
    return mr_ok();
}

struct mr_error submit_finish(struct submitter *submitter)
{
    struct mr_log *log = submitter->session.log;
    while (log->ops->in_flight(log) > 0 || submitter->accepted < submitter->events) {
        MR_TRY(hear(submitter, POLL_MS));
    }
    return mr_ok();
}
