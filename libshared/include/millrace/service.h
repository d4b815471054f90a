/*
 * What the main of every service has in common: options, clock, trace, metrics, health, workers, store, log,
 * deployment, signals, and the run of its stage.
 */
#ifndef MR_SERVICE_H
#define MR_SERVICE_H

#include "millrace/config.h"
#include "millrace/stage.h"
#include "millrace/store.h"

struct mr_service_config {
    const char *brokers;
    const char *broker_settings; /* a file of "name=value" lines for librdkafka; "" for none */
    const char *mode;            /* "assign" or "subscribe" */
    const char *partitions;      /* assign mode: "all" or "0,2" */
    const char *group;
    const char *store; /* URI; services that use one only */
    const char *log_level;
    const char *health_host;
    uint64_t health_port; /* 0: none */
    uint64_t window_records, window_bytes, parked_max, fold_every, linger_ms;
    uint64_t retry_attempts, retry_first_ms, retry_longest_ms; /* services with a retry topic only */
};

/* The common rows of a service's option table; `type` is its config struct, whose member `common` is a
 * mr_service_config. */
#define MR_SERVICE_ROW_(type, option, field, kind_, fallback_, min_, max_, choices_, help_)                 \
    {                                                                                                       \
        .name = (option), .kind = (kind_), .offset = offsetof(type, common.field), .fallback = (fallback_), \
        .min = (min_), .max = (max_), .choices = (choices_), .help = (help_)                                \
    }
/* clang-format off */
#define MR_SERVICE_ROWS(type, service)                                                                                 \
    MR_SERVICE_ROW_(type, "brokers", brokers, MR_OPTION_TEXT, NULL, 0, 0, NULL, "Kafka bootstrap servers."),           \
    MR_SERVICE_ROW_(type, "broker-settings", broker_settings, MR_OPTION_TEXT, "", 0, 0, NULL,                          \
                    "File of librdkafka settings, name=value one a line (TLS, SASL)."),                                \
    MR_SERVICE_ROW_(type, "mode", mode, MR_OPTION_CHOICE, "assign", 0, 0, "assign|subscribe",                          \
                    "assign: the partitions named; subscribe: as a member of the group."),                             \
    MR_SERVICE_ROW_(type, "partitions", partitions, MR_OPTION_TEXT, "all", 0, 0, NULL,                                 \
                    "Assign mode: all, or partition indexes joined by commas."),                                       \
    MR_SERVICE_ROW_(type, "group", group, MR_OPTION_TEXT, "millrace-" service, 0, 0, NULL, "Consumer group."),         \
    MR_SERVICE_ROW_(type, "log-level", log_level, MR_OPTION_CHOICE, "info", 0, 0, "debug|info|warn|alarm",             \
                    "The least level that is written to standard error."),                                             \
    MR_SERVICE_ROW_(type, "health-host", health_host, MR_OPTION_TEXT, "127.0.0.1", 0, 0, NULL,                         \
                    "Address of /metrics, /healthz and /readyz."),                                                     \
    MR_SERVICE_ROW_(type, "health-port", health_port, MR_OPTION_COUNT, "0", 0, 65535, NULL,                            \
                    "Port of /metrics, /healthz and /readyz; 0 serves none."),                                         \
    MR_SERVICE_ROW_(type, "window-records", window_records, MR_OPTION_COUNT, "256", 1, 1000000, NULL,                 \
                    "Records in flight at most, per partition."),                                                      \
    MR_SERVICE_ROW_(type, "window-bytes", window_bytes, MR_OPTION_COUNT, "16777216", 1048576, 1073741824, NULL,        \
                    "Bytes of records in flight at most."),                                                            \
    MR_SERVICE_ROW_(type, "parked-max", parked_max, MR_OPTION_COUNT, "1000000", 1, 100000000, NULL,                    \
                    "Records of a partition that wait for a retry at most; then its input pauses."),                   \
    MR_SERVICE_ROW_(type, "fold-every", fold_every, MR_OPTION_COUNT, "4096", 0, 1000000000, NULL,                      \
                    "After so many outputs of a partition its state is cached for the next start; 0: the cache is "    \
                    "neither written nor read."),                                                                      \
    MR_SERVICE_ROW_(type, "linger-ms", linger_ms, MR_OPTION_COUNT, "2", 0, 1000, NULL,                                 \
                    "How long a produced record may wait for others.")
#define MR_SERVICE_RETRY_ROWS(type)                                                                                    \
    MR_SERVICE_ROW_(type, "retry-attempts", retry_attempts, MR_OPTION_COUNT, "5", 1, 1000, NULL,                       \
                    "Attempts at a record that fails for a reason of its own; the last makes it a dead letter."),      \
    MR_SERVICE_ROW_(type, "retry-first-ms", retry_first_ms, MR_OPTION_COUNT, "1000", 1, 3600000, NULL,                 \
                    "How long it waits for its second attempt (+-20 %); each further wait is twice as long."),         \
    MR_SERVICE_ROW_(type, "retry-longest-ms", retry_longest_ms, MR_OPTION_COUNT, "300000", 1, 86400000, NULL,          \
                    "The longest of these waits.")
#define MR_SERVICE_STORE_ROW(type)                                                                                     \
    MR_SERVICE_ROW_(type, "store", store, MR_OPTION_TEXT, NULL, 0, 0, NULL,                                            \
                    "Object store: file:///dir or s3://bucket/prefix.")
/* clang-format on */

struct mr_service {
    struct mr_clock clock;
    struct mr_trace trace;
    struct mr_metrics *metrics;
    struct mr_health *health;
    struct mr_work *work;   /* NULL if the plan has no workers */
    struct mr_store *store; /* NULL if the service uses none; probed, honest */
    struct mr_log *log;
    struct mr_deployment deployment;
    struct mr_stage *stage; /* set before any of the stage's ops is called */
    const struct mr_service_config *config;
    struct mr_retry_policy retry; /* by config */
};

struct mr_service_plan {
    const char *name; /* "validate" */
    const struct mr_option_table *options;
    void *config;                     /* the service's config struct, zeroed */
    struct mr_service_config *common; /* its member */
    bool uses_store;
    bool rereads_log; /* it must find batches.validated whole, back to the last commit (rule C14) */
    bool assign_only; /* it shares a machine and an arena with another: --mode=subscribe is refused */
    uint32_t workers; /* threads for jobs; 0: no jobs */
    /* What can be refused by the options alone, before anything is waited for. May be NULL. */
    struct mr_error (*check)(const void *config);
    /* Fills ret_spec (spec.self is the service's effects). `service` lives as long as the stage; its store, work,
     * trace, metrics and health are there; log, deployment and stage are set before any of the stage's ops is called.
     */
    struct mr_error (*open)(void *config, struct mr_service *service, struct mr_stage_spec *ret_spec);
    void (*close)(void *self);
};

/* The whole of main: 0 after SIGTERM or SIGINT, otherwise an exit code of enum mr_exit with a line that says why. Waits
 * for brokers and store without limit (readyz says so), but not for a bad configuration or a dishonest store. With
 * `--help-markdown` it prints its options as a section of docs/configuration.md. */
int mr_service_main(const struct mr_service_plan *plan, int argc, char *argv[]);

#endif
