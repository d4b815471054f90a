#include "kafka_internal.h"

_Static_assert(sizeof(void *) >= sizeof(uint64_t), "a token travels in a message's opaque pointer");

struct mr_error kafka_producer_open(struct kafka_log *self)
{
    MR_TRY(kafka_handle_open(&self->config, KAFKA_ROLE_PRODUCER, &self->producer.handle));
    self->producer.queue = rd_kafka_queue_get_main(self->producer.handle);
    kafka_queue_watch(self, self->producer.queue);
    return mr_ok();
}

/* Reported records count against the queue's bound until then. */
static void reports_end(struct kafka_producer *p)
{
    if (p->reports != NULL) {
        rd_kafka_event_destroy(p->reports);
        p->reports = NULL;
    }
}

void kafka_producer_close(struct kafka_log *self)
{
    struct kafka_producer *const p = &self->producer;
    if (p->handle == NULL) {
        return;
    }
    /* What is not acknowledged by now may or may not be in the log: as after a crash. */
    (void)rd_kafka_purge(p->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    reports_end(p);
    rd_kafka_queue_destroy(p->queue);
    rd_kafka_destroy(p->handle);
}

static struct mr_log_event report_event(struct kafka_producer *p, const rd_kafka_message_t *message)
{
    const uint64_t token = (uint64_t)(uintptr_t)message->_private;
    struct mr_log_event event = {.kind = MR_LOG_EVENT_DELIVERED};
    p->in_flight--;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        event.of.delivered.token = token;
        event.of.delivered.offset = (uint64_t)message->offset;
        return event;
    }
    event.kind = MR_LOG_EVENT_DELIVERY_FAILED;
    event.of.delivery_failed.token = token;
    const struct mr_error error =
        kafka_error(message->err, rd_kafka_topic_name(message->rkt), rd_kafka_message_errstr(message));
    event.of.delivery_failed.error =
        mr_error_make(error.kind == MR_ERROR_FENCED ? MR_ERROR_FENCED : MR_ERROR_FATAL, "delivery_failed", error.native,
                      "partition %d of %s", message->partition, error.detail);
    return event;
}

/* False: there are none. */
static bool reports_begin(struct kafka_producer *p)
{
    if (p->reports == NULL && (p->reports = rd_kafka_queue_poll(p->queue, 0)) != NULL) {
        p->reports_left = rd_kafka_event_message_count(p->reports);
    }
    return p->reports != NULL;
}

bool kafka_producer_event(struct kafka_log *self, struct mr_log_event *ret_event)
{
    struct kafka_producer *const p = &self->producer;
    if (p->handle == NULL) {
        return false;
    }
    while (reports_begin(p)) {
        const rd_kafka_message_t *const message = rd_kafka_event_message_next(p->reports);
        bool tell = message != NULL;
        if (tell) {
            *ret_event = report_event(p, message);
        } else {
            tell = kafka_trouble(self, p->reports, ret_event);
        }
        if (message == NULL || --p->reports_left == 0) {
            reports_end(p);
        }
        if (tell) {
            return true;
        }
    }
    return false;
}

static struct mr_error headers_of(const struct mr_log_output *output, rd_kafka_headers_t **ret_headers)
{
    rd_kafka_headers_t *const headers = rd_kafka_headers_new(output->header_count);
    for (size_t i = 0; i < output->header_count; i++) {
        const struct mr_log_header *const h = &output->headers[i];
        const rd_kafka_resp_err_t code =
            rd_kafka_header_add(headers, h->name, -1, h->value.data, (ssize_t)h->value.size);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_headers_destroy(headers);
            return kafka_error(code, h->name, NULL);
        }
    }
    *ret_headers = headers;
    return mr_ok();
}

/* librdkafka takes NULL for null, so empty needs an address. It copies, and never writes to it. */
static void *payload_of(bool has, struct mr_bytes bytes)
{
    static const uint8_t empty[1];
    if (!has) {
        return NULL;
    }
    return (void *)(uintptr_t)(bytes.size > 0 ? bytes.data : empty);
}

struct mr_error kafka_produce(struct mr_log *log, const struct mr_log_output *output)
{
    struct kafka_log *const self = kafka_of(log);
    if (self->producer.handle == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "not_a_producer", 0, "the log was not opened for producing to %s",
                             output->topic);
    }
    MR_TRY(kafka_partition_check(self, output->topic, output->partition));
    rd_kafka_headers_t *headers = NULL;
    MR_TRY(headers_of(output, &headers));
    enum { FIELDS = 8 };
    rd_kafka_vu_t fields[FIELDS] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = output->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = (int32_t)output->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {payload_of(output->has_key, output->key), output->has_key ? output->key.size : 0}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {payload_of(output->has_value, output->value), output->has_value ? output->value.size : 0}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = output->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)output->token},
    };
    rd_kafka_error_t *const failure = rd_kafka_produceva(self->producer.handle, fields, FIELDS);
    if (failure != NULL) {
        const struct mr_error error =
            kafka_error(rd_kafka_error_code(failure), output->topic, rd_kafka_error_string(failure));
        rd_kafka_error_destroy(failure);
        rd_kafka_headers_destroy(headers); /* it is ours again */
        return error;
    }
    self->producer.in_flight++;
    return mr_ok();
}

uint64_t kafka_in_flight(struct mr_log *log)
{
    return kafka_of(log)->producer.in_flight;
}
