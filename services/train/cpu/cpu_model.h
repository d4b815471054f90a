/* A run's state in memory: three pairs of arrays, so that a step that diverges leaves the state as it was. */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include <pthread.h>

#include "cpu_kernels.h"
#include "cpu_pool.h"
#include "millrace/engine.h"

struct mr_engine {
    pthread_mutex_t mutex; /* steps that use the pool take turns */
    struct cpu_pool *pool;
    uint32_t threads;
    const struct cpu_kernels *kernels;
};

struct cpu_state {
    float *weights, *first, *second; /* one allocation, owned by `weights` */
};

struct mr_model {
    struct mr_engine *engine;
    pthread_mutex_t mutex; /* calls on one model take turns */
    struct cpu_job job;
    struct cpu_state now, next;
    float *transposed, *gradients, *range_squares;
    struct cpu_room *room; /* one a thread */
    uint64_t step, samples;
    float beta1_power, beta2_power;
};

/* Memory and tables for a spec; the state is zero. Freed with cpu_model_free, also after a failure inside. */
MR_MUST_USE struct mr_error cpu_model_alloc(struct mr_engine *engine, const struct mr_run_spec *spec,
                                            struct mr_model **ret_model);
void cpu_model_free(struct mr_model *model);

/* Whether a step over these rows is too short to be shared among threads. */
bool cpu_model_step_is_short(const struct mr_model *model, uint64_t rows);
/* One step; the model is locked. */
void cpu_model_step(struct mr_model *model, const struct mr_batch *batch, struct mr_step_outcome *ret_outcome);

#endif
