/*
 * The stage loop: everything that the six services have in common.
 *
 * A stage reads one or two input topics, handles the records of each model in order, and writes to its output topics.
 * The loop owns polling, the window of records in flight, order (origin, prev, marks: rules O3-O5), parking and retry
 * (R), dead letters, pausing, offsets behind the low-water mark, and stopping. The service owns what a record means: it
 * is asked to handle one record of a model at a time, and answers with a verdict. Everything here runs in the loop's
 * thread, but the `run` of a job.
 *
 * A model's records of one input form a lane. A lane handles one record at a time; its outputs are in flight while the
 * next is handled. A record is resolved when all its outputs, or its dead letter, or its parking, are acknowledged.
 */
#ifndef MR_STAGE_H
#define MR_STAGE_H

#include "millrace/clock.h"
#include "millrace/log.h"
#include "millrace/metrics.h"
#include "millrace/retry.h"
#include "millrace/store_watch.h"
#include "millrace/topics.h"
#include "millrace/trace.h"
#include "millrace/work.h"

enum { MR_STAGE_INPUTS_MAX = 2, MR_STAGE_OUTPUTS_MAX = 4, MR_REASON_MAX = 64 };

struct mr_stage;

/* A model's lane of one input, in one assignment. */
struct mr_lane {
    char model_id[MR_ID_SIZE]; /* of ingest: the record's key if it is a valid id, else "" */
    uint32_t input;
    uint32_t partition;
    bool has_mark;
    uint64_t mark; /* origin offset of the last record that was admitted; resolved ones after a restart */
    void *state;   /* the service's */
};

/* One input record on its way. */
struct mr_item {
    uint64_t id; /* never used again in this process */
    struct mr_lane *lane;
    const struct mr_log_record *record; /* until the item is resolved */
    uint64_t origin;                    /* offset in batches.submitted */
    bool has_prev;
    uint64_t prev;
    int64_t time_ms;  /* of the origin record: its ce_time, else its timestamp */
    uint32_t attempt; /* failed attempts so far */
    void *state;      /* the service's; freed by ops.item_free */
};

enum mr_stage_event_kind {
    MR_STAGE_BEGIN = 1, /* the record is at the head of its lane (again after RETRY: item->attempt says how often) */
    MR_STAGE_RESUME,    /* after BUSY: mr_stage_resume was called */
    MR_STAGE_PROBE,     /* after DEPENDENCY_DOWN: try again */
};

enum mr_verdict_kind {
    MR_VERDICT_EMIT = 1,        /* produce these outputs; the lane goes on */
    MR_VERDICT_DROP,            /* nothing to produce: a counter and a log line; the lane goes on */
    MR_VERDICT_DEAD_LETTER,     /* stages with a retry topic only; the lane goes on */
    MR_VERDICT_RETRY,           /* stages with a retry topic only: park until due_ms, then BEGIN with attempt + 1 */
    MR_VERDICT_BUSY,            /* mr_stage_resume comes later; the lane waits */
    MR_VERDICT_DEPENDENCY_DOWN, /* the stage waits, probing without limit; no attempt is spent */
    MR_VERDICT_STOP_MODEL, /* an alarm; this lane handles nothing more in this assignment and holds its offset back */
    MR_VERDICT_FATAL,      /* the process ends with `exit_code` */
    MR_VERDICT_LAST = MR_VERDICT_FATAL,
};

struct mr_stage_output {
    const char *topic;
    struct mr_bytes value;
    const char *type;                    /* ce_type: the message's full name, "millrace.batch.v1.Ingested" */
    uint32_t index;                      /* in ce_id: 0 unless a record gives several outputs to one topic */
    struct mr_bytes ce_id;               /* empty: by rule O9; versions set the commit id's hex */
    const struct mr_log_header *headers; /* further ones */
    size_t header_count;
};

struct mr_verdict {
    enum mr_verdict_kind kind;
    const char
        *decision; /* the vocabulary's name, for log line and metric: "Accepted", "OutOfDomain"; static storage */
    char reason[MR_REASON_MAX]; /* DEAD_LETTER: machine-readable, "out_of_domain" */
    char detail[MR_ERROR_DETAIL_MAX];
    int64_t due_ms;                                       /* RETRY */
    enum mr_trace_level level;                            /* EMIT: of its log line; 0: debug */
    int exit_code;                                        /* FATAL */
    struct mr_stage_output outputs[MR_STAGE_OUTPUTS_MAX]; /* EMIT; values live in mr_stage_arena */
    size_t output_count;
};

struct mr_stage_job {
    struct mr_job job; /* job.run is set by the service; runs on a worker, must not touch stage, lane or item */
    uint64_t item_id;  /* 0: of no item */
    /* In the loop's thread. item NULL: it was of an assignment that is over: free the job, ignore its outcome. Usually
     * stores the outcome in item->state, frees the job and calls mr_stage_resume. */
    void (*done)(void *self, struct mr_stage_job *job, struct mr_item *item);
};

struct mr_stage_ops {
    /* An assignment begins or ends; nothing of an earlier one may be kept. May be NULL. */
    struct mr_error (*partition_open)(void *self, uint32_t partition);
    void (*partition_close)(void *self, uint32_t partition);
    /* Rule O5: one record of the stage's own output topics, oldest first, before any input; of an origin once. May be
     * NULL. */
    struct mr_error (*fold)(void *self, const struct mr_log_record *output);
    /*
     * The cache of that fold. fold_save appends what the service knows of the lane's model by the records that EMIT
     * answered so far; that changes with an EMIT alone. fold_load is given it back, of a lane that is not open yet,
     * before anything is folded; REJECT: it cannot be used, and everything is folded (after partition_close and
     * partition_open). Both NULL: the marks are all that there is, or, with `fold`, nothing is cached. With them, every
     * output topic is some input's marks_from.
     */
    struct mr_error (*fold_save)(void *self, const struct mr_lane *lane, struct mr_buffer *state);
    struct mr_error (*fold_load)(void *self, const struct mr_lane *lane, struct mr_bytes state);
    /* True: this time the whole output is to be folded. May be NULL. */
    bool (*fold_whole)(void *self, uint32_t partition);
    /* A lane is opened, with the mark that the fold gave. True: ready. False: mr_lane_ready comes later. May be NULL.
     */
    bool (*lane_open)(void *self, struct mr_lane *lane);
    void (*lane_close)(void *self, struct mr_lane *lane);
    /* Decides and performs. Never blocks. */
    struct mr_verdict (*handle)(void *self, struct mr_item *item, enum mr_stage_event_kind event);
    /* The record is resolved: outputs acknowledged. May be NULL. */
    void (*resolved)(void *self, struct mr_item *item);
    /* A record that order judged Duplicate is dropped: release what it holds (leases). May be NULL. */
    void (*duplicate)(void *self, struct mr_item *item);
    void (*item_free)(void *self, struct mr_item *item); /* frees item->state. May be NULL */
    /* An output of mr_stage_emit was acknowledged. May be NULL. */
    void (*emitted)(void *self, struct mr_lane *lane, uint64_t token);
    /* Each turn, at mr_stage_ticks_ms. May be NULL. A failure ends the process. */
    struct mr_error (*turn)(void *self, int64_t ticks_ms);
    /* The offset of that input below which the group's offset may be committed; UINT64_MAX: no bound. May be NULL. */
    uint64_t (*floor)(void *self, uint32_t input, uint32_t partition);
};

struct mr_stage_input {
    const char *topic;
    /* The entry of the pipeline (ingest): records have no stamp, their origin is their own offset. */
    bool entry;
    /* The output topic whose records say what of this input is resolved; NULL: the service sets marks in lane_open. */
    const char *marks_from;
    /* Records that order calls duplicates are handled all the same: the service knows better, and repeating does no
     * harm (persist: what stands in the log may have gone from the store). */
    bool handles_duplicates;
    /* Where a LogGap is re-read; NULL: the input topic itself. */
    const char *reread_from;
    /* A record that is not ordered by stamps and not handled by lanes, but given to `side` at once, from the end as
     * seen at the start of the assignment (train reads versions.committed). */
    void (*side)(void *self, const struct mr_log_record *record);
};

struct mr_stage_spec {
    const char *name; /* "validate" */
    struct mr_stage_input inputs[MR_STAGE_INPUTS_MAX];
    size_t input_count;
    const char *outputs[MR_STAGE_OUTPUTS_MAX]; /* topics */
    size_t output_count;
    const char *retry_topic; /* NULL: a total stage, which waits and never rejects */
    uint32_t fold_version;   /* of what fold_save appends: another one's is not loaded */
    const struct mr_stage_ops *ops;
    void *self;
};

struct mr_stage_env {
    struct mr_log *log;
    struct mr_clock clock;
    struct mr_trace *trace;
    struct mr_metrics *metrics;
    struct mr_health *health; /* may be NULL */
    struct mr_work *work;     /* may be NULL: the service has no jobs */
    struct mr_store *store;   /* as mr_store_watch gives it, for a look at whether it answers; may be NULL */
    const struct mr_deployment *deployment;
    const uint32_t *partitions; /* assign mode: these; subscribe mode: NULL */
    size_t partition_count;
    uint32_t window_records; /* in flight at most, per input partition */
    uint64_t window_bytes;   /* of records in flight, in all */
    uint32_t parked_max;     /* parked records of a partition at most; then its input pauses */
    uint32_t fold_every;     /* outputs of a partition between two snapshots of the fold; 0: the cache is not used */
    uint32_t fold_share;     /* and so many times the bytes of a snapshot */
    struct mr_retry_policy retry; /* of a stage with a retry topic */
    uint32_t probe_ms;            /* between two probes of a dependency that is down */
    uint32_t stop_wait_ms;        /* how long a stop waits for what is in flight */
};

MR_MUST_USE struct mr_error mr_stage_new(const struct mr_stage_spec *spec, const struct mr_stage_env *env,
                                         struct mr_stage **ret_stage);
/* Runs until *stop or a failure; returns the exit code. */
int mr_stage_run(struct mr_stage *stage, const volatile int *stop);
/* One turn, waiting at most wait_ms for an event; false: the loop is over and *ret_exit is set. For tests and the
 * simulator. */
MR_MUST_USE bool mr_stage_turn(struct mr_stage *stage, uint32_t wait_ms, bool stopping, int *ret_exit);
void mr_stage_free(struct mr_stage *stage);

/* ---- For the service, in the loop's thread ------------------------------------------------------------ */

/* Memory until the end of this turn. */
struct mr_arena *mr_stage_arena(struct mr_stage *stage);
/* Since 1970. It may jump, so no wait goes by it. */
int64_t mr_stage_now_ms(const struct mr_stage *stage);
/* Of the clock that never goes back. */
int64_t mr_stage_ticks_ms(const struct mr_stage *stage);
/* Adds one to millrace_decisions_total of that name. A verdict's decision is counted by the loop. */
void mr_stage_count(struct mr_stage *stage, const char *decision);
/* The stamp of an output of this item: prev is the origin of the lane's last record in that output topic. */
struct mr_stage_stamp {
    const char *model_id;
    struct mr_log_id log_id;
    uint32_t partition;
    uint64_t origin;
    bool has_prev;
    uint64_t prev;
};
struct mr_stage_stamp mr_stage_stamp(struct mr_stage *stage, const struct mr_item *item, const char *topic);
/* Ends BUSY: handle is called with RESUME in this or the next turn. */
void mr_stage_resume(struct mr_stage *stage, struct mr_item *item);
/* Ends lane_open's false. has_mark false: everything is new to it. */
void mr_lane_ready(struct mr_stage *stage, struct mr_lane *lane, bool has_mark, uint64_t mark);
/* Drops what the lane has queued, and opens it again through lane_open; a mark that went back gives a LogGap, which
 * re-reads. */
void mr_lane_reopen(struct mr_stage *stage, struct mr_lane *lane);
/* FATAL or an alarm from outside `handle`. */
void mr_lane_stop(struct mr_stage *stage, struct mr_lane *lane, const char *decision, const char *detail);
void mr_stage_fail(struct mr_stage *stage, int exit_code, const char *decision, const char *detail);
/* Runs a job for an item (or none). The queue is sized for the windows: it never refuses. */
void mr_stage_work(struct mr_stage *stage, struct mr_item *item, struct mr_stage_job *job);
/* Produces an output that belongs to no record's resolution; ops.emitted(lane, token) follows its acknowledgement. The
 * ce_id and ce_time are those of `origin` and `time_ms`. */
struct mr_error mr_stage_emit(struct mr_stage *stage, struct mr_lane *lane, uint64_t origin, int64_t time_ms,
                              const struct mr_stage_output *output, uint64_t token);
/* Reads the value of one record of a topic by offset. Offsets that lie close together are read in one go, whatever
 * their order. REJECT "offset_gone"; TRANSIENT when the broker does not answer. The value lives until the next call. */
MR_MUST_USE struct mr_error mr_stage_read(struct mr_stage *stage, const char *topic, uint32_t partition,
                                          uint64_t offset, struct mr_bytes *ret_value);

#endif
