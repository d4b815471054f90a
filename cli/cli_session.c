#include "cli_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BROKER_WAIT_MS = 5000, READ_WAIT_MS = 5000, SETTINGS_MAX = 65536 };

struct mr_error cli_read_settings(const char *path, char **ret_text)
{
    *ret_text = NULL;
    if (path[0] == '\0') {
        return mr_ok();
    }
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "bad_settings", errno, "%s: %s", path, strerror(errno));
    }
    char *text = calloc(SETTINGS_MAX, 1);
    const size_t size = text == NULL ? 0 : fread(text, 1, SETTINGS_MAX, file);
    const bool good = text != NULL && ferror(file) == 0 && size < SETTINGS_MAX;
    (void)fclose(file);
    if (!good) {
        free(text);
        return mr_error_make(MR_ERROR_REJECT, "bad_settings", 0, "%s: cannot be read, or is over %d bytes", path,
                             SETTINGS_MAX - 1);
    }
    *ret_text = text;
    return mr_ok();
}

static struct mr_error open_log(const struct cli_brokers *brokers, bool development, bool produce, const char *group,
                                struct mr_log **ret_log)
{
    char *settings = NULL;
    MR_TRY(cli_read_settings(brokers->settings_file, &settings));
    const struct mr_log_kafka_config config = {
        .brokers = brokers->list,
        .settings = settings,
        .client_id = "millrace",
        .group = group,
        .mode = MR_LOG_ASSIGN,
        .development_broker = development,
        .linger_ms = 5,
        .consume = true, /* the deployment is read in any case */
        .produce = produce,
    };
    const struct mr_error error = mr_log_kafka_open(&config, ret_log);
    free(settings);
    return error;
}

static struct mr_error is_development(const struct cli_brokers *brokers, bool *ret_is)
{
    char *settings = NULL;
    MR_TRY(cli_read_settings(brokers->settings_file, &settings));
    const struct mr_error error = mr_log_kafka_is_development(brokers->list, settings, BROKER_WAIT_MS, ret_is);
    free(settings);
    return error;
}

struct mr_error cli_session_connect(const struct cli_brokers *brokers, enum cli_purpose purpose,
                                    struct cli_session *ret_session)
{
    struct cli_session session = {.log = NULL};
    MR_TRY(is_development(brokers, &session.development));
    MR_TRY(open_log(brokers, session.development, purpose != CLI_READ, NULL, &session.log));
    *ret_session = session;
    return mr_ok();
}

struct mr_error cli_session_open(const struct cli_brokers *brokers, enum cli_purpose purpose,
                                 struct cli_session *ret_session)
{
    struct cli_session session;
    MR_TRY(cli_session_connect(brokers, purpose, &session));
    const struct mr_error error = mr_deployment_read(session.log, &session.deployment);
    if (mr_failed(error)) {
        cli_session_close(&session);
        return error;
    }
    *ret_session = session;
    return mr_ok();
}

struct mr_error cli_session_group(const struct cli_session *first, const struct cli_brokers *brokers, const char *group,
                                  struct mr_log **ret_log)
{
    return open_log(brokers, first->development, false, group, ret_log);
}

void cli_session_close(struct cli_session *session)
{
    if (session->log != NULL) {
        session->log->ops->close(session->log);
        session->log = NULL;
    }
}

struct mr_error cli_reader_open(struct cli_session *session, const char *topic, uint32_t partition, uint64_t last,
                                struct cli_reader *ret_reader)
{
    struct cli_reader reader = {.log = session->log, .topic = topic, .partition = partition};
    MR_TRY(reader.log->ops->watermarks(reader.log, topic, partition, &reader.low, &reader.high));
    reader.next = last > 0 && reader.high - reader.low > last ? reader.high - last : reader.low;
    if (reader.next < reader.high) {
        MR_TRY(reader.log->ops->reader_open(reader.log, topic, partition, reader.next, &reader.reader));
    }
    *ret_reader = reader;
    return mr_ok();
}

struct mr_error cli_reader_next(struct cli_reader *reader, bool *ret_some, struct mr_log_record *ret_record)
{
    bool some = false;
    if (reader->next < reader->high) {
        MR_TRY(reader->log->ops->reader_next(reader->log, reader->reader, READ_WAIT_MS, &some, ret_record));
        if (!some) {
            return mr_error_make(MR_ERROR_TRANSIENT, "read_timeout", 0, "%s partition %" PRIu32 " at %" PRIu64,
                                 reader->topic, reader->partition, reader->next);
        }
        reader->next = ret_record->offset + 1;
        some = ret_record->offset < reader->high; /* offsets below the end may have no record */
    }
    *ret_some = some;
    return mr_ok();
}

void cli_reader_close(struct cli_reader *reader)
{
    if (reader->reader != NULL) {
        reader->log->ops->reader_close(reader->log, reader->reader);
        reader->reader = NULL;
    }
}

static struct mr_error scan_partition(struct cli_session *session, const char *topic, uint32_t partition, uint64_t last,
                                      struct mr_error (*each)(void *self, const struct mr_log_record *record),
                                      void *self)
{
    struct cli_reader reader;
    MR_TRY(cli_reader_open(session, topic, partition, last, &reader));
    bool some = true;
    struct mr_error error = mr_ok();
    while (some && !mr_failed(error)) {
        struct mr_log_record record;
        error = cli_reader_next(&reader, &some, &record);
        if (!mr_failed(error) && some) {
            error = each(self, &record);
        }
    }
    cli_reader_close(&reader);
    return error;
}

struct mr_error cli_scan(struct cli_session *session, const char *topic, uint64_t last,
                         struct mr_error (*each)(void *self, const struct mr_log_record *record), void *self)
{
    for (uint32_t partition = 0; partition < session->deployment.partitions; partition++) {
        MR_TRY(scan_partition(session, topic, partition, last, each, self));
    }
    return mr_ok();
}

struct mr_error cli_follow(struct cli_session *session, const char *topic, bool from_beginning)
{
    struct mr_log *log = session->log;
    for (uint32_t partition = 0; partition < session->deployment.partitions; partition++) {
        uint64_t low = 0, high = 0;
        MR_TRY(log->ops->watermarks(log, topic, partition, &low, &high));
        MR_TRY(log->ops->fetch(log, topic, partition, from_beginning ? low : high));
    }
    return mr_ok();
}

struct mr_error cli_next(struct cli_session *session, uint32_t wait_ms, bool *ret_some,
                         struct mr_error (*each)(void *self, const struct mr_log_record *record), void *self)
{
    struct mr_log *log = session->log;
    const struct mr_log_event event = log->ops->poll(log, wait_ms);
    *ret_some = false;
    switch (event.kind) {
    case MR_LOG_EVENT_RECORD: {
        const struct mr_error error = each(self, &event.of.record.view);
        log->ops->record_free(log, event.of.record.held);
        *ret_some = true;
        return error;
    }
    case MR_LOG_EVENT_OFFSET_GONE:
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0,
                             "%s partition %" PRIu32 ": records were removed before they were read",
                             event.of.offset_gone.topic, event.of.offset_gone.partition);
    case MR_LOG_EVENT_FAILED: return event.of.error;
    case MR_LOG_EVENT_DELIVERY_FAILED: return event.of.delivery_failed.error;
    case MR_LOG_EVENT_DOWN:
        (void)fprintf(stderr, "millrace: no broker answers, trying on: %s\n", event.of.error.detail);
        return mr_ok();
    case MR_LOG_EVENT_UP: (void)fprintf(stderr, "millrace: a broker answers again\n"); return mr_ok();
    case MR_LOG_EVENT_QUIET:
    case MR_LOG_EVENT_DELIVERED:
    case MR_LOG_EVENT_ASSIGNED:
    case MR_LOG_EVENT_REVOKED:
    case MR_LOG_EVENT_COMMIT_FAILED: return mr_ok();
    }
    mr_unreachable(__func__);
}

void cli_header_text(const struct mr_log_record *record, const char *name, char *ret_text, size_t size)
{
    struct mr_bytes value = {0};
    if (!mr_log_header_find(record, name, &value)) {
        value.size = 0;
    }
    const size_t length = value.size < size - 1 ? value.size : size - 1;
    if (length > 0) {
        memcpy(ret_text, value.data, length);
    }
    ret_text[length] = '\0';
}

void cli_time_text(int64_t time_ms, char ret_text[CLI_TIME_SIZE])
{
    const time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char date[24];
    if (time_ms < 0 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        (void)snprintf(ret_text, CLI_TIME_SIZE, "-");
        return;
    }
    (void)snprintf(ret_text, CLI_TIME_SIZE, "%s.%03dZ", date, (int)(time_ms % 1000));
}
