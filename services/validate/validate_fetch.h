/* A batch's claims, on a worker thread: read, verified against size, SHA-256 and the run's spec, and copied under the
 * model. It shares nothing with the loop but the store, which is thread-safe. */
#ifndef VALIDATE_FETCH_H
#define VALIDATE_FETCH_H

#include "millrace/store.h"
#include "validate_codec.h"

struct validate_source {
    char path[MR_FILE_PATH_SIZE]; /* of a claim; "": the bytes were inline and are there already */
    struct mr_sha256 hash;        /* of a claim: what it says */
    struct mr_buffer bytes;       /* what was read */
    char key[VALIDATE_KEY_SIZE];
};

/* What came of it. */
struct validate_fetch_result {
    enum validate_fetched outcome;
    struct validate_place place;
    char detail[MR_ERROR_DETAIL_MAX];
};

struct validate_fetch {
    struct mr_store *store;
    struct mr_run_spec spec;
    struct mr_batch_shape shape;
    struct validate_precision precision;
    struct validate_source source[MR_BATCH_TENSORS_MAX];
    struct validate_fetch_result result;
};

/* Copies out of the record and inspection all that the worker needs; the facts were that its claims can be fetched.
 * TRANSIENT "out_of_memory": the fetch is then empty. */
MR_MUST_USE struct mr_error validate_fetch_init(struct validate_fetch *fetch, struct mr_store *store,
                                                const char *model_id, const struct mr_run_spec *spec,
                                                const struct validate_inspection *inspection,
                                                struct validate_precision precision);
/* Blocks. Fills fetch->result; the payload's bytes are gone afterwards. */
void validate_fetch_run(struct validate_fetch *fetch);
void validate_fetch_deinit(struct validate_fetch *fetch);

#endif
