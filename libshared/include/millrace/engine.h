/*
 * An engine trains: a table behind which kernels are swapped. State after a batch is a function of state and batch
 * alone, bit for bit the same for every engine, instruction set and thread count of one arithmetic profile.
 */
#ifndef MR_ENGINE_H
#define MR_ENGINE_H

#include "millrace/base.h"
#include "millrace/batch.h"
#include "millrace/checkpoint.h"
#include "millrace/spec.h"

enum { MR_ENGINE_THREADS_MAX = 64 };

struct mr_engine_options {
    const char *device; /* "cpu"; there is no default */
    uint32_t threads;   /* 1 to MR_ENGINE_THREADS_MAX */
    const char *isa;    /* NULL: the best that this machine has; or a name that mr_engine_isa can return */
};

enum mr_diverged_reason {
    MR_DIVERGED_LOSS = 1, /* what was not finite */
    MR_DIVERGED_GRADIENT,
    MR_DIVERGED_WEIGHT,
};
/* "loss", "gradient", "weight". */
const char *mr_diverged_reason_text(enum mr_diverged_reason reason);

/* What one step did. After a divergence the model is as it was before the step. */
struct mr_step_outcome {
    bool diverged;
    enum mr_diverged_reason reason; /* if diverged */
    float loss, gradient_norm, learning_rate;
    uint64_t rows;
    uint64_t step, samples; /* the model's, after the step */
};

struct mr_engine; /* threads and device; calls on it and its models may come from any thread and take turns */
struct mr_model;  /* the state of one run on the device; freed before its engine is closed */

struct mr_engine_ops {
    const char *name; /* of the device kind: "cpu" */
    MR_MUST_USE struct mr_error (*open)(const struct mr_engine_options *options, struct mr_engine **ret_engine);
    const char *(*isa)(const struct mr_engine *engine);
    /* The first state of a run with a checked spec (mr_checkpoint_begin). */
    MR_MUST_USE struct mr_error (*model_new)(struct mr_engine *engine, const struct mr_run_spec *spec,
                                             struct mr_model **ret_model);
    /* Continues from a checkpoint; ids and hashes in it are not the engine's business. */
    MR_MUST_USE struct mr_error (*model_load)(struct mr_engine *engine, const struct mr_checkpoint *checkpoint,
                                              struct mr_model **ret_model);
    void (*model_free)(struct mr_model *model);
    /* One step over a batch of at least one row. REJECT "batch_kind" when it is not of the model's job; an error
     * leaves the model as it was. Divergence is an outcome, not an error. */
    MR_MUST_USE struct mr_error (*step)(struct mr_model *model, const struct mr_batch *batch,
                                        struct mr_step_outcome *ret_outcome);
    /* Whether a step over that many rows takes no longer than handing it to another thread would: tens of microseconds.
     * Such a step waits for no other model's, so that a loop may run it itself. */
    bool (*step_is_short)(const struct mr_model *model, uint64_t rows);
    /* A host copy of spec, step, samples, weights, moments and powers that another thread may encode while the model
     * steps on. The caller deinits it. */
    MR_MUST_USE struct mr_error (*snapshot)(struct mr_model *model, struct mr_checkpoint *ret_checkpoint);
    void (*close)(struct mr_engine *engine);
};

/* The table for a device name: "cpu". REJECT "device_unavailable" for "cuda:N" while there is no plug-in for it, and
 * "bad_device" for any other text. Both say what to write instead. */
MR_MUST_USE struct mr_error mr_engine_select(const char *device, const struct mr_engine_ops **ret_ops);

#endif
