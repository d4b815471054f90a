#include "log_events.h"

#include <stdio.h>
#include <time.h>

enum { WAIT_S = 60, TURN_MS = 1000 };

static void print_failure(const struct mr_log_event *event)
{
    if (event->kind == MR_LOG_EVENT_FAILED) {
        fprintf(stderr, "the log failed: %s: %s\n", event->of.error.code, event->of.error.detail);
    } else if (event->kind == MR_LOG_EVENT_DELIVERY_FAILED) {
        fprintf(stderr, "a delivery failed: %s\n", event->of.delivery_failed.error.detail);
    }
}

struct mr_log_event log_await(struct mr_log *log, enum mr_log_event_kind kind)
{
    const time_t deadline = time(NULL) + WAIT_S;
    for (;;) {
        const struct mr_log_event event = log->ops->poll(log, TURN_MS);
        if (event.kind == kind) {
            return event;
        }
        print_failure(&event);
        MR_ASSERT(event.kind != MR_LOG_EVENT_FAILED && event.kind != MR_LOG_EVENT_DELIVERY_FAILED);
        if (event.kind == MR_LOG_EVENT_RECORD) {
            log->ops->record_free(log, event.of.record.held);
        }
        MR_ASSERT(time(NULL) < deadline);
    }
}

uint64_t log_write(struct mr_log *log, const char *topic, uint32_t partition, const char *key, const char *value)
{
    const struct mr_log_output output = {
        .topic = topic,
        .partition = partition,
        .has_key = key != NULL,
        .has_value = value != NULL,
        .key = key != NULL ? mr_bytes_of_text(key) : mr_bytes_of(NULL, 0),
        .value = value != NULL ? mr_bytes_of_text(value) : mr_bytes_of(NULL, 0),
    };
    const struct mr_error error = log->ops->produce(log, &output);
    if (mr_failed(error)) {
        fprintf(stderr, "produce: %s\n", error.detail);
    }
    MR_ASSERT(!mr_failed(error));
    return log_await(log, MR_LOG_EVENT_DELIVERED).of.delivered.offset;
}
