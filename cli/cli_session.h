/* A connection to the brokers of a deployment, and reading topics over all partitions. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli.h"

#include "millrace/log_kafka.h"
#include "millrace/topics.h"

struct cli_session {
    struct mr_log *log;
    struct mr_deployment deployment;
    bool development; /* the broker is millrace-devbroker */
};

enum cli_purpose {
    CLI_READ = 1,
    CLI_WRITE,
    CLI_READ_WRITE,
};

/* The error says which brokers did not answer. */
MR_MUST_USE struct mr_error cli_session_open(const struct cli_brokers *brokers, enum cli_purpose purpose,
                                             struct cli_session *ret_session);
/* The same without the deployment, which need not be there. */
MR_MUST_USE struct mr_error cli_session_connect(const struct cli_brokers *brokers, enum cli_purpose purpose,
                                                struct cli_session *ret_session);
/* The text of a file of librdkafka settings, which the caller frees; NULL for the path "". */
MR_MUST_USE struct mr_error cli_read_settings(const char *path, char **ret_text);
/* A second connection beside the first, to ask for a group's committed offsets; nothing of the group is changed. */
MR_MUST_USE struct mr_error cli_session_group(const struct cli_session *first, const struct cli_brokers *brokers,
                                              const char *group, struct mr_log **ret_log);
void cli_session_close(struct cli_session *session);

/* The records of one partition that are there when it is opened, oldest first. */
struct cli_reader {
    struct mr_log *log;
    struct mr_log_reader *reader; /* NULL: there is none to read */
    const char *topic;
    uint32_t partition;
    uint64_t low, next, high; /* low: the oldest that the log has */
};
/* `last`: at most so many of the newest offsets; 0: all. */
MR_MUST_USE struct mr_error cli_reader_open(struct cli_session *session, const char *topic, uint32_t partition,
                                            uint64_t last, struct cli_reader *ret_reader);
/* *ret_some false: that was the last. The record lives until the next call. */
MR_MUST_USE struct mr_error cli_reader_next(struct cli_reader *reader, bool *ret_some,
                                            struct mr_log_record *ret_record);
void cli_reader_close(struct cli_reader *reader);

/* Every record that is in the topic now, partition by partition, oldest first; of each partition at most the last
 * `last` offsets (0: all). `each` ends the scan with an error. */
MR_MUST_USE struct mr_error cli_scan(struct cli_session *session, const char *topic, uint64_t last,
                                     struct mr_error (*each)(void *self, const struct mr_log_record *record),
                                     void *self);

/* Starts fetching all partitions of the topic: from the first record, or behind the last. */
MR_MUST_USE struct mr_error cli_follow(struct cli_session *session, const char *topic, bool from_beginning);
/* The next fetched record, given to `each` (its error ends it); *ret_some false: none within wait_ms. What the log says
 * besides records is an error only when it is for good. */
MR_MUST_USE struct mr_error cli_next(struct cli_session *session, uint32_t wait_ms, bool *ret_some,
                                     struct mr_error (*each)(void *self, const struct mr_log_record *record),
                                     void *self);

/* The header's value as text, cut to fit; "" when there is none. */
void cli_header_text(const struct mr_log_record *record, const char *name, char *ret_text, size_t size);

/* 2026-05-05T12:00:00.123Z */
enum { CLI_TIME_SIZE = 32 };
void cli_time_text(int64_t time_ms, char ret_text[CLI_TIME_SIZE]);

#endif
