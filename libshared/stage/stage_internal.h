/* What the files of the stage loop share. */
#ifndef MR_STAGE_INTERNAL_H
#define MR_STAGE_INTERNAL_H

#include "millrace/config.h"
#include "millrace/order.h"
#include "millrace/stage.h"
#include "park.h"
#include "window.h"

enum { MR_LANE_BUCKETS = 4096, MR_ITEM_BUCKETS = 1024, MR_REREAD_MAX = 256 };

enum item_phase {
    ITEM_QUEUED = 1, /* in its lane's queue */
    ITEM_HANDLED,    /* given to the service, which is busy with it */
    ITEM_DOWN,       /* waits for a dependency */
    ITEM_SENT,       /* its outputs are not all acknowledged */
};

struct item {
    struct mr_item pub;
    enum item_phase phase;
    struct item *next;      /* in the lane's queue, or the list of those that wait for a dependency */
    struct item *hash_next; /* by id */
    struct partition *home; /* the window that holds its offset; NULL for a record that was read by hand */
    struct mr_log_record record;
    void *held;            /* the log's; NULL for a record that was read by hand */
    struct mr_buffer copy; /* of a record that was read by hand */
    struct mr_log_header *headers;
    uint64_t bytes;
    uint32_t pending;              /* outputs that are not acknowledged */
    bool parking;                  /* it is being written to the retry topic */
    bool from_park;                /* it was read from there */
    struct partition *unparked_of; /* counts it; NULL: none does */
    bool in_barrier;               /* a snapshot of the fold waits for it */
};

enum lane_phase { LANE_OPENING = 1, LANE_OPEN, LANE_STOPPED };

/* Where a lane's unacknowledged records go. Two kinds are never in flight at once: after a crash the later one may be
 * there without the earlier, and would make it look resolved. */
enum sending { SENDING_NOTHING = 0, SENDING_OUTPUTS, SENDING_DEAD_LETTERS, SENDING_RETRIES };

struct lane {
    struct mr_lane pub;
    enum sending sending;
    uint32_t unacked;          /* records that are being sent there */
    struct item *held;         /* its verdict waits until another kind is sent */
    struct mr_verdict verdict; /* of `held` */
    struct mr_buffer verdict_bytes;
    enum lane_phase phase;
    bool asked; /* lane_open was called */
    struct lane *hash_next;
    struct lane *ready_next; /* in the list of lanes that have something to do */
    bool ready;
    struct lane *parked_next; /* in the list of lanes with parked records */
    bool in_parked;
    struct item *head, *tail; /* waiting */
    struct item *current;     /* the one that is being handled */
    struct mr_mark last_out;  /* the origin of its last record in the topic that marks come from */
    struct mr_mark folded;    /* of its last output there, or dead letter: what a fold gives as its mark */
    struct mr_mark reread_until;
    uint64_t reread_next; /* where a re-read goes on; 0: at the beginning */
    struct mr_park park;
    struct mr_mark pin; /* input offset below which offsets may be committed: of a lane that stopped */
    /* The cache of the fold. */
    struct folds *folds; /* of its partition; NULL: nothing is cached */
    struct lane *dirty_next;
    bool dirty;           /* it differs from what is cached */
    uint32_t saved_bytes; /* as it was written last */
    uint32_t saved_turn;  /* of the parts of a large state */
    uint64_t saved_since; /* the snapshot that had it first; 0: none of this epoch */
};

/* One partition of one input topic, while it is assigned. */
struct partition {
    uint32_t input, index;
    struct mr_window window;
    bool paused;
    bool has_committed;
    uint64_t committed; /* the last offset that was handed to the log for committing */
    uint64_t parked;    /* records of its lanes in the retry topic */
    uint64_t unparked;  /* those of them that were read from there and are in memory */
    uint64_t retry_next, retry_committed;
    struct partition *next;
};

/* A produced record on its way; its address is the token. */
struct delivery {
    struct delivery *before, *after;
    struct item *item; /* NULL: it was of an assignment that is over, or of mr_stage_emit */
    struct lane *lane; /* of mr_stage_emit */
    uint64_t token;
    struct folds *folds;           /* to be told of it; NULL: none */
    struct fold_topic *fold_topic; /* of an output; NULL: a record of the cache itself */
    uint64_t bytes;
    int64_t sent_ticks_ms;
};

struct mr_stage {
    struct mr_stage_spec spec;
    struct mr_stage_env env;
    struct mr_arena arena;
    struct mr_counters decisions;
    char source[MR_REASON_MAX]; /* ce_source of what it writes */
    struct lane *lanes[MR_LANE_BUCKETS];
    struct lane *ready_first, *ready_last;
    struct lane *parked_first;
    size_t parked_lanes; /* in that list */
    uint64_t kept_bytes; /* values that they keep */
    struct item *items[MR_ITEM_BUCKETS];
    uint64_t next_item_id;
    struct partition *partitions;
    struct delivery deliveries; /* head of a ring */
    struct folds *folds;        /* of the assigned partitions */
    struct reader *readers;
    uint64_t bytes;        /* of records in memory */
    struct item *down;     /* wait for a dependency */
    int64_t down_until_ms; /* when to probe */
    bool is_down, broker_down, stopping;
    const char *silent;    /* the dependency that does not answer; static storage */
    int64_t listen_due_ms; /* when to look for one */
    int64_t commit_due_ms;
    int64_t gauges_due_ms;
    int64_t stop_by_ms;
    uint64_t jobs; /* given to the workers and not collected */
    struct mr_log_event *stash;
    size_t stash_count, stash_capacity;
    bool failed;
    int exit_code;
    uint32_t *assigned; /* partitions to take over, while assign_due */
    size_t assigned_count;
    bool assign_due;
    int64_t park_check_ms;
};

/* The public halves are the first members. */
static inline struct lane *lane_of(struct mr_lane *pub)
{
    return (struct lane *)(void *)pub;
}
static inline struct item *item_of(struct mr_item *pub)
{
    return (struct item *)(void *)pub;
}

/* lane.c */
struct lane *mr_lane_find(struct mr_stage *stage, uint32_t input, uint32_t partition, struct mr_bytes model);
/* Finds or opens; NULL: out of memory (the stage has failed). */
struct lane *mr_lane_get(struct mr_stage *stage, uint32_t input, uint32_t partition, struct mr_bytes model);
void mr_lane_make_ready(struct mr_stage *stage, struct lane *lane);
struct lane *mr_lane_take_ready(struct mr_stage *stage);
void mr_lane_push(struct lane *lane, struct item *item);
/* Before everything that is queued. */
void mr_lane_push_front(struct lane *lane, struct item *first, struct item *last);
struct item *mr_lane_pop(struct lane *lane);
void mr_lane_list_parked(struct mr_stage *stage, struct lane *lane);
void mr_lanes_close(struct mr_stage *stage);
/* Of lanes that were never asked to open. */
void mr_lanes_close_partition(struct mr_stage *stage, uint32_t partition);

/* item.c */
struct item *mr_item_new(struct mr_stage *stage, const struct mr_log_record *record, void *held);
/* With an own copy of the record. */
struct item *mr_item_copy(struct mr_stage *stage, const struct mr_log_record *record);
void mr_item_free(struct mr_stage *stage, struct item *item);
struct item *mr_item_find(struct mr_stage *stage, uint64_t id);

/* assign.c */
struct mr_error mr_stage_assign(struct mr_stage *stage, const uint32_t *partitions, size_t count);
void mr_stage_revoke(struct mr_stage *stage);
struct partition *mr_partition_find(struct mr_stage *stage, uint32_t input, uint32_t index);
/* Gives `one` every record of the partition from `from` on that was there when this began; ret_end, if not NULL: its
 * end then. TRANSIENT when the broker does not answer. */
struct mr_error mr_stage_scan(struct mr_stage *stage, const char *topic, uint32_t partition, uint64_t from,
                              uint64_t *ret_end, struct mr_error (*one)(void *self, const struct mr_log_record *record),
                              void *self);

/* folds.c: the cache of the fold (folds.h). A NULL of folds or topic: nothing is cached. */
/* Whether the fold reads this output topic. */
bool mr_stage_folds_topic(const struct mr_stage *stage, const char *output);
/* Before the fold of a partition that was just assigned: takes what is cached. */
struct mr_error mr_folds_open(struct mr_stage *stage, uint32_t partition);
/* With the assignment, after its lanes. */
void mr_folds_close(struct mr_stage *stage);
struct folds *mr_folds_find(struct mr_stage *stage, uint32_t partition);
struct fold_topic *mr_folds_topic(struct folds *folds, const char *topic);
/* Where the fold of the topic goes on. */
uint64_t mr_folds_next(const struct fold_topic *topic);
/* A record was folded; the fold has reached `next`. */
void mr_folds_folded(struct folds *folds, const struct mr_log_record *record);
void mr_folds_reached(struct fold_topic *topic, uint64_t next);
/* Nothing that the topics hold is folded. `folds` may be NULL. */
struct mr_error mr_folds_pass(struct mr_stage *stage, struct folds *folds);
/* The lane is another than what is cached of it. */
void mr_folds_touch(struct lane *lane);
void mr_folds_sent(struct mr_stage *stage, const struct mr_log_output *output, struct delivery *delivery);
void mr_folds_acknowledged(struct mr_stage *stage, const struct delivery *delivery, uint64_t offset);
void mr_folds_resolved(struct item *item);
/* Begins a snapshot when one is due, and takes it further. */
struct mr_error mr_folds_turn(struct mr_stage *stage);
/* Of a stage that stops: nothing is left to write. */
bool mr_folds_finished(const struct mr_stage *stage);

/* The origin of a record whose output or dead letter was produced. */
static inline void mr_lane_folded(struct lane *lane, uint64_t origin)
{
    if (!lane->folded.some || lane->folded.origin < origin) {
        lane->folded = (struct mr_mark){true, origin};
    }
    mr_folds_touch(lane);
}

/* output.c */
/* With an item: one more record of its lane is unacknowledged, of this kind. */
struct mr_error mr_stage_produce(struct mr_stage *stage, enum sending kind, const struct mr_log_output *output,
                                 struct item *item, struct lane *lane, uint64_t token);
struct mr_error mr_stage_produce_output(struct mr_stage *stage, enum sending kind, const struct mr_lane *lane,
                                        uint64_t origin, int64_t time_ms, const struct mr_log_record *cause,
                                        const struct mr_stage_output *output, struct item *item, struct lane *emitter,
                                        uint64_t token);
struct mr_error mr_stage_dead_letter(struct mr_stage *stage, struct item *item, const struct mr_verdict *verdict);
struct mr_error mr_stage_park_write(struct mr_stage *stage, struct item *item, uint32_t attempt, int64_t due_ms,
                                    const char *detail);
/* The ce_time of a record in milliseconds, or its timestamp. */
int64_t mr_record_time_ms(const struct mr_log_record *record);
enum { MR_CE_TIME_SIZE = 32 };
void mr_ce_time_text(int64_t time_ms, char ret_text[MR_CE_TIME_SIZE]);

/* reader.c */
void mr_readers_close(struct mr_stage *stage);

/* order of one record; stamp.c */
struct stamp {
    struct mr_log_id log_id;
    uint32_t partition;
    uint64_t origin;
    struct mr_mark prev;
    char model_text[MR_ID_SIZE];
};
struct mr_error mr_stamp_read(const struct mr_log_record *record, struct stamp *ret_stamp);

/* park_topic.c */
struct mr_error mr_park_fold(struct mr_stage *stage, struct partition *partition);
/* A due time on the clock that never goes back: one that jumped makes no record wait longer than its full delay. */
int64_t mr_park_due_ticks(const struct mr_stage *stage, uint32_t partition, uint64_t origin, uint32_t attempt,
                          int64_t due_ms);
/* Makes an item of the record of a lane's head, which must be written. */
struct mr_error mr_park_load(struct mr_stage *stage, struct lane *lane, struct item **ret_item);
struct mr_error mr_park_commit(struct mr_stage *stage, struct partition *partition);

/* park_keep.c */
/* The value of a parked record's entry in the retry topic: a copy is kept if the model needs it next and may. */
struct mr_error mr_park_offer(struct mr_stage *stage, struct lane *lane, uint64_t origin, struct mr_bytes value);
/* That of the head, which must be written; read if it is not kept. Lives until the record is resolved. */
struct mr_error mr_park_head_value(struct mr_stage *stage, struct lane *lane, struct mr_bytes *ret_value);
/* As mr_park_resolve. */
void mr_park_resolved(struct mr_stage *stage, struct lane *lane, uint64_t origin);

/* hold.c */
enum sending mr_verdict_sends(const struct mr_verdict *verdict);
bool mr_lane_may_send(const struct lane *lane, enum sending kind);
/* Keeps a copy of the verdict, outputs and all. */
struct mr_error mr_lane_hold(struct lane *lane, struct item *item, const struct mr_verdict *verdict);

/* reread.c */
/* Queues the records of a lane behind its mark, up to the origin `until`, in front of everything; *ret_found false: the
 * log does not have the next one. */
struct mr_error mr_stage_reread(struct mr_stage *stage, struct lane *lane, uint64_t until, bool *ret_found);

/* lane_run.c */
/* Asks the service; the lane opens now or by mr_lane_ready. */
void mr_lane_open(struct mr_stage *stage, struct lane *lane);
/* Begins records until one is being handled, or there is none; of the parked ones, one at most. */
struct mr_error mr_lane_run(struct mr_stage *stage, struct lane *lane);

/* verdict.c */
struct mr_error mr_stage_hand(struct mr_stage *stage, struct item *item, enum mr_stage_event_kind event);
/* The verdict that was held, if what it waited for is acknowledged. */
struct mr_error mr_stage_apply_held(struct mr_stage *stage, struct lane *lane);
struct mr_error mr_stage_park(struct mr_stage *stage, struct item *item, uint32_t attempt, int64_t due_ms,
                              const char *detail);
/* The item, and all that is queued, stay unresolved; offsets are held back below them. */
void mr_stage_stop_lane(struct mr_stage *stage, struct lane *lane, struct item *item, const char *decision,
                        const char *detail);
void mr_stage_resolve(struct mr_stage *stage, struct item *item);
void mr_stage_delivered(struct mr_stage *stage, uint64_t token, uint64_t offset);

/* event.c */
struct mr_error mr_stage_event(struct mr_stage *stage, struct mr_log_event *event);
/* Notes what is to be taken over; the next turn does it. */
struct mr_error mr_stage_assigned(struct mr_stage *stage, const uint32_t *partitions, size_t count);

/* offsets.c */
struct mr_error mr_stage_press_back(struct mr_stage *stage);
/* Commits what has become resolved; `now`: without waiting for its time. */
void mr_stage_commit(struct mr_stage *stage, bool now);
/* A commit was refused, and nobody knows which: all are handed over again the next time. */
void mr_stage_commit_again(struct mr_stage *stage);

/* silence.c */
/* Tells of a dependency that does not answer, and when it does again. */
void mr_stage_listen(struct mr_stage *stage);

/* gauges.c */
/* Shows, once a second, what is unresolved and what is parked. */
void mr_stage_gauges(struct mr_stage *stage);
/* Of a partition that is given up. */
void mr_stage_forget_lag(const struct mr_stage *stage, const struct partition *partition);
/* A lane stopped with an alarm, or one that had is closed. */
void mr_stage_count_stopped(struct mr_stage *stage, int by);

/* stage.c */
/* Says to the health page that the loop goes on. */
void mr_stage_alive(struct mr_stage *stage);
/* Says in log line and metric that a dependency is down. */
void mr_stage_dependency_down(struct mr_stage *stage, const char *dependency, const char *detail);
/* What readiness waits for, by the stage's state. */
void mr_stage_show_waiting(struct mr_stage *stage);
/* What readiness waits for; NULL: nothing. */
void mr_stage_waiting(struct mr_stage *stage, const char *reason);
void mr_stage_line(struct mr_stage *stage, enum mr_trace_level level, const char *decision, const struct item *item,
                   const char *detail);
/* Nothing is begun until the next probe. */
void mr_stage_go_down(struct mr_stage *stage, const char *reason);
void mr_stage_error(struct mr_stage *stage, struct mr_error error, const char *doing);

#endif
