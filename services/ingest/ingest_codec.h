/* Between the wire and the vocabulary: what a record says as facts, and the record that ingest writes. */
#ifndef INGEST_CODEC_H
#define INGEST_CODEC_H

#include "ingest.h"
#include "millrace/message.h"
#include "millrace/stage.h"

enum { INGEST_REPLAY_ID_SIZE = 65 };

struct ingest_limits {
    uint64_t max_record_bytes; /* of value and headers */
    uint64_t max_inline_bytes; /* of a batch's inline payload, all tensors together */
    uint32_t partitions;
};

/* A record's facts, and the names that they are about. */
struct ingest_record {
    struct ingest_facts facts;
    /* "" where there is none, or none that is valid. */
    char model_id[MR_ID_SIZE], run_id[MR_ID_SIZE], producer_id[MR_ID_SIZE];
    char replay_of[INGEST_REPLAY_ID_SIZE];
    struct mr_field_fault fault; /* where a body, id, spec, payload or outcome is wrong */
    uint64_t record_bytes, inline_bytes;
    uint32_t partition_expected; /* of the key */
};

/* Reads a submitted record. Whatever a user sent is a fact; the only failure is FATAL "out_of_memory". */
MR_MUST_USE struct mr_error ingest_codec_read(const struct mr_log_record *record, const struct ingest_limits *limits,
                                              struct mr_arena *arena, struct ingest_record *ret_record);

/* Reads a record of ingest's own output: one that was accepted. FATAL when it is none. */
MR_MUST_USE struct mr_error ingest_codec_fold(const struct mr_log_record *output, struct mr_arena *arena,
                                              struct ingest_record *ret_record);

/* The value of batches.ingested, in the arena. The bytes and headers of `submitted` stay as they are. */
MR_MUST_USE struct mr_error ingest_codec_write(const struct mr_stage_stamp *stamp,
                                               const struct mr_log_record *submitted, const char *replay_of,
                                               struct mr_arena *arena, struct mr_bytes *ret_value);

#endif
