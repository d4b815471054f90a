/* The versions of a model as event files for TensorBoard. */
#ifndef CLI_TENSORBOARD_LOG_H
#define CLI_TENSORBOARD_LOG_H

#include "millrace/versions.h"

struct cli_tensorboard_log {
    uint64_t versions;
    uint64_t collected; /* of them, without payload by GC, and so without weights */
    uint64_t files;
};

/*
 * Walks the chain and writes under `folder`, which it makes with those above it:
 *
 *   <model>/<run>/events.out.tfevents.<counter>.millrace   versions of a run at their steps, from that counter on
 *   <model>/events.out.tfevents.0000000000.millrace        how many versions there are, and on which day (UTC)
 *
 * Everything in them is a function of what the store holds, times too: they are event times. Each file takes its place,
 * over an earlier one, when it is whole. Memory: one version with its checkpoint, and 16 bytes for each day that has
 * versions; the chain lies in a temporary file meanwhile.
 *
 * Errors: those of reading (versions.h); REJECT "bad_checkpoint": a payload that is what was committed and no
 * checkpoint; FATAL "not_written". What was whole before stays.
 */
MR_MUST_USE struct mr_error cli_tensorboard_log(struct mr_store *store, const char *model_id, const char *folder,
                                                bool metadata_only, struct cli_tensorboard_log *ret_log);

#endif
