/* The state of a model on the host, and its bytes: equal states, equal bytes (rule C1). */
#ifndef MR_CHECKPOINT_H
#define MR_CHECKPOINT_H

#include "millrace/base.h"
#include "millrace/hash.h"
#include "millrace/spec.h"

/* Owner of three arrays of `parameters` floats each, laid out as in millrace/network.h. Zeroed memory is an empty one
 * that mr_checkpoint_deinit accepts. An engine fills spec, step, samples, weights, moments and powers; the fold fills
 * the ids, previous, applied and run_closed. */
struct mr_checkpoint {
    char model_id[MR_ID_SIZE], run_id[MR_ID_SIZE];
    bool has_previous;
    struct mr_sha256 previous; /* if has_previous: the content hash of the checkpoint before this one */
    struct mr_run_spec spec;
    uint64_t step, applied, samples;
    bool run_closed;
    uint64_t parameters;
    float *weights, *first, *second;
    float beta1_power, beta2_power; /* beta^t by repeated multiplication; 1 before the first step */
};

/* Allocates the arrays (zeroed) for `spec` and copies it; all else is zero, the powers are 1. */
MR_MUST_USE struct mr_error mr_checkpoint_init(struct mr_checkpoint *checkpoint, const struct mr_run_spec *spec);
void mr_checkpoint_deinit(struct mr_checkpoint *checkpoint);
MR_MUST_USE struct mr_error mr_checkpoint_copy(const struct mr_checkpoint *checkpoint, struct mr_checkpoint *ret_copy);

/* Fills the weights as a run begins: Xavier uniform by spec.init_seed, zero biases. */
void mr_checkpoint_begin(struct mr_checkpoint *checkpoint);

/* The state in which a run with `spec` begins from an earlier version: its weights, moments and powers; step and
 * samples 0, no ids. REJECT "restart_mismatch" when the networks differ, naming what differs. */
MR_MUST_USE struct mr_error mr_checkpoint_restart(const struct mr_checkpoint *earlier, const struct mr_run_spec *spec,
                                                  struct mr_checkpoint *ret_checkpoint);

/* Appends the bytes of checkpoint.pb. Their SHA-256 is the content hash. */
MR_MUST_USE struct mr_error mr_checkpoint_encode(const struct mr_checkpoint *checkpoint, struct mr_buffer *buffer);
/* Total over any bytes: REJECT "bad_checkpoint" with what is wrong. Only canonical bytes are accepted. Checks the spec
 * as mr_run_spec_decode does, names and shapes against it, and that every number is finite. */
MR_MUST_USE struct mr_error mr_checkpoint_decode(struct mr_bytes bytes, struct mr_checkpoint *ret_checkpoint);

#endif
