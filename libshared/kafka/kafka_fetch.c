#include "kafka_internal.h"

#include <stdlib.h>
#include <string.h>

struct mr_error kafka_fetcher_open(struct kafka_log *self)
{
    MR_TRY(kafka_handle_open(&self->config, KAFKA_ROLE_FETCHER, &self->fetcher.handle));
    self->fetcher.queue = rd_kafka_queue_get_main(self->fetcher.handle);
    kafka_queue_watch(self, self->fetcher.queue);
    return mr_ok();
}

static struct mr_error not_open(const char *topic)
{
    return mr_error_make(MR_ERROR_FATAL, "not_a_consumer", 0, "the log was not opened for consuming %s", topic);
}

static struct kafka_fetch *find(const struct kafka_fetcher *fetcher, const char *topic, uint32_t partition)
{
    struct kafka_fetch *f = fetcher->fetches;
    while (f != NULL && (f->partition != partition || strcmp(rd_kafka_topic_name(f->topic), topic) != 0)) {
        f = f->next;
    }
    return f;
}

/* The next record that was fetched; NULL: none is here. */
static rd_kafka_message_t *take(struct kafka_fetch *fetch)
{
    if (fetch->taken_at == fetch->taken_end) {
        const ssize_t count =
            rd_kafka_consume_batch(fetch->topic, (int32_t)fetch->partition, 0, fetch->taken, KAFKA_TAKEN_MAX);
        fetch->taken_at = 0;
        fetch->taken_end = count > 0 ? (size_t)count : 0;
    }
    return fetch->taken_at < fetch->taken_end ? fetch->taken[fetch->taken_at++] : NULL;
}

/* Returns when all that was fetched ahead is dropped. */
static void stop(struct kafka_fetch *fetch)
{
    while (fetch->taken_at < fetch->taken_end) {
        rd_kafka_message_destroy(fetch->taken[fetch->taken_at++]);
    }
    if (fetch->started) {
        (void)rd_kafka_consume_stop(fetch->topic, (int32_t)fetch->partition);
        fetch->started = false;
    }
}

static void fetch_free(struct kafka_fetch *fetch)
{
    stop(fetch);
    if (fetch->queue != NULL) {
        rd_kafka_queue_io_event_enable(fetch->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(fetch->queue);
    }
    if (fetch->topic != NULL) {
        rd_kafka_topic_destroy(fetch->topic);
    }
    free(fetch);
}

void kafka_fetcher_stop_all(struct kafka_log *self)
{
    while (self->fetcher.fetches != NULL) {
        struct kafka_fetch *const fetch = self->fetcher.fetches;
        self->fetcher.fetches = fetch->next;
        fetch_free(fetch);
    }
    self->fetcher.turn = NULL;
}

void kafka_fetcher_close(struct kafka_log *self)
{
    if (self->fetcher.handle == NULL) {
        return;
    }
    while (self->fetcher.held != NULL) {
        kafka_held_free(self->fetcher.held); /* destroying the handle would wait for them */
    }
    kafka_fetcher_stop_all(self);
    rd_kafka_queue_destroy(self->fetcher.queue);
    rd_kafka_destroy(self->fetcher.handle);
}

/* The first offset to fetch: librdkafka's logical ones are not ours. */
static struct mr_error start_of(struct mr_log *log, const char *topic, uint32_t partition, uint64_t from,
                                int64_t *ret_start)
{
    bool some = true;
    uint64_t offset = from;
    if (from == MR_LOG_OFFSET_COMMITTED) {
        MR_TRY(kafka_committed(log, topic, partition, &some, &offset));
    }
    if (some && offset > INT64_MAX) {
        return mr_error_make(MR_ERROR_FATAL, "bad_offset", 0, "%s [%u]: no such offset", topic, partition);
    }
    *ret_start = some ? (int64_t)offset : RD_KAFKA_OFFSET_BEGINNING;
    return mr_ok();
}

static struct mr_error fetch_new(struct kafka_log *self, const char *topic, uint32_t partition,
                                 struct kafka_fetch **ret_fetch)
{
    struct kafka_fetch *const fetch = calloc(1, sizeof *fetch);
    if (fetch == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "fetching %s [%u]", topic, partition);
    }
    fetch->partition = partition;
    fetch->topic = rd_kafka_topic_new(self->fetcher.handle, topic, NULL);
    if (fetch->topic == NULL) {
        const struct mr_error error = kafka_error(rd_kafka_last_error(), topic, NULL);
        fetch_free(fetch);
        return error;
    }
    fetch->queue = rd_kafka_queue_get_partition(self->fetcher.handle, topic, (int32_t)partition);
    MR_ASSERT(fetch->queue != NULL);
    kafka_queue_watch(self, fetch->queue);
    fetch->next = self->fetcher.fetches;
    self->fetcher.fetches = fetch;
    *ret_fetch = fetch;
    return mr_ok();
}

struct mr_error kafka_fetch(struct mr_log *log, const char *topic, uint32_t partition, uint64_t from)
{
    struct kafka_log *const self = kafka_of(log);
    if (self->fetcher.handle == NULL) {
        return not_open(topic);
    }
    MR_TRY(kafka_partition_check(self, topic, partition));
    int64_t start = 0;
    MR_TRY(start_of(log, topic, partition, from, &start));
    struct kafka_fetch *fetch = find(&self->fetcher, topic, partition);
    if (fetch == NULL) {
        MR_TRY(fetch_new(self, topic, partition, &fetch));
    }
    stop(fetch);
    if (rd_kafka_consume_start(fetch->topic, (int32_t)partition, start) != 0) {
        return kafka_error(rd_kafka_last_error(), topic, NULL);
    }
    fetch->started = true;
    return mr_ok();
}

/* librdkafka keeps what the last reply to a fetch said. */
bool kafka_fetched_end(const struct mr_log *log, const char *topic, uint32_t partition, uint64_t *ret_end)
{
    const struct kafka_log *const self = (const struct kafka_log *)log;
    int64_t low, high;
    if (find(&self->fetcher, topic, partition) == NULL ||
        rd_kafka_get_watermark_offsets(self->fetcher.handle, topic, (int32_t)partition, &low, &high) !=
            RD_KAFKA_RESP_ERR_NO_ERROR ||
        high < 0) {
        return false;
    }
    *ret_end = (uint64_t)high;
    return true;
}

static struct mr_error set_paused(struct mr_log *log, const char *topic, uint32_t partition, bool paused)
{
    struct kafka_fetch *const fetch = find(&kafka_of(log)->fetcher, topic, partition);
    if (fetch == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "not_fetched", 0, "%s [%u] is not fetched", topic, partition);
    }
    fetch->paused = paused;
    return mr_ok();
}
struct mr_error kafka_pause(struct mr_log *log, const char *topic, uint32_t partition)
{
    return set_paused(log, topic, partition, true);
}
struct mr_error kafka_resume(struct mr_log *log, const char *topic, uint32_t partition)
{
    return set_paused(log, topic, partition, false);
}

static struct mr_log_event record_event(struct kafka_fetcher *fetcher, rd_kafka_message_t *message)
{
    struct kafka_held *held;
    const struct mr_error error = kafka_held_new(message, &held);
    if (mr_failed(error)) {
        return kafka_failed(error);
    }
    held->link = &fetcher->held;
    held->next = fetcher->held;
    if (held->next != NULL) {
        held->next->link = &held->next;
    }
    fetcher->held = held;
    return (struct mr_log_event){.kind = MR_LOG_EVENT_RECORD, .of.record = {kafka_held_view(held), held}};
}

/* False: librdkafka gets over it by itself. */
static bool error_event(struct kafka_fetch *fetch, rd_kafka_message_t *message, struct mr_log_event *ret_event)
{
    const struct mr_error error =
        kafka_error(message->err, rd_kafka_topic_name(fetch->topic), rd_kafka_message_errstr(message));
    const bool gone = strcmp(error.code, "offset_gone") == 0;
    rd_kafka_message_destroy(message);
    if (gone) {
        stop(fetch);
        *ret_event = (struct mr_log_event){
            .kind = MR_LOG_EVENT_OFFSET_GONE,
            .of.offset_gone = {rd_kafka_topic_name(fetch->topic), fetch->partition},
        };
        return true;
    }
    *ret_event = kafka_failed(error);
    return error.kind != MR_ERROR_TRANSIENT;
}

static bool partition_event(struct kafka_log *self, struct kafka_fetch *fetch, struct mr_log_event *ret_event)
{
    while (fetch->started && !fetch->paused) {
        rd_kafka_message_t *const message = take(fetch);
        if (message == NULL) {
            return false;
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            *ret_event = record_event(&self->fetcher, message);
            return true;
        }
        if (error_event(fetch, message, ret_event)) {
            return true;
        }
    }
    return false;
}

static bool handle_event(struct kafka_log *self, struct mr_log_event *ret_event)
{
    rd_kafka_event_t *event;
    bool tell = false;
    while (!tell && (event = rd_kafka_queue_poll(self->fetcher.queue, 0)) != NULL) {
        tell = kafka_trouble(self, event, ret_event);
        rd_kafka_event_destroy(event);
    }
    return tell;
}

/* Records that are taken already come before any look at a queue. */
bool kafka_taken_event(struct kafka_log *self, struct mr_log_event *ret_event)
{
    struct kafka_fetch *const fetch = self->fetcher.turn;
    return fetch != NULL && fetch->taken_at < fetch->taken_end && self->group.membership != KAFKA_MEMBERSHIP_REVOKED &&
           partition_event(self, fetch, ret_event);
}

bool kafka_fetcher_event(struct kafka_log *self, struct mr_log_event *ret_event)
{
    struct kafka_fetcher *const fetcher = &self->fetcher;
    if (fetcher->handle == NULL) {
        return false;
    }
    if (handle_event(self, ret_event)) {
        return true;
    }
    if (self->group.membership == KAFKA_MEMBERSHIP_REVOKED || fetcher->fetches == NULL) {
        return false;
    }
    /* Round-robin: the one after the last that had something comes first. */
    struct kafka_fetch *const first =
        fetcher->turn != NULL && fetcher->turn->next != NULL ? fetcher->turn->next : fetcher->fetches;
    struct kafka_fetch *f = first;
    do {
        if (partition_event(self, f, ret_event)) {
            fetcher->turn = f;
            return true;
        }
        f = f->next != NULL ? f->next : fetcher->fetches;
    } while (f != first);
    return false;
}

void kafka_record_free(struct mr_log *log, void *held)
{
    (void)log;
    kafka_held_free(held);
}
