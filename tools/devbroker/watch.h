/* What each partition holds, so that the broker stops before it drops anything. Pure but for its memory. */
#ifndef DEVBROKER_WATCH_H
#define DEVBROKER_WATCH_H

#include "millrace/log.h"

/* The mock cluster's own, which cannot be changed: beyond them it drops the oldest batches, with success to everyone.
 */
enum { DEVBROKER_MOCK_BYTES = 5 * 1024 * 1024, DEVBROKER_MOCK_BATCHES = 100000 };

struct devbroker_load {
    uint64_t bytes, records;
};

struct devbroker_watched {
    char *topic;
    struct devbroker_load *loads; /* of each partition */
    uint32_t partitions;
};

/* Zeroed memory is a valid empty watch. */
struct devbroker_watch {
    struct devbroker_watched *topics;
    size_t count;
};

MR_MUST_USE struct mr_error devbroker_watch_topic(struct devbroker_watch *watch, const char *topic,
                                                  uint32_t partitions);
bool devbroker_watch_knows(const struct devbroker_watch *watch, const char *topic);
/* Counts a record of a watched topic; the load of its partition since then. */
struct devbroker_load devbroker_watch_add(struct devbroker_watch *watch, const struct mr_log_record *record);
void devbroker_watch_deinit(struct devbroker_watch *watch);

/* Bytes that a record takes in the log at most: as if it were alone in its batch, and not compressed. */
uint64_t devbroker_weight_bytes(const struct mr_log_record *record);

#endif
