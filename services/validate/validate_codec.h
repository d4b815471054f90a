/* Between the wire and the vocabulary: what an ingested record says as facts, and the record that validate writes. */
#ifndef VALIDATE_CODEC_H
#define VALIDATE_CODEC_H

#include "millrace/batch.h"
#include "millrace/stage.h"
#include "validate.h"

/* A record, read as far as it goes without its run's spec. Lives as long as the arena and the record. */
struct validate_record {
    enum validate_body body;
    const char *model_id, *run_id;
    struct mr_bytes submitted;
    const Millrace__Batch__V1__Batch *batch;    /* BATCH */
    const Millrace__Run__V1__RunStarted *start; /* RUN_STARTED */
    const Millrace__Run__V1__RunStopped *stop;  /* RUN_STOPPED */
};

/* Reads a record of batches.ingested. FATAL "corrupt_record" when it is none that ingest could have written (it is not
 * the user's mistake then), TRANSIENT "out_of_memory" when there is no room for it. */
MR_MUST_USE struct mr_error validate_codec_read(const struct mr_log_record *record, struct mr_arena *arena,
                                                struct validate_record *ret_record);
/* Likewise a record of validate's own output, batches.validated. */
MR_MUST_USE struct mr_error validate_codec_fold(const struct mr_log_record *output, struct mr_arena *arena,
                                                struct validate_record *ret_record);

/* A batch against its run's spec: all that can be said without fetching claims. */
struct validate_inspection {
    struct validate_facts facts;
    struct mr_batch_tensors tensors;
    struct mr_batch_shape shape;     /* if the facts say that it fits */
    struct mr_batch_finding finding; /* in words: where, what was expected, what was found */
};
/* `run` is OPEN; facts.body and facts.run are set too. */
void validate_codec_inspect(const struct validate_record *record, const struct mr_run_spec *spec,
                            const struct mr_batch_limits *limits, struct validate_inspection *ret_inspection);

/* The values of a batch, once all its bytes are there. */
enum validate_values validate_codec_values(const struct mr_run_spec *spec, const struct mr_batch_shape *shape,
                                           struct validate_precision precision,
                                           const struct mr_bytes payloads[MR_BATCH_TENSORS_MAX],
                                           struct mr_batch_finding *ret_finding);
struct validate_place validate_codec_place(const struct mr_batch_finding *finding);

/* What the spec wants of types. */
enum validate_policy validate_codec_policy(const struct mr_run_spec *spec);

enum { VALIDATE_KEY_SIZE = MR_ID_SIZE + sizeof "/payloads/" + MR_SHA256_TEXT_SIZE };
/* <model>/payloads/<sha256> */
void validate_codec_payload_key(const char *model_id, const struct mr_sha256 *hash, char ret_key[VALIDATE_KEY_SIZE]);

/* The value of batches.validated, in the arena: the submitted bytes unchanged, and where the claims of a batch were
 * copied to. */
MR_MUST_USE struct mr_error validate_codec_write(const struct mr_stage_stamp *stamp,
                                                 const struct validate_record *record,
                                                 struct validate_precision precision, struct mr_arena *arena,
                                                 struct mr_bytes *ret_value);

#endif
