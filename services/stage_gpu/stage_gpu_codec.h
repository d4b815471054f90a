/* Between the wire and the vocabulary: what a validated record holds, and what a staged one says. */
#ifndef STAGE_GPU_CODEC_H
#define STAGE_GPU_CODEC_H

#include "millrace/arena.h"
#include "millrace/batch.h"
#include "millrace/stage.h"
#include "stage_gpu.h"

/* One tensor's bytes: in the record, or a copy in the store. */
struct stage_gpu_source {
    bool in_store;
    struct mr_bytes inline_bytes; /* not in_store; views of the record */
    const char *key;              /* in_store */
    uint64_t size;
    struct mr_sha256 sha256; /* in_store */
};

/* A validated record. Views live as long as the record; texts as long as the memory it was read into. */
struct stage_gpu_record {
    enum stage_gpu_body body;
    const char *flaw; /* UNREADABLE: what is wrong, static storage */
    const char *run_id, *batch_id;
    struct mr_batch_shape shape;
    Millrace__Batch__V1__Precision precision;
    struct stage_gpu_source source[MR_BATCH_TENSORS_MAX];
    bool in_store; /* any of them */
};

/* What cannot be read is UNREADABLE. FATAL "out_of_memory" alone. */
MR_MUST_USE struct mr_error stage_gpu_codec_read(struct mr_bytes validated, struct mr_arena *memory,
                                                 struct stage_gpu_record *ret_record);

/* The value of batches.staged, in `memory`. `lease` NULL: staged without one. FATAL "out_of_memory". */
MR_MUST_USE struct mr_error stage_gpu_codec_write_inline(const struct mr_stage_stamp *stamp, uint64_t validated_offset,
                                                         struct mr_bytes validated, struct mr_arena *memory,
                                                         struct mr_bytes *ret_value);
MR_MUST_USE struct mr_error stage_gpu_codec_write_leased(const struct mr_stage_stamp *stamp, uint64_t validated_offset,
                                                         const struct stage_gpu_record *record,
                                                         const struct mr_lease *lease, struct mr_arena *memory,
                                                         struct mr_bytes *ret_value);

#endif
