/* The parts of the Kafka log, for each other. */
#ifndef KAFKA_INTERNAL_H
#define KAFKA_INTERNAL_H

#include "millrace/log_kafka.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

enum {
    KAFKA_CALL_WAIT_MS = 5000,  /* a call that waits for the broker's answer */
    KAFKA_PROBE_EVERY_MS = 250, /* while no broker can be reached */
    KAFKA_PROBE_WAIT_MS = 50,
    KAFKA_CLOSE_WAIT_MS = 3000, /* for leaving the group */
};

int64_t kafka_now_ms(void);
/* At least 0. */
int kafka_remaining_ms(int64_t deadline_ms);

/* ---- Errors ---------------------------------------------------------------------------------------------- */

/* TRANSIENT: librdkafka, or a later call, gets over it. */
struct mr_error kafka_error(rd_kafka_resp_err_t code, const char *what, const char *text);

/* ---- Settings -------------------------------------------------------------------------------------------- */

enum kafka_role { KAFKA_ROLE_PRODUCER = 1, KAFKA_ROLE_GROUP, KAFKA_ROLE_FETCHER, KAFKA_ROLE_READER, KAFKA_ROLE_QUERY };
MR_MUST_USE struct mr_error kafka_handle_open(const struct mr_log_kafka_config *config, enum kafka_role role,
                                              rd_kafka_t **ret_handle);

/* ---- Which topics there are --------------------------------------------------------------------------------- */

struct kafka_topic {
    char *name;
    uint32_t partitions;
};
/* Read as a whole: to ask a broker for one topic may create it. */
struct kafka_catalog {
    struct kafka_topic *topics;
    size_t count;
};
MR_MUST_USE struct mr_error kafka_catalog_read(rd_kafka_t *handle, int wait_ms, struct kafka_catalog *catalog);
const struct kafka_topic *kafka_catalog_find(const struct kafka_catalog *catalog, const char *topic);
void kafka_catalog_deinit(struct kafka_catalog *catalog);

/* ---- Records ---------------------------------------------------------------------------------------------- */

/* A message of librdkafka with the headers as views of it. */
struct kafka_held {
    struct kafka_held *next, **link; /* in the list of those that were handed out */
    rd_kafka_message_t *message;
    size_t header_count;
    struct mr_log_header headers[];
};
/* Owns the message from here on, also on failure. */
MR_MUST_USE struct mr_error kafka_held_new(rd_kafka_message_t *message, struct kafka_held **ret_held);
struct mr_log_record kafka_held_view(const struct kafka_held *held);
void kafka_held_free(struct kafka_held *held);

/* ---- The log ---------------------------------------------------------------------------------------------- */

struct kafka_producer {
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *reports; /* being read */
    size_t reports_left;
    uint64_t in_flight;
};

enum { KAFKA_TAKEN_MAX = 64 };

struct kafka_fetch {
    struct kafka_fetch *next;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    uint32_t partition;
    bool started, paused;
    /* Taken from the queue in one go, since each look at it costs more than a record does; handed out one by one. */
    rd_kafka_message_t *taken[KAFKA_TAKEN_MAX];
    size_t taken_at, taken_end;
};

/* Every fetched partition has a queue of its own, bounded by librdkafka; a paused one is merely not read. */
struct kafka_fetcher {
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    struct kafka_fetch *fetches, *turn;
    struct kafka_held *held;
};

struct kafka_commit {
    struct kafka_commit *link;
    char *topic;
    uint32_t partition;
    uint64_t next;
    bool due;
};

enum kafka_membership {
    KAFKA_MEMBERSHIP_NONE = 1,
    KAFKA_MEMBERSHIP_ASSIGNED, /* the caller knows */
    KAFKA_MEMBERSHIP_REVOKED,  /* the caller knows, and has not released yet */
};

/* Membership and commits alone: fetching is the fetcher's, in both modes. */
struct kafka_group {
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue, *commit_queue;
    enum kafka_membership membership;
    uint32_t *partitions;
    size_t partition_count;
    rd_kafka_event_t *next_assignment; /* came before the revocation of the last one was answered */
    struct kafka_commit *commits;
    bool commit_in_flight;
    struct mr_error commit_failure; /* not told yet */
};

/* Readers of different partitions share a handle; librdkafka reads a partition once in each. */
struct kafka_reader_handle {
    struct kafka_reader_handle *next;
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    struct mr_log_reader *readers;
};

struct kafka_log {
    struct mr_log log;
    struct mr_log_kafka_config config; /* as given to open, the texts copied */
    char **owned_topics;
    int descriptor; /* an eventfd: readable when a queue has got something, or wake was called */
    atomic_bool woken;
    struct kafka_catalog catalog;
    struct kafka_producer producer;
    struct kafka_fetcher fetcher;
    struct kafka_group group;
    struct kafka_reader_handle *reader_handles;
    bool down;
    int64_t probe_at_ms;
    char trouble[MR_ERROR_DETAIL_MAX]; /* the last connection failure: says more than "all brokers are down" */
};

static inline struct kafka_log *kafka_of(struct mr_log *log)
{
    return (struct kafka_log *)log;
}
/* Whichever handle is open, for questions to the broker. */
rd_kafka_t *kafka_any_handle(const struct kafka_log *self);
/* Wakes poll when the queue has got something. */
void kafka_queue_watch(const struct kafka_log *self, rd_kafka_queue_t *queue);
/* Looks in the catalogue, and reads it again if it is not there. REJECT "unknown_topic". */
MR_MUST_USE struct mr_error kafka_partition_check(struct kafka_log *self, const char *topic, uint32_t partition);
/* An error of a handle: false if there is nothing to tell. */
bool kafka_trouble(struct kafka_log *self, rd_kafka_event_t *event, struct mr_log_event *ret_event);
struct mr_log_event kafka_failed(struct mr_error error);

MR_MUST_USE struct mr_error kafka_producer_open(struct kafka_log *self);
void kafka_producer_close(struct kafka_log *self);
bool kafka_producer_event(struct kafka_log *self, struct mr_log_event *ret_event);
struct mr_error kafka_produce(struct mr_log *log, const struct mr_log_output *output);
uint64_t kafka_in_flight(struct mr_log *log);

MR_MUST_USE struct mr_error kafka_fetcher_open(struct kafka_log *self);
void kafka_fetcher_close(struct kafka_log *self);
bool kafka_taken_event(struct kafka_log *self, struct mr_log_event *ret_event);
bool kafka_fetcher_event(struct kafka_log *self, struct mr_log_event *ret_event);
void kafka_fetcher_stop_all(struct kafka_log *self);
struct mr_error kafka_fetch(struct mr_log *log, const char *topic, uint32_t partition, uint64_t from);
bool kafka_fetched_end(const struct mr_log *log, const char *topic, uint32_t partition, uint64_t *ret_end);
struct mr_error kafka_pause(struct mr_log *log, const char *topic, uint32_t partition);
struct mr_error kafka_resume(struct mr_log *log, const char *topic, uint32_t partition);
void kafka_record_free(struct mr_log *log, void *held);

MR_MUST_USE struct mr_error kafka_group_open(struct kafka_log *self);
void kafka_group_close(struct kafka_log *self);
bool kafka_group_event(struct kafka_log *self, struct mr_log_event *ret_event);
void kafka_released(struct mr_log *log);
struct mr_error kafka_commit(struct mr_log *log, const char *topic, uint32_t partition, uint64_t next);
struct mr_error kafka_commit_wait(struct mr_log *log, uint32_t wait_ms);
struct mr_error kafka_committed(struct mr_log *log, const char *topic, uint32_t partition, bool *ret_some,
                                uint64_t *ret_offset);

struct mr_error kafka_reader_open(struct mr_log *log, const char *topic, uint32_t partition, uint64_t from,
                                  struct mr_log_reader **ret_reader);
struct mr_error kafka_reader_seek(struct mr_log *log, struct mr_log_reader *reader, uint64_t offset);
struct mr_error kafka_reader_next(struct mr_log *log, struct mr_log_reader *reader, uint32_t wait_ms, bool *ret_some,
                                  struct mr_log_record *ret_record);
void kafka_reader_close(struct mr_log *log, struct mr_log_reader *reader);
void kafka_readers_close(struct kafka_log *self);
bool kafka_readers_event(struct kafka_log *self, struct mr_log_event *ret_event);

#endif
