#include "kafka_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTING_MAX = 8192 };

/* Promises rest on these (rules O3 and O8; commits behind the low-water mark), so no settings file may change them. */
static const char *const ours[] = {
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "enable.idempotence",
    "enable.gapless.guarantee",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "acks",
    "request.required.acks",
    "partitioner",
    "enable.auto.commit",
    "auto.commit.enable",
    "auto.offset.reset",
    "enable.auto.offset.store",
    "partition.assignment.strategy",
    "enable.partition.eof",
    "allow.auto.create.topics",
    "log.queue",
};

/* A library never logs; what matters comes as an error event. */
static void log_nothing(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)handle;
    (void)level;
    (void)facility;
    (void)text;
}

static struct mr_error set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        return mr_error_make(MR_ERROR_FATAL, "bad_setting", 0, "Kafka setting %s: %s", name, why);
    }
    return mr_ok();
}

static struct mr_error set_count(rd_kafka_conf_t *conf, const char *name, uint32_t value)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%u", value);
    return set(conf, name, text);
}

static struct mr_error set_line(rd_kafka_conf_t *conf, const char *line, size_t size)
{
    char text[SETTING_MAX];
    if (size >= sizeof text) {
        return mr_error_make(MR_ERROR_FATAL, "bad_setting", 0, "a line of the Kafka settings is over %d bytes",
                             SETTING_MAX);
    }
    memcpy(text, line, size);
    text[size] = '\0';
    char *const equals = strchr(text, '=');
    if (equals == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "bad_setting", 0, "a line of the Kafka settings is not name=value");
    }
    *equals = '\0';
    for (size_t i = 0; i < MR_COUNT_OF(ours); i++) {
        if (strcmp(text, ours[i]) == 0) {
            return mr_error_make(MR_ERROR_FATAL, "bad_setting", 0,
                                 "Kafka setting %s is Millrace's own and cannot be changed", text);
        }
    }
    return set(conf, text, equals + 1);
}

static struct mr_error set_users(rd_kafka_conf_t *conf, const char *settings)
{
    for (const char *at = settings; at != NULL && *at != '\0';) {
        const size_t size = strcspn(at, "\r\n");
        if (size > 0 && *at != '#') {
            MR_TRY(set_line(conf, at, size));
        }
        at += size;
        at += strspn(at, "\r\n");
    }
    return mr_ok();
}

static struct mr_error set_common(rd_kafka_conf_t *conf, const struct mr_log_kafka_config *config)
{
    MR_TRY(set(conf, "bootstrap.servers", config->brokers));
    MR_TRY(set(conf, "client.id", config->client_id));
    MR_TRY(set(conf, "socket.nagle.disable", "true"));
    /* How long a broker may take to answer until it is down. Produce requests have request.timeout.ms, which is longer.
     */
    MR_TRY(set(conf, "socket.timeout.ms", "10000"));
    MR_TRY(set(conf, "reconnect.backoff.ms", "50"));
    return set(conf, "reconnect.backoff.max.ms", "1000");
}

/* Whether two requests under way are one too many. The development broker does not enforce idempotence: it could write
 * them in the wrong order. librdkafka before 2.3 gives up for good when a broker goes while several are under way and
 * the first of them was not written ("rewound sequence number", librdkafka's pull request 4438). */
static bool needs_one_request(const struct mr_log_kafka_config *config)
{
    return config->development_broker || rd_kafka_version() < 0x02030000;
}

static struct mr_error set_producer(rd_kafka_conf_t *conf, const struct mr_log_kafka_config *config)
{
    MR_TRY(set(conf, "enable.idempotence", "true"));
    MR_TRY(set(conf, "enable.gapless.guarantee", "true"));
    MR_TRY(set(conf, "message.timeout.ms", "0"));
    MR_TRY(set(conf, "partitioner", "murmur2_random"));
    if (needs_one_request(config)) {
        MR_TRY(set(conf, "max.in.flight.requests.per.connection", "1"));
    }
    return set_count(conf, "linger.ms", config->linger_ms);
}

static struct mr_error set_consumer(rd_kafka_conf_t *conf, const struct mr_log_kafka_config *config,
                                    enum kafka_role role)
{
    MR_TRY(set(conf, "enable.auto.commit", "false"));
    MR_TRY(set(conf, "enable.auto.offset.store", "false"));
    MR_TRY(set(conf, "auto.offset.reset", "error"));
    MR_TRY(set(conf, "allow.auto.create.topics", "false"));
    if (role == KAFKA_ROLE_GROUP) {
        MR_TRY(set(conf, "group.id", config->group));
        MR_TRY(set(conf, "partition.assignment.strategy", "range"));
        return config->development_broker ? set(conf, "session.timeout.ms", "6000") : mr_ok();
    }
    return mr_ok();
}

/* An idle fetch of the development broker always takes the full wait, and a seek waits for it on any broker. */
static const char *fetch_wait_ms(const struct mr_log_kafka_config *config, enum kafka_role role)
{
    if (config->development_broker) {
        return config->linger_ms == 0 ? "1" : "10";
    }
    return role == KAFKA_ROLE_READER ? "20" : "10";
}

/* What a broker works goes by requests, not by records: an answer for every record that arrives is the most that it can
 * be made to work. So an answer is worth waiting for, a little, until some records of any partition are there. */
static const char *fetch_bytes(const struct mr_log_kafka_config *config, enum kafka_role role)
{
    return config->development_broker || role == KAFKA_ROLE_READER ? "1" : "65536";
}

/* Bounds of memory and time: a user may set these otherwise. Consumers' bounds of memory hold for each partition. */
static struct mr_error set_bounds(rd_kafka_conf_t *conf, const struct mr_log_kafka_config *config, enum kafka_role role)
{
    if (role == KAFKA_ROLE_PRODUCER) {
        /* A dead letter is the record that a user managed to produce, and what happened to it: it must fit. */
        MR_TRY(set(conf, "message.max.bytes", "4194304"));
        MR_TRY(set(conf, "queue.buffering.max.messages", "100000"));
        return set(conf, "queue.buffering.max.kbytes", "65536");
    }
    MR_TRY(set(conf, "fetch.wait.max.ms", fetch_wait_ms(config, role)));
    MR_TRY(set(conf, "fetch.min.bytes", fetch_bytes(config, role)));
    MR_TRY(set(conf, "queued.min.messages", "10000"));
    MR_TRY(set(conf, "fetch.message.max.bytes", "262144"));
    /* A full queue is looked at once a second only (librdkafka before 2.2): it must last that long. */
    return set(conf, "queued.max.messages.kbytes", "4096");
}

static int events_of(enum kafka_role role)
{
    switch (role) {
    case KAFKA_ROLE_PRODUCER: return RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR;
    case KAFKA_ROLE_GROUP: return RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR;
    case KAFKA_ROLE_FETCHER:
    case KAFKA_ROLE_READER:
    case KAFKA_ROLE_QUERY: return RD_KAFKA_EVENT_ERROR;
    }
    mr_unreachable(__func__);
}

static struct mr_error set_all(rd_kafka_conf_t *conf, const struct mr_log_kafka_config *config, enum kafka_role role)
{
    MR_TRY(set_bounds(conf, config, role));
    MR_TRY(set_common(conf, config));
    MR_TRY(set_users(conf, config->settings));
    if (role == KAFKA_ROLE_PRODUCER) {
        MR_TRY(set_producer(conf, config));
    } else {
        MR_TRY(set_consumer(conf, config, role));
    }
    rd_kafka_conf_set_events(conf, events_of(role));
    rd_kafka_conf_set_log_cb(conf, log_nothing);
    return mr_ok();
}

struct mr_error kafka_handle_open(const struct mr_log_kafka_config *config, enum kafka_role role,
                                  rd_kafka_t **ret_handle)
{
    rd_kafka_conf_t *const conf = rd_kafka_conf_new();
    const struct mr_error error = set_all(conf, config, role);
    if (mr_failed(error)) {
        rd_kafka_conf_destroy(conf);
        return error;
    }
    char why[256];
    rd_kafka_t *const handle =
        rd_kafka_new(role == KAFKA_ROLE_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return mr_error_make(MR_ERROR_FATAL, "bad_setting", 0, "Kafka client: %s", why);
    }
    *ret_handle = handle;
    return mr_ok();
}
