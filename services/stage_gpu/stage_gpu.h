/*
 * stage_gpu: puts the tensors of validated batches into the arena that train maps, and writes where they lie.
 *
 * Read this file first: it is the whole vocabulary of the service. Placement says where bytes are, transfer says what
 * must be done to have them where the device reads them, and a record's own state says how far it is. The stage is
 * total: it waits, under a name, or stages the record without a lease; it never rejects.
 */
#ifndef STAGE_GPU_H
#define STAGE_GPU_H

#include "millrace/base.h"

/* ---- Devices ----------------------------------------------------------------------------------------- */

enum stage_gpu_device_kind { STAGE_GPU_DEVICE_CPU = 1, STAGE_GPU_DEVICE_CUDA };
struct stage_gpu_device {
    enum stage_gpu_device_kind kind;
    uint32_t ordinal; /* CUDA */
};
enum { STAGE_GPU_ORDINAL_MAX = 1023 };

/* "cpu" or "cuda:N"; false for anything else, with ret_device untouched. */
MR_MUST_USE bool stage_gpu_device_parse(struct mr_bytes text, struct stage_gpu_device *ret_device);

enum stage_gpu_start {
    STAGE_GPU_START_READY = 1,
    STAGE_GPU_START_BAD_DEVICE,         /* no name of a device: exit 64 */
    STAGE_GPU_START_DEVICE_UNAVAILABLE, /* its plug-in is not there: exit 69, and nothing else is used instead */
    STAGE_GPU_START_ARENA_TOO_SMALL,    /* a transfer that the cap allows would never fit: exit 64 */
    STAGE_GPU_START_LAST = STAGE_GPU_START_ARENA_TOO_SMALL,
};
MR_MUST_USE enum stage_gpu_start stage_gpu_start_decide(struct mr_bytes device, bool cuda_plugin, uint64_t arena_bytes,
                                                        uint64_t cap_bytes);

/* ---- Placement: where bytes are ------------------------------------------------------------------------ */

enum stage_gpu_placement_kind {
    STAGE_GPU_PLACEMENT_ON_GPU = 1,
    STAGE_GPU_PLACEMENT_ON_CPU,
    STAGE_GPU_PLACEMENT_PINNED_HOST,
    STAGE_GPU_PLACEMENT_REMOTE_SHARD,   /* not on this machine: the object store, or another node */
    STAGE_GPU_PLACEMENT_DEVICE_UNKNOWN, /* on a device that this process does not know */
    STAGE_GPU_PLACEMENT_LOOKUP_FAILED,  /* who would know does not answer */
    STAGE_GPU_PLACEMENT_LAST = STAGE_GPU_PLACEMENT_LOOKUP_FAILED,
};
struct stage_gpu_placement {
    enum stage_gpu_placement_kind kind;
    union {
        uint32_t device; /* ON_GPU: its ordinal */
        uint32_t node;   /* REMOTE_SHARD */
    } of;
};
enum { STAGE_GPU_NODE_STORE = 0 }; /* the object store */

/* What is known of the place of a batch's payload. */
struct stage_gpu_whereabouts {
    bool answered;    /* who was asked, if anyone had to be, has answered */
    bool in_store;    /* some of it is a copy in the object store */
    bool on_device;   /* it lies in device memory */
    bool pinned;      /* it lies in host memory that a device can copy from */
    uint32_t device;  /* on_device: of this ordinal */
    uint32_t devices; /* devices that this process knows: 0 .. devices - 1 */
};
MR_MUST_USE struct stage_gpu_placement stage_gpu_placement_decide(const struct stage_gpu_whereabouts *where);

/* ---- Transfer: how they come to the device --------------------------------------------------------------- */

enum stage_gpu_cap_kind { STAGE_GPU_CAP_CPU_TRANSFER_CAPPED = 1 };
struct stage_gpu_cap {
    enum stage_gpu_cap_kind kind;
    uint64_t max_bytes; /* that one batch may bring into host memory */
};

enum stage_gpu_reason {
    STAGE_GPU_REASON_OVERSIZED_HOST_TRANSFER = 1,
    STAGE_GPU_REASON_UNPINNED_HOST_MEMORY, /* the device copies from pinned memory alone: by way of it */
    STAGE_GPU_REASON_DEVICE_UNKNOWN,
    STAGE_GPU_REASON_POOL_EXHAUSTED,          /* no block is free: the record waits */
    STAGE_GPU_REASON_REMOTE_PAYLOAD,          /* it must come to this machine first */
    STAGE_GPU_REASON_OTHER_DEVICE,            /* devices do not copy to each other: by way of the host */
    STAGE_GPU_REASON_PLACEMENT_LOOKUP_FAILED, /* the record waits, and asks again */
    STAGE_GPU_REASON_UNREADABLE,              /* not a record that validate writes */
    STAGE_GPU_REASON_PAYLOAD_MISSING,         /* the store has no copy under the record's key */
    STAGE_GPU_REASON_PAYLOAD_DIFFERS,         /* the copy is not what the record says */
    STAGE_GPU_REASON_LAST = STAGE_GPU_REASON_PAYLOAD_DIFFERS,
};

enum stage_gpu_transfer_kind {
    STAGE_GPU_TRANSFER_STAY = 1,    /* the device reads this kind of memory */
    STAGE_GPU_TRANSFER_MOVE_TO_GPU, /* from pinned host memory to the device */
    STAGE_GPU_TRANSFER_MOVE_TO_CPU, /* into (pinned, if the device needs it) host memory of this machine, capped */
    STAGE_GPU_TRANSFER_REJECT,      /* not moved: the record is staged without a lease, or waits */
    STAGE_GPU_TRANSFER_LAST = STAGE_GPU_TRANSFER_REJECT,
};
struct stage_gpu_transfer {
    enum stage_gpu_transfer_kind kind;
    union {
        uint32_t device;              /* MOVE_TO_GPU */
        enum stage_gpu_reason reason; /* MOVE_TO_CPU, REJECT */
    } of;
};

/* What decides a transfer besides the bytes themselves. */
struct stage_gpu_rules {
    struct stage_gpu_device device;
    struct stage_gpu_cap cap;
};
MR_MUST_USE struct stage_gpu_transfer stage_gpu_transfer_decide(const struct stage_gpu_placement *from, uint64_t bytes,
                                                                const struct stage_gpu_rules *rules);

/* ---- A record on its way ----------------------------------------------------------------------------------- */

enum stage_gpu_state_kind {
    STAGE_GPU_STATE_ARRIVED = 1,
    STAGE_GPU_STATE_ASKING,      /* a block is asked for */
    STAGE_GPU_STATE_WAITING,     /* for a block to come free */
    STAGE_GPU_STATE_FILLING,     /* its block is being filled */
    STAGE_GPU_STATE_UNREACHABLE, /* its payload cannot be had at the moment */
    STAGE_GPU_STATE_DONE,
    STAGE_GPU_STATE_LAST = STAGE_GPU_STATE_DONE,
};
struct stage_gpu_state {
    enum stage_gpu_state_kind kind;
    struct stage_gpu_rules rules;
    struct stage_gpu_transfer transfer; /* from ASKING on */
};

/* What a validated record holds. */
enum stage_gpu_body {
    STAGE_GPU_BODY_BARE = 1, /* no tensors: a run's start or stop, a Sobol range */
    STAGE_GPU_BODY_TENSORS,
    STAGE_GPU_BODY_UNREADABLE,
    STAGE_GPU_BODY_LAST = STAGE_GPU_BODY_UNREADABLE,
};

enum stage_gpu_event_kind {
    STAGE_GPU_EVENT_READ = 1,   /* the record; again when it is time to ask again for its payload */
    STAGE_GPU_EVENT_GRANTED,    /* a block */
    STAGE_GPU_EVENT_EXHAUSTED,  /* no block is free now, or others wait already */
    STAGE_GPU_EVENT_NEVER_FITS, /* larger than the arena */
    STAGE_GPU_EVENT_FREED,      /* blocks came free */
    STAGE_GPU_EVENT_FILLED,
    STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE, /* the store does not answer; the block was given back */
    STAGE_GPU_EVENT_PAYLOAD_MISSING,     /* the store answers that it has it not; the block was given back */
    STAGE_GPU_EVENT_PAYLOAD_DIFFERS,     /* size or SHA-256; the block was given back */
    STAGE_GPU_EVENT_LAST = STAGE_GPU_EVENT_PAYLOAD_DIFFERS,
};
struct stage_gpu_event {
    enum stage_gpu_event_kind kind;
    struct {
        enum stage_gpu_body body;
        struct stage_gpu_placement placement; /* TENSORS */
        uint64_t bytes;
    } read; /* READ */
};

enum stage_gpu_decision_kind {
    STAGE_GPU_DECISION_ALLOCATE = 1,
    STAGE_GPU_DECISION_AWAIT_ROOM,     /* reason pool_exhausted */
    STAGE_GPU_DECISION_FILL,           /* as `transfer` says */
    STAGE_GPU_DECISION_AWAIT_PAYLOAD,  /* reason placement_lookup_failed */
    STAGE_GPU_DECISION_STAGE_INLINE,   /* the validated record itself is the staged one */
    STAGE_GPU_DECISION_STAGE_LEASED,   /* its tensors lie in the arena */
    STAGE_GPU_DECISION_STAGE_UNLEASED, /* train reads the validated record itself */
    STAGE_GPU_DECISION_STOP_MODEL,     /* an alarm: the log is damaged, and nothing is skipped */
    STAGE_GPU_DECISION_FAULT,          /* this event cannot happen in this state */
    STAGE_GPU_DECISION_LAST = STAGE_GPU_DECISION_FAULT,
};
struct stage_gpu_decision {
    enum stage_gpu_decision_kind kind;
    union {
        struct stage_gpu_transfer transfer; /* FILL */
        enum stage_gpu_reason reason;       /* AWAIT_ROOM, AWAIT_PAYLOAD, STAGE_UNLEASED, STOP_MODEL */
    } of;
};

struct stage_gpu_step {
    struct stage_gpu_state next;
    struct stage_gpu_decision decision;
};

/* Total and pure: every (state, event) pair has one answer, and nothing else is read or written. */
MR_MUST_USE struct stage_gpu_step stage_gpu_decide(const struct stage_gpu_state *state,
                                                   const struct stage_gpu_event *event);

/* The names in log lines and metrics. */
MR_MUST_USE const char *stage_gpu_start_text(enum stage_gpu_start start);
MR_MUST_USE const char *stage_gpu_placement_text(enum stage_gpu_placement_kind kind);
MR_MUST_USE const char *stage_gpu_transfer_text(enum stage_gpu_transfer_kind kind);
MR_MUST_USE const char *stage_gpu_reason_text(enum stage_gpu_reason reason);
MR_MUST_USE const char *stage_gpu_state_text(enum stage_gpu_state_kind kind);
MR_MUST_USE const char *stage_gpu_event_text(enum stage_gpu_event_kind kind);
MR_MUST_USE const char *stage_gpu_decision_text(enum stage_gpu_decision_kind kind);

#endif
