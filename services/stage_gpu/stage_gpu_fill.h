/* Fills a block with a batch: from the record in hand at once, or from the store on a worker. */
#ifndef STAGE_GPU_FILL_H
#define STAGE_GPU_FILL_H

#include "millrace/arena.h"
#include "millrace/stage.h"
#include "millrace/store.h"
#include "stage_gpu_codec.h"

/* What came of it: FILLED, or a PAYLOAD_ event, and then the block is given back. */
struct stage_gpu_filled {
    enum stage_gpu_event_kind event;
    struct mr_lease lease; /* FILLED */
    struct mr_error fault; /* our own mistake: the process must end; otherwise none */
    char detail[MR_ERROR_DETAIL_MAX];
};

/* All of the record's tensors are inline. */
struct stage_gpu_filled stage_gpu_fill_now(struct mr_arena_owner *owner, const struct mr_arena_block *block,
                                           const struct stage_gpu_record *record);

/* A fill on a worker. It owns the block until its outcome is collected. */
struct stage_gpu_fetch {
    struct mr_stage_job job; /* job.done is the caller's */
    struct mr_store *store;
    struct mr_arena_owner *owner;
    struct mr_arena_block block;
    struct stage_gpu_record record; /* with its own copies of what it points to */
    struct mr_buffer inline_bytes[MR_BATCH_TENSORS_MAX];
    char *keys[MR_BATCH_TENSORS_MAX];
    struct stage_gpu_filled filled;
    struct stage_gpu_fetch *before, *after; /* the caller's list */
};
/* NULL: out of memory. */
struct stage_gpu_fetch *stage_gpu_fetch_new(struct mr_store *store, struct mr_arena_owner *owner,
                                            const struct mr_arena_block *block, const struct stage_gpu_record *record);
/* Of one that is not running. Leaves the block as it is. */
void stage_gpu_fetch_free(struct stage_gpu_fetch *fetch);

#endif
