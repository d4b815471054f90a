/*
 * The record log (Kafka) as the stage loop needs it, behind an interface: librdkafka in services (log_kafka.h), an
 * in-memory log in tests and the simulator.
 *
 * One mr_log belongs to one thread, but for mr_log_wake. Everything asynchronous comes back as an event of poll.
 */
#ifndef MR_LOG_H
#define MR_LOG_H

#include "millrace/base.h"

struct mr_log_header {
    const char *name;
    struct mr_bytes value;
};

/* A view; whoever hands one out says until when it lives. */
struct mr_log_record {
    const char *topic;
    uint32_t partition;
    uint64_t offset;
    int64_t timestamp_ms;
    bool has_key, has_value; /* Kafka tells null from empty */
    struct mr_bytes key, value;
    const struct mr_log_header *headers;
    size_t header_count;
};

/* The last header of that name (as CloudEvents and Kafka's clients read them); false: none. */
MR_MUST_USE bool mr_log_header_find(const struct mr_log_record *record, const char *name, struct mr_bytes *ret_value);

enum mr_log_event_kind {
    MR_LOG_EVENT_QUIET = 1,       /* the wait ended, or mr_log_wake was called */
    MR_LOG_EVENT_RECORD,          /* fetched; lives until mr_log_record_free(event.record.held) */
    MR_LOG_EVENT_DELIVERED,       /* a produced record is acknowledged by all in-sync replicas */
    MR_LOG_EVENT_DELIVERY_FAILED, /* for good: the process must end, nothing later of that partition follows it */
    MR_LOG_EVENT_ASSIGNED, /* subscribe mode: the whole current assignment; nothing is fetched until mr_log_fetch */
    MR_LOG_EVENT_REVOKED,  /* subscribe mode: all of it; the log holds the rebalance until mr_log_released */
    MR_LOG_EVENT_DOWN,     /* no broker can be reached; the log goes on trying by itself */
    MR_LOG_EVENT_UP,
    MR_LOG_EVENT_OFFSET_GONE,   /* the next offset to fetch is not in the log (retention or a new log): LogGap */
    MR_LOG_EVENT_COMMIT_FAILED, /* an offset commit was refused (a rebalance went before it): harmless, logged */
    MR_LOG_EVENT_FAILED,        /* FENCED or FATAL: stop */
    MR_LOG_EVENT_LAST = MR_LOG_EVENT_FAILED,
};

struct mr_log_event {
    enum mr_log_event_kind kind;
    union {
        struct {
            struct mr_log_record view;
            void *held; /* gives it back */
        } record;
        struct {
            uint64_t token;
            uint64_t offset;
        } delivered;
        struct {
            uint64_t token;
            struct mr_error error;
        } delivery_failed;
        struct {
            const uint32_t
                *partitions; /* partition indexes; the same for every subscribed topic; until the next poll */
            size_t count;
        } assigned;
        struct {
            const char *topic;
            uint32_t partition;
        } offset_gone;
        struct mr_error error; /* DOWN, COMMIT_FAILED, FAILED */
    } of;
};

struct mr_log_output {
    const char *topic;
    uint32_t partition;
    bool has_key, has_value;
    struct mr_bytes key, value; /* copied */
    const struct mr_log_header *headers;
    size_t header_count;
    int64_t timestamp_ms; /* 0: now */
    uint64_t token;       /* comes back in DELIVERED or DELIVERY_FAILED */
};

#define MR_LOG_OFFSET_COMMITTED \
    UINT64_MAX /* mr_log_fetch: from the group's committed offset, or the earliest if none */

struct mr_log {
    const struct mr_log_ops *ops;
};
struct mr_log_reader; /* reads one partition by hand, apart from the fetching above */

struct mr_log_ops {
    struct mr_log_event (*poll)(struct mr_log *, uint32_t wait_ms);
    void (*record_free)(struct mr_log *, void *held);
    void (*wake)(struct mr_log *); /* thread-safe: ends a poll that waits */
    /* Starts fetching; of a partition that is fetched already: moves there, dropping what was fetched ahead; a
     * paused one stays paused. REJECT "unknown_topic"; TRANSIENT when the broker does not answer. */
    struct mr_error (*fetch)(struct mr_log *, const char *topic, uint32_t partition, uint64_t from);
    struct mr_error (*pause)(struct mr_log *, const char *topic, uint32_t partition);
    struct mr_error (*resume)(struct mr_log *, const char *topic, uint32_t partition);
    void (*released)(struct mr_log *); /* after REVOKED: give the partitions up, stop fetching */
    /* Commits the group's offset (the next to read), without waiting. */
    struct mr_error (*commit)(struct mr_log *, const char *topic, uint32_t partition, uint64_t next);
    struct mr_error (*commit_wait)(struct mr_log *, uint32_t wait_ms); /* until commits have been answered */
    /* ret_offset: the next to read; *ret_some false: none. Waits, TRANSIENT when the broker does not answer. */
    struct mr_error (*committed)(struct mr_log *, const char *topic, uint32_t partition, bool *ret_some,
                                 uint64_t *ret_offset);
    struct mr_error (*watermarks)(struct mr_log *, const char *topic, uint32_t partition, uint64_t *ret_low,
                                  uint64_t *ret_high);
    /* The end of a partition that is fetched, as the last fetch told it: nobody is asked. False: none has yet. */
    bool (*fetched_end)(const struct mr_log *, const char *topic, uint32_t partition, uint64_t *ret_end);
    /* REJECT "unknown_topic" when it does not exist; never creates it. */
    struct mr_error (*partition_count)(struct mr_log *, const char *topic, uint32_t *ret_count);
    /* TRANSIENT "queue_full": poll and try again. REJECT "too_large". */
    struct mr_error (*produce)(struct mr_log *, const struct mr_log_output *output);
    uint64_t (*in_flight)(struct mr_log *); /* produced and neither delivered nor failed */

    /* Readers. next: *ret_some false when nothing came within wait_ms. The record lives until the next call. OffsetGone
     * is REJECT "offset_gone". */
    struct mr_error (*reader_open)(struct mr_log *, const char *topic, uint32_t partition, uint64_t from,
                                   struct mr_log_reader **ret_reader);
    struct mr_error (*reader_seek)(struct mr_log *, struct mr_log_reader *, uint64_t offset);
    struct mr_error (*reader_next)(struct mr_log *, struct mr_log_reader *, uint32_t wait_ms, bool *ret_some,
                                   struct mr_log_record *ret_record);
    void (*reader_close)(struct mr_log *, struct mr_log_reader *);
    /* Never waits for a broker for long. What is in flight may or may not get there; open readers and held records end.
     */
    void (*close)(struct mr_log *);
};

#endif
