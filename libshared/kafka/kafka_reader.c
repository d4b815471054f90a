#include "kafka_internal.h"

#include <stdlib.h>
#include <string.h>

struct mr_log_reader {
    struct mr_log_reader *next;
    struct kafka_reader_handle *owner;
    rd_kafka_topic_t *topic;
    uint32_t partition;
    uint64_t at;  /* the next offset to return */
    bool started; /* librdkafka goes on from `at` */
    struct kafka_held *current;
};

static bool reads(const struct kafka_reader_handle *handle, const char *topic, uint32_t partition)
{
    for (const struct mr_log_reader *r = handle->readers; r != NULL; r = r->next) {
        if (r->partition == partition && strcmp(rd_kafka_topic_name(r->topic), topic) == 0) {
            return true;
        }
    }
    return false;
}

/* One that does not read this partition yet. */
static struct mr_error handle_for(struct kafka_log *self, const char *topic, uint32_t partition,
                                  struct kafka_reader_handle **ret_handle)
{
    struct kafka_reader_handle *h = self->reader_handles;
    while (h != NULL && reads(h, topic, partition)) {
        h = h->next;
    }
    if (h == NULL) {
        rd_kafka_t *handle = NULL;
        MR_TRY(kafka_handle_open(&self->config, KAFKA_ROLE_READER, &handle));
        h = calloc(1, sizeof *h);
        if (h == NULL) {
            rd_kafka_destroy(handle);
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a reader of %s", topic);
        }
        h->handle = handle;
        h->queue = rd_kafka_queue_get_main(handle);
        h->next = self->reader_handles;
        self->reader_handles = h;
    }
    *ret_handle = h;
    return mr_ok();
}

static struct mr_error bad_offset(const char *topic, uint32_t partition)
{
    return mr_error_make(MR_ERROR_FATAL, "bad_offset", 0, "%s [%u]: no such offset", topic, partition);
}

struct mr_error kafka_reader_open(struct mr_log *log, const char *topic, uint32_t partition, uint64_t from,
                                  struct mr_log_reader **ret_reader)
{
    struct kafka_log *const self = kafka_of(log);
    if (from > INT64_MAX) {
        return bad_offset(topic, partition);
    }
    MR_TRY(kafka_partition_check(self, topic, partition));
    struct kafka_reader_handle *owner = NULL;
    MR_TRY(handle_for(self, topic, partition, &owner));
    struct mr_log_reader *const reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a reader of %s", topic);
    }
    *reader = (struct mr_log_reader){.next = owner->readers, .owner = owner, .partition = partition, .at = from};
    reader->topic = rd_kafka_topic_new(owner->handle, topic, NULL);
    if (reader->topic == NULL) {
        free(reader);
        return kafka_error(rd_kafka_last_error(), topic, NULL);
    }
    owner->readers = reader;
    *ret_reader = reader;
    return mr_ok();
}

static void stop(struct mr_log_reader *reader)
{
    if (reader->started) {
        (void)rd_kafka_consume_stop(reader->topic, (int32_t)reader->partition);
        reader->started = false;
    }
}

struct mr_error kafka_reader_seek(struct mr_log *log, struct mr_log_reader *reader, uint64_t offset)
{
    (void)log;
    if (offset > INT64_MAX) {
        return bad_offset(rd_kafka_topic_name(reader->topic), reader->partition);
    }
    if (offset != reader->at) {
        stop(reader);
        reader->at = offset;
    }
    return mr_ok();
}

/* Ours from here on. False: librdkafka gets over it by itself. */
static bool failure_of(struct mr_log_reader *reader, rd_kafka_message_t *message, struct mr_error *ret_error)
{
    *ret_error = kafka_error(message->err, rd_kafka_topic_name(reader->topic), rd_kafka_message_errstr(message));
    rd_kafka_message_destroy(message);
    if (ret_error->kind == MR_ERROR_TRANSIENT) {
        return false;
    }
    stop(reader); /* it reads nothing more until it is started again */
    return true;
}

struct mr_error kafka_reader_next(struct mr_log *log, struct mr_log_reader *reader, uint32_t wait_ms, bool *ret_some,
                                  struct mr_log_record *ret_record)
{
    (void)log;
    const int64_t deadline_ms = kafka_now_ms() + wait_ms;
    if (!reader->started) {
        if (rd_kafka_consume_start(reader->topic, (int32_t)reader->partition, (int64_t)reader->at) != 0) {
            return kafka_error(rd_kafka_last_error(), rd_kafka_topic_name(reader->topic), NULL);
        }
        reader->started = true;
    }
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consume(reader->topic, (int32_t)reader->partition, kafka_remaining_ms(deadline_ms))) !=
           NULL) {
        struct mr_error error;
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (failure_of(reader, message, &error)) {
                return error;
            }
            continue;
        }
        reader->at = (uint64_t)message->offset + 1;
        struct kafka_held *held;
        MR_TRY(kafka_held_new(message, &held));
        kafka_held_free(reader->current);
        reader->current = held;
        *ret_record = kafka_held_view(held);
        *ret_some = true;
        return mr_ok();
    }
    *ret_some = false;
    return mr_ok();
}

void kafka_reader_close(struct mr_log *log, struct mr_log_reader *reader)
{
    (void)log;
    if (reader == NULL) {
        return;
    }
    struct mr_log_reader **link = &reader->owner->readers;
    while (*link != reader) {
        link = &(*link)->next;
    }
    *link = reader->next;
    stop(reader);
    kafka_held_free(reader->current);
    rd_kafka_topic_destroy(reader->topic);
    free(reader);
}

void kafka_readers_close(struct kafka_log *self)
{
    while (self->reader_handles != NULL) {
        struct kafka_reader_handle *const h = self->reader_handles;
        self->reader_handles = h->next;
        while (h->readers != NULL) {
            kafka_reader_close(&self->log, h->readers);
        }
        rd_kafka_queue_destroy(h->queue);
        rd_kafka_destroy(h->handle);
        free(h);
    }
}

bool kafka_readers_event(struct kafka_log *self, struct mr_log_event *ret_event)
{
    for (struct kafka_reader_handle *h = self->reader_handles; h != NULL; h = h->next) {
        rd_kafka_event_t *event;
        while ((event = rd_kafka_queue_poll(h->queue, 0)) != NULL) {
            const bool tell = kafka_trouble(self, event, ret_event);
            rd_kafka_event_destroy(event);
            if (tell) {
                return true;
            }
        }
    }
    return false;
}
