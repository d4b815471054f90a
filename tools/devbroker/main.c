/* millrace-devbroker: options, start, the watch over what it holds, and an end in time. */
#include "bootstrap_file.h"
#include "mock_cluster.h"

#include "millrace/config.h"
#include "millrace/hash.h"
#include "millrace/log_kafka.h"
#include "millrace/trace.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* The margin below the mock's own limits is for what arrives between a write and our look at it. */
#define STOP_BYTES_TEXT "4194304"
#define STOP_RECORDS_TEXT "80000"

enum {
    STOP_BYTES_MIN = 4096,
    STOP_BYTES_MAX = 4194304,
    STOP_RECORDS_MAX = 80000,
    PARTITIONS_MAX = 256,
    LOOK_EVERY_MS = 1000, /* for new topics */
    DELIVERY_WAIT_MS = 10000,
};

struct devbroker_config {
    const char *dir, *adopt;
    uint64_t port, partitions, stop_bytes, stop_records;
};

#define ROW(name_, field_, kind_, fallback_, min_, max_, help_)                                                   \
    {                                                                                                             \
        .name = name_, .kind = kind_, .offset = offsetof(struct devbroker_config, field_), .fallback = fallback_, \
        .min = min_, .max = max_, .help = help_                                                                   \
    }
static const struct mr_option rows[] = {
    ROW("dir", dir, MR_OPTION_TEXT, NULL, 0, 0,
        "Directory for the file bootstrap, which holds the broker's address while it is ready."),
    ROW("port", port, MR_OPTION_COUNT, "0", 0, 65535, "Port on 127.0.0.1; 0: any that is free."),
    ROW("partitions", partitions, MR_OPTION_COUNT, "4", 1, PARTITIONS_MAX, "Partitions of every topic."),
    ROW("adopt", adopt, MR_OPTION_TEXT, "", 0, 0,
        "Log ids that this log follows, 32 hexadecimal digits each, oldest first, joined by commas."),
    ROW("stop-bytes", stop_bytes, MR_OPTION_COUNT, STOP_BYTES_TEXT, STOP_BYTES_MIN, STOP_BYTES_MAX,
        "Stop when a partition holds more bytes."),
    ROW("stop-records", stop_records, MR_OPTION_COUNT, STOP_RECORDS_TEXT, 1, STOP_RECORDS_MAX,
        "Stop when a partition holds more records."),
};
static const struct mr_option_table options = {
    .program = "millrace-devbroker",
    .summary = "A volatile Kafka broker in one process, for trying Millrace out.",
    .rows = rows,
    .count = MR_COUNT_OF(rows),
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

struct devbroker {
    struct devbroker_config config;
    struct mr_trace trace;
    struct mr_deployment deployment;
    struct devbroker_cluster *cluster;
    struct mr_log *log;
    struct devbroker_watch watch;
};

static void print_limits(const struct devbroker_config *config)
{
    printf("millrace-devbroker is for trying things out, and not Apache Kafka:\n"
           "  - volatile: topics, records and offsets are gone when it ends\n"
           "  - a partition holds at most %d bytes or %d batches; beyond that it would silently drop the oldest, so\n"
           "    it stops when one holds more than %" PRIu64 " bytes or %" PRIu64 " records\n"
           "  - no retention, no compaction, no transactions, no enforced idempotence\n"
           "  - 127.0.0.1 only, PLAINTEXT, no authentication\n",
           DEVBROKER_MOCK_BYTES, DEVBROKER_MOCK_BATCHES, config->stop_bytes, config->stop_records);
    (void)fflush(stdout);
}

static int failed(const struct devbroker *broker, struct mr_error error)
{
    MR_TRACE(&broker->trace, MR_TRACE_ALARM, "BrokerFailed", mr_text("code", error.code),
             mr_text("detail", error.detail));
    const bool busy = strcmp(error.code, "port_in_use") == 0 || error.kind == MR_ERROR_TRANSIENT;
    return busy ? MR_EXIT_UNAVAILABLE : error.kind == MR_ERROR_REJECT ? MR_EXIT_USAGE : MR_EXIT_FAILED;
}

/* ---- The deployment -------------------------------------------------------------------------------------- */

static struct mr_error adopt(const char *text, struct mr_deployment *deployment)
{
    enum { DIGITS = 2 * MR_LOG_ID_SIZE };
    for (const char *at = text; *at != '\0';) {
        const size_t size = strcspn(at, ",");
        char digits[DIGITS + 1] = "";
        if (size == DIGITS) {
            memcpy(digits, at, DIGITS);
        }
        if (deployment->predecessor_count == MR_PREDECESSORS_MAX) {
            return mr_error_make(MR_ERROR_REJECT, "bad_option", 0, "--adopt: more than %d log ids",
                                 MR_PREDECESSORS_MAX);
        }
        if (!mr_unhex(digits, deployment->predecessors[deployment->predecessor_count].bytes, MR_LOG_ID_SIZE)) {
            return mr_error_make(MR_ERROR_REJECT, "bad_option", 0,
                                 "--adopt: \"%.40s\" does not begin with a log id of %d lowercase hexadecimal digits",
                                 at, DIGITS);
        }
        deployment->predecessor_count++;
        at += size + (at[size] == ',' ? 1 : 0);
    }
    return mr_ok();
}

static struct mr_error write_deployment(struct devbroker *broker)
{
    MR_TRY(mr_random(broker->deployment.log_id.bytes, MR_LOG_ID_SIZE));
    return mr_deployment_append(broker->log, &broker->deployment, MR_DEPLOYMENT_CREATED, DELIVERY_WAIT_MS);
}

static struct mr_error start(struct devbroker *broker)
{
    MR_TRY(devbroker_bootstrap_clear(broker->config.dir));
    MR_TRY(devbroker_cluster_open((uint16_t)broker->config.port, &broker->cluster));
    MR_TRY(devbroker_cluster_create(broker->cluster, (uint32_t)broker->config.partitions));
    const struct mr_log_kafka_config log = {
        .brokers = devbroker_cluster_address(broker->cluster),
        .client_id = "millrace-devbroker",
        .mode = MR_LOG_ASSIGN,
        .development_broker = true,
        .linger_ms = 0,
        .settings = "fetch.wait.max.ms=20\n", /* an idle broker need not look at itself 1,000 times a second */
        .consume = true,
        .produce = true,
    };
    MR_TRY(mr_log_kafka_open(&log, &broker->log));
    MR_TRY(write_deployment(broker));
    MR_TRY(devbroker_cluster_watch(broker->cluster, broker->log, &broker->watch));
    return devbroker_bootstrap_write(broker->config.dir, devbroker_cluster_address(broker->cluster));
}

static void say_ready(const struct devbroker *broker)
{
    char log_id[2 * MR_LOG_ID_SIZE + 1];
    mr_hex(mr_bytes_of(broker->deployment.log_id.bytes, MR_LOG_ID_SIZE), log_id);
    MR_TRACE(&broker->trace, MR_TRACE_INFO, "BrokerReady",
             mr_text("bootstrap", devbroker_cluster_address(broker->cluster)),
             mr_count("partitions", broker->config.partitions), mr_text("log_id", log_id),
             mr_count("stop_bytes", broker->config.stop_bytes), mr_count("stop_records", broker->config.stop_records));
}

/* ---- The watch --------------------------------------------------------------------------------------------- */

static int stop_full(const struct devbroker *broker, const struct mr_log_record *record, struct devbroker_load load)
{
    MR_TRACE(&broker->trace, MR_TRACE_ALARM, "PartitionFull", mr_text("topic", record->topic),
             mr_count("partition", record->partition), mr_count("bytes", load.bytes), mr_count("records", load.records),
             mr_text("detail", "the broker stops before it would drop records; start again with fewer or smaller "
                               "ones, or use Apache Kafka"));
    return MR_EXIT_RETRY;
}

static int stop_dropped(const struct devbroker *broker, const char *topic, uint32_t partition)
{
    MR_TRACE(&broker->trace, MR_TRACE_ALARM, "RecordsDropped", mr_text("topic", topic),
             mr_count("partition", partition),
             mr_text("detail", "records came in faster than the broker could watch, and some are gone: do not use what "
                               "was computed from this log"));
    return MR_EXIT_RETRY;
}

/* True: over, with *ret_exit. */
static bool record_ends(struct devbroker *broker, const struct mr_log_event *event, int *ret_exit)
{
    const struct mr_log_record *const record = &event->of.record.view;
    const struct devbroker_load load = devbroker_watch_add(&broker->watch, record);
    const bool dropped = record->offset + 1 != load.records;
    const bool full = load.bytes > broker->config.stop_bytes || load.records > broker->config.stop_records;
    if (dropped) {
        *ret_exit = stop_dropped(broker, record->topic, record->partition);
    } else if (full) {
        *ret_exit = stop_full(broker, record, load);
    }
    broker->log->ops->record_free(broker->log, event->of.record.held);
    return dropped || full;
}

static bool event_ends(struct devbroker *broker, const struct mr_log_event *event, int *ret_exit)
{
    switch (event->kind) {
    case MR_LOG_EVENT_RECORD: return record_ends(broker, event, ret_exit);
    case MR_LOG_EVENT_OFFSET_GONE:
        *ret_exit = stop_dropped(broker, event->of.offset_gone.topic, event->of.offset_gone.partition);
        return true;
    case MR_LOG_EVENT_DELIVERY_FAILED: *ret_exit = failed(broker, event->of.delivery_failed.error); return true;
    case MR_LOG_EVENT_FAILED: *ret_exit = failed(broker, event->of.error); return true;
    case MR_LOG_EVENT_QUIET:
    case MR_LOG_EVENT_DELIVERED:
    case MR_LOG_EVENT_ASSIGNED:
    case MR_LOG_EVENT_REVOKED:
    case MR_LOG_EVENT_DOWN:
    case MR_LOG_EVENT_UP:
    case MR_LOG_EVENT_COMMIT_FAILED: return false;
    }
    mr_unreachable(__func__);
}

static int watch_over(struct devbroker *broker)
{
    const struct mr_clock clock = mr_clock_system();
    int64_t look_at_us = 0;
    int exit_code = MR_EXIT_OK;
    while (stop_asked == 0) {
        const int64_t now_us = mr_clock_monotonic_us(&clock);
        if (now_us >= look_at_us) {
            const struct mr_error error = devbroker_cluster_watch(broker->cluster, broker->log, &broker->watch);
            if (mr_failed(error)) {
                return failed(broker, error);
            }
            look_at_us = now_us + (int64_t)LOOK_EVERY_MS * 1000;
        }
        const struct mr_log_event event = broker->log->ops->poll(broker->log, 200);
        if (event_ends(broker, &event, &exit_code)) {
            return exit_code;
        }
    }
    MR_TRACE(&broker->trace, MR_TRACE_INFO, "BrokerStopped", mr_text("detail", "asked to"));
    return MR_EXIT_OK;
}

static int stop(struct devbroker *broker, int exit_code)
{
    if (broker->cluster != NULL) {
        const struct mr_error error = devbroker_bootstrap_clear(broker->config.dir);
        exit_code = mr_failed(error) && exit_code == MR_EXIT_OK ? failed(broker, error) : exit_code;
    }
    if (broker->log != NULL) {
        broker->log->ops->close(broker->log);
    }
    devbroker_cluster_close(broker->cluster);
    devbroker_watch_deinit(&broker->watch);
    return exit_code;
}

int main(int argc, char *argv[])
{
    if (argc == 2 && strcmp(argv[1], "--help-markdown") == 0) {
        mr_config_markdown(&options, stdout);
        return MR_EXIT_OK;
    }
    struct devbroker broker = {.trace = mr_trace_open("devbroker", STDERR_FILENO, MR_TRACE_INFO)};
    struct mr_error error = mr_config_load(&options, &broker.config, argc, argv, NULL, 0, NULL);
    if (mr_failed(error) && strcmp(error.code, "help") == 0) {
        mr_config_help(&options, stdout);
        return MR_EXIT_OK;
    }
    broker.deployment.partitions = (uint32_t)broker.config.partitions;
    if (!mr_failed(error)) {
        error = adopt(broker.config.adopt, &broker.deployment);
    }
    if (mr_failed(error)) {
        fprintf(stderr, "millrace-devbroker: %s\n", error.detail);
        return MR_EXIT_USAGE;
    }
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    print_limits(&broker.config);
    error = start(&broker);
    if (mr_failed(error)) {
        return stop(&broker, failed(&broker, error));
    }
    say_ready(&broker);
    return stop(&broker, watch_over(&broker));
}
