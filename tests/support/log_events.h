/* For tests of a real log: waits for an event instead of for a time. */
#ifndef LOG_EVENTS_H
#define LOG_EVENTS_H

#include "millrace/log.h"

/* The next event of this kind, within a minute. Records of others are given back; FAILED and DELIVERY_FAILED fail the
 * test, unless they are asked for. */
struct mr_log_event log_await(struct mr_log *log, enum mr_log_event_kind kind);
/* Produces a record with these texts (NULL: none) and waits for its acknowledgement; its offset. */
uint64_t log_write(struct mr_log *log, const char *topic, uint32_t partition, const char *key, const char *value);

#endif
