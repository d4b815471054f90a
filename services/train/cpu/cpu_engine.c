/* The table of the CPU engine, and the choice of its instruction set. */
#include <stdlib.h>
#include <string.h>

#include "cpu_model.h"

static bool kernels_usable(const struct cpu_kernels *kernels)
{
#ifdef CPU_HAS_FMA3
    if (kernels == &cpu_kernels_fma3) {
        return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
    }
#endif
    return kernels == &cpu_kernels_baseline;
}

/* The best first. */
static const struct cpu_kernels *const all_kernels[] = {
#ifdef CPU_HAS_FMA3
    &cpu_kernels_fma3,
#endif
    &cpu_kernels_baseline,
};

static struct mr_error choose_kernels(const char *isa, const struct cpu_kernels **ret_kernels)
{
    for (size_t i = 0; i < MR_COUNT_OF(all_kernels); i++) {
        const bool wanted = isa == NULL || strcmp(isa, all_kernels[i]->isa) == 0;
        if (wanted && kernels_usable(all_kernels[i])) {
            *ret_kernels = all_kernels[i];
            return mr_ok();
        }
    }
    return mr_error_make(MR_ERROR_REJECT, "isa_unavailable", 0,
                         "this machine or build has no engine variant \"%s\"; leave it out to take the best", isa);
}

static struct mr_error engine_open(const struct mr_engine_options *options, struct mr_engine **ret_engine)
{
    const struct mr_engine_ops *ops;
    const struct cpu_kernels *kernels = NULL;
    struct cpu_pool *pool = NULL;
    MR_TRY(mr_engine_select(options->device, &ops));
    if (options->threads < 1 || options->threads > MR_ENGINE_THREADS_MAX) {
        return mr_error_make(MR_ERROR_REJECT, "bad_threads", 0, "%u threads: give 1 to %d", (unsigned)options->threads,
                             MR_ENGINE_THREADS_MAX);
    }
    MR_TRY(choose_kernels(options->isa, &kernels));
    MR_TRY(cpu_pool_open(options->threads, &pool));
    struct mr_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        cpu_pool_close(pool);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for an engine");
    }
    pthread_mutex_init(&engine->mutex, NULL);
    engine->pool = pool;
    engine->threads = options->threads;
    engine->kernels = kernels;
    *ret_engine = engine;
    return mr_ok();
}

static void engine_close(struct mr_engine *engine)
{
    cpu_pool_close(engine->pool);
    pthread_mutex_destroy(&engine->mutex);
    free(engine);
}

static const char *engine_isa(const struct mr_engine *engine)
{
    return engine->kernels->isa;
}

static struct mr_error model_load(struct mr_engine *engine, const struct mr_checkpoint *checkpoint,
                                  struct mr_model **ret_model)
{
    struct mr_model *model = NULL;
    MR_TRY(cpu_model_alloc(engine, &checkpoint->spec, &model));
    const size_t size = checkpoint->parameters * sizeof(float);
    memcpy(model->now.weights, checkpoint->weights, size);
    memcpy(model->now.first, checkpoint->first, size);
    memcpy(model->now.second, checkpoint->second, size);
    model->step = checkpoint->step;
    model->samples = checkpoint->samples;
    model->beta1_power = checkpoint->beta1_power;
    model->beta2_power = checkpoint->beta2_power;
    *ret_model = model;
    return mr_ok();
}

static struct mr_error model_new(struct mr_engine *engine, const struct mr_run_spec *spec, struct mr_model **ret_model)
{
    struct mr_checkpoint checkpoint = {0};
    MR_TRY(mr_checkpoint_init(&checkpoint, spec));
    mr_checkpoint_begin(&checkpoint);
    const struct mr_error error = model_load(engine, &checkpoint, ret_model);
    mr_checkpoint_deinit(&checkpoint);
    return error;
}

static struct mr_error model_step(struct mr_model *model, const struct mr_batch *batch,
                                  struct mr_step_outcome *ret_outcome)
{
    const bool labelled = batch->kind == MR_BATCH_LABELLED;
    if (labelled != (model->job.spec.job == MR_JOB_LABELLED)) {
        return mr_error_make(MR_ERROR_REJECT, "batch_kind", 0, "a %s batch for a %s model",
                             labelled ? "labelled" : "pricing", labelled ? "pricing" : "labelled");
    }
    if (batch->rows == 0) {
        return mr_error_make(MR_ERROR_REJECT, "batch_empty", 0, "a step needs at least one row");
    }
    pthread_mutex_lock(&model->mutex);
    cpu_model_step(model, batch, ret_outcome);
    pthread_mutex_unlock(&model->mutex);
    return mr_ok();
}

static struct mr_error model_snapshot(struct mr_model *model, struct mr_checkpoint *ret_checkpoint)
{
    struct mr_checkpoint checkpoint = {0};
    MR_TRY(mr_checkpoint_init(&checkpoint, &model->job.spec));
    const size_t size = checkpoint.parameters * sizeof(float);
    pthread_mutex_lock(&model->mutex);
    memcpy(checkpoint.weights, model->now.weights, size);
    memcpy(checkpoint.first, model->now.first, size);
    memcpy(checkpoint.second, model->now.second, size);
    checkpoint.step = model->step;
    checkpoint.samples = model->samples;
    checkpoint.beta1_power = model->beta1_power;
    checkpoint.beta2_power = model->beta2_power;
    pthread_mutex_unlock(&model->mutex);
    *ret_checkpoint = checkpoint;
    return mr_ok();
}

static const struct mr_engine_ops cpu_ops = {
    .name = "cpu",
    .open = engine_open,
    .isa = engine_isa,
    .model_new = model_new,
    .model_load = model_load,
    .model_free = cpu_model_free,
    .step = model_step,
    .step_is_short = cpu_model_step_is_short,
    .snapshot = model_snapshot,
    .close = engine_close,
};

struct mr_error mr_engine_select(const char *device, const struct mr_engine_ops **ret_ops)
{
    if (strcmp(device, "cpu") == 0) {
        *ret_ops = &cpu_ops;
        return mr_ok();
    }
    if (strncmp(device, "cuda:", 5) == 0 && device[5] != '\0' &&
        strspn(device + 5, "0123456789") == strlen(device + 5)) {
        return mr_error_make(MR_ERROR_REJECT, "device_unavailable", 0,
                             "device \"%.20s\": this build has no CUDA engine; use \"cpu\"", device);
    }
    return mr_error_make(MR_ERROR_REJECT, "bad_device", 0, "device \"%.20s\": expected \"cpu\" or \"cuda:N\"", device);
}

const char *mr_diverged_reason_text(enum mr_diverged_reason reason)
{
    switch (reason) {
    case MR_DIVERGED_LOSS: return "loss";
    case MR_DIVERGED_GRADIENT: return "gradient";
    case MR_DIVERGED_WEIGHT: return "weight";
    }
    mr_unreachable(__func__);
}
