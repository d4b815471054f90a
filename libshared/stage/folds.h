/*
 * The cache of a stage's fold (rule O5): what would take reading its whole output again, in millrace.folds.v1, which is
 * compacted. Never the truth: whatever is not as it must be is told (FoldCacheIgnored) and the output is folded whole.
 *
 * What is written. For each lane (a model of an input) its marks and the service's state: LaneState. A state that is
 * too large for a record is in parts before it. When every lane that changed is written, a Mark: for each folded topic
 * the offset where the fold goes on. At an assignment the stage reads this partition of millrace.folds.v1, takes the
 * lanes that belong to the mark, and folds what follows the mark's offsets.
 *
 * Why it is right:
 *
 * - A lane's state holds every output up to its mark, and the fold takes no output of an origin twice. So an offset of
 *   the mark may be any at or below the first output that some lane's state lacks, and a lane that is newer than the
 *   mark does no harm: a snapshot takes its offsets first and its lanes later, batch after batch.
 * - Memory is ahead of the log: it holds outputs that are on their way. A lane is therefore written only when every
 *   record that had a verdict when its state was taken is resolved (the barrier). Otherwise a crash could lose an
 *   output and keep its mark.
 * - The offset of an output topic moves over this stage's own acknowledged outputs alone, while they follow each other
 *   without a gap. In a gap stands another owner's record, which memory does not hold: from then on nothing is cached
 *   until the next assignment, whose fold reads it (FoldCacheHalted). Dead letters come from several stages; there the
 *   offset is behind the last own one. (Two owners at once may both judge a record anyway.)
 * - An owner that was frozen may write late, over what a later owner wrote. So each assignment is an epoch of its own,
 *   a random number: a mark counts only with all the lanes of its epoch that it knows of, and says how many they are.
 *   The first snapshot of an epoch writes every lane, into the slot (a part of the key) that the epoch before does not
 *   use: that one is whole until the new mark is there. The parts of a large state take turns in the same way.
 *
 * What it costs. A snapshot begins after --fold-every records, or FOLD_BYTES, and not before the outputs since the last
 * one are env.fold_share times as large as what is to be written: so it is never more than a fraction of them. It is
 * serialised FOLD_BATCH_BYTES at a time (one lane more at most), and nothing waits for it.
 */
#ifndef MR_FOLDS_H
#define MR_FOLDS_H

#include "stage_internal.h"

enum {
    FOLD_VERSION = 1,
    FOLD_KEY_SIZE = 256,
    FOLD_BATCH_BYTES = 256 * 1024,
    FOLD_PART_BYTES = 256 * 1024,
    FOLD_BYTES = 4 * 1024 * 1024,
};

struct fold_topic {
    const char *topic;
    uint64_t next; /* where the fold goes on */
    bool shared;   /* others write to it */
};

enum folds_phase {
    FOLDS_IDLE = 1,
    FOLDS_AWAITING, /* the batch is taken, and waits for the records that memory was ahead by */
    FOLDS_WRITING,  /* it is on its way */
    FOLDS_MARKING,  /* the mark is */
};

/* Of one assigned partition. */
struct folds {
    struct folds *after;
    uint32_t partition;
    struct fold_topic topics[MR_STAGE_OUTPUTS_MAX + 1];
    size_t topic_count;
    bool halted;
    uint64_t epoch;
    uint32_t slot;
    uint64_t snapshot; /* the last that was begun */
    uint64_t lanes;    /* of this epoch */
    struct lane *dirty;
    uint64_t dirty_bytes; /* as they were written last */
    uint64_t since_records, since_bytes;
    /* The snapshot. */
    enum folds_phase phase;
    uint64_t next[MR_STAGE_OUTPUTS_MAX + 1]; /* of the topics, when it began */
    struct lane *saving;
    uint64_t waiting;       /* for so many items, or acknowledgements */
    struct mr_buffer batch; /* sizes, key and value of each record */
    struct mr_buffer state; /* of one lane */
};

/* What a record of the topic says: lends the buffers that it was made from, or the bytes that it was read from. */
enum fold_entry_kind { FOLD_ENTRY_MARK = 1, FOLD_ENTRY_LANE, FOLD_ENTRY_PART };
struct fold_lane {
    const char *input, *model_id;
    struct mr_mark mark, last_out;
    uint64_t since;
    uint32_t state_version;
    struct mr_bytes state;
    uint32_t parts, turn;
};
struct fold_mark {
    uint32_t slot;
    uint64_t lanes;
    struct fold_topic topics[MR_STAGE_OUTPUTS_MAX + 1];
    size_t topic_count;
};
struct fold_entry {
    enum fold_entry_kind kind;
    struct mr_log_id log_id;
    uint64_t epoch, snapshot;
    union {
        struct fold_mark mark;
        struct fold_lane lane;
        struct {
            uint32_t index;
            struct mr_bytes state;
        } part;
    } of;
};

/* folds_codec.c */
/* Appends the entry to a batch. */
struct mr_error mr_folds_append(struct mr_buffer *batch, const char *key, const struct fold_entry *entry);
/* Takes the next record out of a batch; false: there is none at *at. */
bool mr_folds_take(const struct mr_buffer *batch, size_t *at, struct mr_bytes *ret_key, struct mr_bytes *ret_value);
/* NULL, or why it cannot be used: "unreadable", "other_version". Texts and bytes live in the arena. */
const char *mr_folds_decode(struct mr_bytes value, struct mr_arena *arena, struct fold_entry *ret_entry);
void mr_folds_mark_key(const struct mr_stage *stage, char ret_key[FOLD_KEY_SIZE]);
void mr_folds_lane_key(const struct mr_stage *stage, uint32_t slot, const char *input, const char *model_id,
                       char ret_key[FOLD_KEY_SIZE]);
void mr_folds_part_key(const char *lane_key, uint32_t turn, uint32_t index, char ret_key[FOLD_KEY_SIZE]);

/* folds_read.c */
/* Takes what is cached of this partition, or nothing: sets the topics' `next`, and opens the lanes. */
struct mr_error mr_folds_load(struct mr_stage *stage, struct folds *folds);

#endif
