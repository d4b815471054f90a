/* The record log on librdkafka. */
#ifndef MR_LOG_KAFKA_H
#define MR_LOG_KAFKA_H

#include "millrace/log.h"

enum mr_log_mode {
    MR_LOG_ASSIGN = 1, /* the partitions that mr_log_fetch names, and no others */
    MR_LOG_SUBSCRIBE,  /* a consumer group; range assignor */
};

struct mr_log_kafka_config {
    const char *brokers;   /* bootstrap servers */
    const char *settings;  /* further librdkafka settings, "name=value" one a line; NULL: none (from a file: they hold
                              secrets) */
    const char *client_id; /* "millrace-validate" */
    const char *group;     /* NULL: offsets are never committed */
    enum mr_log_mode mode;
    const char *const *topics; /* to subscribe to */
    size_t topic_count;
    bool development_broker; /* one request in flight, fetch.wait.max.ms small, session.timeout.ms 6000 */
    uint32_t linger_ms;
    bool consume, produce; /* what it is opened for */
};

MR_MUST_USE struct mr_error mr_log_kafka_open(const struct mr_log_kafka_config *config, struct mr_log **ret_log);

/* Whether the broker is millrace-devbroker: it has the topic millrace.devbroker (read from metadata, never created).
 * TRANSIENT when no broker answers within wait_ms. */
MR_MUST_USE struct mr_error mr_log_kafka_is_development(const char *brokers, const char *settings, uint32_t wait_ms,
                                                        bool *ret_is);

#endif
