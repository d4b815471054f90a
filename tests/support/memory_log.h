/*
 * The record log in memory: a broker that several clients share, each an mr_log. Nothing waits and nothing has a clock:
 * poll is QUIET when nothing is there, and every fault is switched by hand or drawn from the broker's seed.
 *
 * A produced record is written to the log by a later poll of its client, and acknowledged after that.
 */
#ifndef MEMORY_LOG_H
#define MEMORY_LOG_H

#include "millrace/log.h"
#include "millrace/log_kafka.h"

struct memory_broker;

/* Never NULL. The seed decides what a crash leaves behind, and the order of events after memory_broker_shuffle. */
struct memory_broker *memory_broker_new(uint64_t seed);
/* After every client is closed. */
void memory_broker_free(struct memory_broker *broker);
void memory_broker_create(struct memory_broker *broker, const char *topic, uint32_t partitions);

/* ---- What is in it ------------------------------------------------------------------------------------- */

/* As if another producer had written it and it was acknowledged; returns its offset. The topic must exist. */
uint64_t memory_broker_append(struct memory_broker *broker, const struct mr_log_output *output);
uint64_t memory_broker_low(const struct memory_broker *broker, const char *topic, uint32_t partition);
uint64_t memory_broker_high(const struct memory_broker *broker, const char *topic, uint32_t partition);
/* Must be below high; also of expired ones. The view lives as long as the broker. */
const struct mr_log_record *memory_broker_record(const struct memory_broker *broker, const char *topic,
                                                 uint32_t partition, uint64_t offset);
/* False: the group has committed nothing there. */
bool memory_broker_committed(const struct memory_broker *broker, const char *group, const char *topic,
                             uint32_t partition, uint64_t *ret_next);
void memory_broker_commit(struct memory_broker *broker, const char *group, const char *topic, uint32_t partition,
                          uint64_t next);

/* How many records were read through readers. */
size_t memory_broker_reads(const struct memory_broker *broker);

/* ---- Faults -------------------------------------------------------------------------------------------- */

/* Produced records stay with their client: neither in the log nor acknowledged. */
void memory_broker_hold_writes(struct memory_broker *broker, bool hold);
/* Produced records get into the log, but their acknowledgements wait. */
void memory_broker_hold_acks(struct memory_broker *broker, bool hold);
/* Lets `count` acknowledgements through while they are held. */
void memory_broker_release_acks(struct memory_broker *broker, size_t count);
/* The next record that a client produces to this topic fails for good, with all that follow it in its partition from
 * that client. */
void memory_broker_fail_next(struct memory_broker *broker, const char *topic);
/* The next `count` commits of any client are answered by COMMIT_FAILED. */
void memory_broker_fail_commits(struct memory_broker *broker, size_t count);
/* Down: clients get DOWN, nothing is read or written, calls that wait are TRANSIENT. */
void memory_broker_set_down(struct memory_broker *broker, bool down);
/* Retention: nothing below this offset can be read any more. */
void memory_broker_expire(struct memory_broker *broker, const char *topic, uint32_t partition, uint64_t below);
/* The next event comes from any of the sources that have one, by the seed; records of one partition, and
 * acknowledgements of one client's partition, stay in order. */
void memory_broker_shuffle(struct memory_broker *broker, bool shuffle);
void memory_broker_set_time(struct memory_broker *broker, int64_t now_ms);
/* Records in flight of one client at most; beyond it produce is TRANSIENT "queue_full". Default 100,000. */
void memory_broker_set_queue_max(struct memory_broker *broker, size_t records);

/* ---- Clients ------------------------------------------------------------------------------------------- */

/* group NULL: commits are FATAL "no_group". Freed by log->ops->close, which is also a crash: of each partition's
 * records that have not got into the log, a prefix does, its length drawn from the broker's seed. */
struct mr_log *memory_log_new(struct memory_broker *broker, const char *group, enum mr_log_mode mode);
/* Subscribe mode: the next polls give ASSIGNED. After memory_log_revoke it waits for `released`. */
void memory_log_assign(struct mr_log *log, const uint32_t *partitions, size_t count);
/* The next polls give REVOKED; from then on no record is fetched until the next assignment. */
void memory_log_revoke(struct mr_log *log);
/* What the last poll was ready to wait; it never does. */
uint32_t memory_log_waited_ms(const struct mr_log *log);
/* Whether REVOKED was given and not yet answered by `released`. */
bool memory_log_revoking(const struct mr_log *log);
/* Records that were handed out by poll and not given back. */
size_t memory_log_held(const struct mr_log *log);
/* Whether that partition is paused (or not fetched at all). */
bool memory_log_paused(const struct mr_log *log, const char *topic, uint32_t partition);

#endif
