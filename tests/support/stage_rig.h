/*
 * A stage over the in-memory log, with a service whose verdict is written in each record's value:
 *
 *   ok            emitted                    fail3     fails three times, then is emitted (fail9: never gets through)
 *   drop          dropped                    down      emitted if rig->dependency_up, else DEPENDENCY_DOWN
 *   dead          dead-lettered              busy      BUSY until rig_finish, then emitted
 *   stop          its model stops
 *
 * It has a state for each model, which every output changes and shows (header "test_state"): its count of outputs and a
 * digest of their origins in order. An output that the fold missed or took twice makes all later ones differ.
 */
#ifndef STAGE_RIG_H
#define STAGE_RIG_H

#include "memory_log.h"
#include "millrace/stage.h"

#include <stdio.h>

enum { RIG_CALLS_MAX = 100000, RIG_BUSY_MAX = 64, RIG_PARTITIONS_MAX = 8, RIG_STATE_SIZE = 40 };

struct rig_call {
    char model[MR_ID_SIZE];
    uint64_t origin;
    uint32_t attempt;
};

/* Of one model. */
struct rig_state {
    char model[MR_ID_SIZE];
    bool some;
    uint64_t outputs, digest;
};

struct rig {
    struct memory_broker *broker;
    struct mr_log *log;
    struct mr_stage *stage;
    struct mr_metrics *metrics;
    struct mr_store *store; /* NULL at first */
    struct mr_trace trace;
    struct mr_deployment deployment;
    struct mr_stage_spec spec;
    uint32_t partitions[RIG_PARTITIONS_MAX];
    uint32_t partition_count, window_records, parked_max;
    uint32_t fold_every, fold_share; /* 0 at first: nothing is cached */
    size_t state_padding;            /* bytes that a saved state is larger by */
    size_t models_max;               /* of a partition; 64 at first */
    struct rig_state *states[RIG_PARTITIONS_MAX];
    int trace_to;          /* a descriptor for its lines, from INFO on; -1 at first: nowhere */
    size_t folded, loaded; /* calls */
    enum mr_log_mode mode;
    int64_t now_ms;
    int64_t wall_shift_ms; /* how far the wall clock jumped */
    bool dependency_up;
    struct mr_item *busy[RIG_BUSY_MAX]; /* oldest first */
    size_t busy_count;
    struct rig_call *calls; /* what `handle` was called with: BEGIN only */
    size_t call_count;
    size_t probes, resolved, duplicates;
    int exit_code;
    bool over;
};

/* The topics of a stage that reads `input`: entry or stamped. Partitions: 2. */
struct rig *rig_new(struct memory_broker *broker, const char *name, const char *input, const char *output,
                    const char *retry);
void rig_create_topics(struct memory_broker *broker);
struct mr_clock rig_clock(struct rig *rig);
/* The process dies; what it had produced and was not written may be lost. */
void rig_crash(struct rig *rig);
/* And is started again. */
void rig_start(struct rig *rig);
void rig_free(struct rig *rig);
/* Turns until nothing happens any more; time passes only by rig->now_ms. */
void rig_run(struct rig *rig);
/* A clean stop, and the end of the process. */
void rig_stop(struct rig *rig);
/* What an output shows that is the last of these origins: "3 origins: 1234abcd". */
void rig_state_text(const uint64_t *origins, size_t count, char ret_text[RIG_STATE_SIZE]);
/* Ends the oldest BUSY, if there is one. */
void rig_finish(struct rig *rig);
/* One record, as a user's producer or the stage before would write it. */
uint64_t rig_submit(struct memory_broker *broker, const char *topic, uint32_t partition, const char *model,
                    const char *value);
/* A stamped record. prev < 0: none. */
uint64_t rig_stamped(struct memory_broker *broker, const char *topic, uint32_t partition, const char *model,
                     uint64_t origin, int64_t prev, const char *value);

#endif
