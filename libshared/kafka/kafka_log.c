#include "kafka_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int64_t kafka_now_ms(void)
{
    struct timespec now;
    MR_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int kafka_remaining_ms(int64_t deadline_ms)
{
    const int64_t left = deadline_ms - kafka_now_ms();
    return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

rd_kafka_t *kafka_any_handle(const struct kafka_log *self)
{
    return self->producer.handle != NULL ? self->producer.handle : self->fetcher.handle;
}

static const uint64_t one = 1; /* what an eventfd takes */

void kafka_queue_watch(const struct kafka_log *self, rd_kafka_queue_t *queue)
{
    rd_kafka_queue_io_event_enable(queue, self->descriptor, &one, sizeof one);
}

struct mr_log_event kafka_failed(struct mr_error error)
{
    return (struct mr_log_event){.kind = MR_LOG_EVENT_FAILED, .of.error = error};
}

/* ---- Trouble ------------------------------------------------------------------------------------------------ */

static struct mr_error fatal_error(rd_kafka_event_t *event, rd_kafka_resp_err_t code)
{
    const struct mr_error error = kafka_error(code, "the Kafka client gave up", rd_kafka_event_error_string(event));
    return mr_error_make(error.kind == MR_ERROR_FENCED ? MR_ERROR_FENCED : MR_ERROR_FATAL,
                         error.kind == MR_ERROR_FENCED ? error.code : "broker_error", code, "%s", error.detail);
}

bool kafka_trouble(struct kafka_log *self, rd_kafka_event_t *event, struct mr_log_event *ret_event)
{
    const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_ERROR || code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return false;
    }
    if (rd_kafka_event_error_is_fatal(event)) {
        *ret_event = kafka_failed(fatal_error(event, code));
        return true;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        if (self->down) {
            return false;
        }
        self->down = true;
        self->probe_at_ms = kafka_now_ms() + KAFKA_PROBE_EVERY_MS;
        *ret_event = (struct mr_log_event){
            .kind = MR_LOG_EVENT_DOWN,
            .of.error = mr_error_make(MR_ERROR_TRANSIENT, "broker_down", code, "no broker of %s can be reached: %s",
                                      self->config.brokers, self->trouble),
        };
        return true;
    }
    const struct mr_error error = kafka_error(code, "Kafka", rd_kafka_event_error_string(event));
    if (error.kind == MR_ERROR_TRANSIENT) {
        (void)snprintf(self->trouble, sizeof self->trouble, "%s", rd_kafka_event_error_string(event));
        return false;
    }
    *ret_event = kafka_failed(error);
    return true;
}

/* librdkafka tells when all brokers are down, and not when one is up: so ask. */
static bool probe(struct kafka_log *self, struct mr_log_event *ret_event)
{
    if (!self->down || kafka_now_ms() < self->probe_at_ms) {
        return false;
    }
    if (mr_failed(kafka_catalog_read(kafka_any_handle(self), KAFKA_PROBE_WAIT_MS, &self->catalog))) {
        self->probe_at_ms = kafka_now_ms() + KAFKA_PROBE_EVERY_MS;
        return false;
    }
    self->down = false;
    *ret_event = (struct mr_log_event){.kind = MR_LOG_EVENT_UP};
    return true;
}

/* ---- Polling ---------------------------------------------------------------------------------------------- */

/* Acknowledgements come first: they free the window, and are bounded by it. */
static bool next_event(struct kafka_log *self, struct mr_log_event *ret_event)
{
    return kafka_producer_event(self, ret_event) || kafka_group_event(self, ret_event) ||
           kafka_readers_event(self, ret_event) || kafka_fetcher_event(self, ret_event) || probe(self, ret_event);
}

static void sleep_until_woken(const struct kafka_log *self, int wait_ms)
{
    struct pollfd waiting = {.fd = self->descriptor, .events = POLLIN};
    const int most_ms = self->down && wait_ms > KAFKA_PROBE_EVERY_MS ? KAFKA_PROBE_EVERY_MS : wait_ms;
    if (poll(&waiting, 1, most_ms) > 0) {
        uint64_t count;
        (void)!read(self->descriptor, &count, sizeof count);
    }
}

static struct mr_log_event op_poll(struct mr_log *log, uint32_t wait_ms)
{
    struct kafka_log *const self = kafka_of(log);
    struct mr_log_event event;
    int64_t deadline_ms = 0; /* not known before there is something to wait for */
    for (;;) {
        if (kafka_taken_event(self, &event) || next_event(self, &event)) {
            return event;
        }
        deadline_ms = deadline_ms == 0 ? kafka_now_ms() + wait_ms : deadline_ms;
        const int left_ms = wait_ms == 0 ? 0 : kafka_remaining_ms(deadline_ms);
        if (atomic_exchange(&self->woken, false) || left_ms == 0) {
            return (struct mr_log_event){.kind = MR_LOG_EVENT_QUIET};
        }
        /* What arrives from here on makes the descriptor readable; what came before was just looked for. */
        sleep_until_woken(self, left_ms);
    }
}

static void op_wake(struct mr_log *log)
{
    struct kafka_log *const self = kafka_of(log);
    atomic_store(&self->woken, true);
    (void)!write(self->descriptor, &one, sizeof one); /* full means readable already */
}

/* ---- Questions ---------------------------------------------------------------------------------------------- */

/* Where the partition begins, or ends: those are times that Kafka knows. rd_kafka_query_watermark_offsets would wait
 * for a frozen broker whatever its time limit (librdkafka 2.0). */
static struct mr_error bound_of(const struct kafka_log *self, const char *topic, uint32_t partition, int64_t which,
                                uint64_t *ret_offset)
{
    rd_kafka_topic_partition_list_t *const list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, (int32_t)partition)->offset = which;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(kafka_any_handle(self), list, KAFKA_CALL_WAIT_MS);
    code = code == RD_KAFKA_RESP_ERR_NO_ERROR ? list->elems[0].err : code;
    const int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error(code, topic, NULL);
    }
    *ret_offset = (uint64_t)offset;
    return mr_ok();
}

static struct mr_error op_watermarks(struct mr_log *log, const char *topic, uint32_t partition, uint64_t *ret_low,
                                     uint64_t *ret_high)
{
    struct kafka_log *const self = kafka_of(log);
    MR_TRY(kafka_partition_check(self, topic, partition));
    uint64_t low, high;
    MR_TRY(bound_of(self, topic, partition, RD_KAFKA_OFFSET_BEGINNING, &low));
    MR_TRY(bound_of(self, topic, partition, RD_KAFKA_OFFSET_END, &high));
    *ret_low = low;
    *ret_high = high;
    return mr_ok();
}

static struct mr_error op_partition_count(struct mr_log *log, const char *topic, uint32_t *ret_count)
{
    struct kafka_log *const self = kafka_of(log);
    MR_TRY(kafka_partition_check(self, topic, 0));
    *ret_count = kafka_catalog_find(&self->catalog, topic)->partitions;
    return mr_ok();
}

/* ---- Opening and closing ------------------------------------------------------------------------------------ */

static void config_free(struct kafka_log *self)
{
    const char *const texts[] = {self->config.brokers, self->config.settings, self->config.client_id,
                                 self->config.group};
    for (size_t i = 0; i < MR_COUNT_OF(texts); i++) {
        free((void *)(uintptr_t)texts[i]);
    }
    for (size_t i = 0; self->owned_topics != NULL && i < self->config.topic_count; i++) {
        free(self->owned_topics[i]);
    }
    free(self->owned_topics);
}

static bool text_copy(const char *text, const char **ret_copy)
{
    *ret_copy = text == NULL ? NULL : strdup(text);
    return text == NULL || *ret_copy != NULL;
}

static bool config_copy(struct kafka_log *self, const struct mr_log_kafka_config *config)
{
    self->config = *config;
    bool good = text_copy(config->brokers, &self->config.brokers);
    good = text_copy(config->settings, &self->config.settings) && good;
    good = text_copy(config->client_id, &self->config.client_id) && good;
    good = text_copy(config->group, &self->config.group) && good;
    self->owned_topics = calloc(config->topic_count + 1, sizeof *self->owned_topics);
    for (size_t i = 0; self->owned_topics != NULL && i < config->topic_count; i++) {
        self->owned_topics[i] = strdup(config->topics[i]);
        good = self->owned_topics[i] != NULL && good;
    }
    self->config.topics = (const char *const *)self->owned_topics;
    return good && self->owned_topics != NULL;
}

static void op_close(struct mr_log *log)
{
    struct kafka_log *const self = kafka_of(log);
    kafka_readers_close(self);
    kafka_fetcher_close(self);
    kafka_group_close(self);
    kafka_producer_close(self);
    kafka_catalog_deinit(&self->catalog);
    if (self->descriptor >= 0) {
        (void)close(self->descriptor);
    }
    config_free(self);
    free(self);
}

static struct mr_error open_handles(struct kafka_log *self)
{
    self->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->descriptor < 0) {
        return mr_error_make(MR_ERROR_FATAL, "no_eventfd", errno, "eventfd: %s", strerror(errno));
    }
    if (self->config.produce) {
        MR_TRY(kafka_producer_open(self));
    }
    if (self->config.consume || !self->config.produce) {
        MR_TRY(kafka_fetcher_open(self));
    }
    return self->config.group != NULL ? kafka_group_open(self) : mr_ok();
}

static const struct mr_log_ops ops = {
    .poll = op_poll,
    .record_free = kafka_record_free,
    .wake = op_wake,
    .fetch = kafka_fetch,
    .pause = kafka_pause,
    .resume = kafka_resume,
    .released = kafka_released,
    .commit = kafka_commit,
    .commit_wait = kafka_commit_wait,
    .committed = kafka_committed,
    .watermarks = op_watermarks,
    .fetched_end = kafka_fetched_end,
    .partition_count = op_partition_count,
    .produce = kafka_produce,
    .in_flight = kafka_in_flight,
    .reader_open = kafka_reader_open,
    .reader_seek = kafka_reader_seek,
    .reader_next = kafka_reader_next,
    .reader_close = kafka_reader_close,
    .close = op_close,
};

struct mr_error mr_log_kafka_open(const struct mr_log_kafka_config *config, struct mr_log **ret_log)
{
    if (config->mode == MR_LOG_SUBSCRIBE && (config->group == NULL || config->topic_count == 0 || !config->consume)) {
        return mr_error_make(MR_ERROR_FATAL, "bad_setting", 0, "subscribing needs a group, topics, and consuming");
    }
    struct kafka_log *const self = calloc(1, sizeof *self);
    if (self == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a Kafka log");
    }
    self->log.ops = &ops;
    self->descriptor = -1;
    self->group.membership = KAFKA_MEMBERSHIP_NONE;
    const struct mr_error error = config_copy(self, config)
                                      ? open_handles(self)
                                      : mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a Kafka log");
    if (mr_failed(error)) {
        op_close(&self->log);
        return error;
    }
    *ret_log = &self->log;
    return mr_ok();
}
