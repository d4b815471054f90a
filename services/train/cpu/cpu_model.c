/* Memory and tables of a model. */
#include "cpu_model.h"

#include <stdlib.h>
#include <string.h>

static bool alloc_floats(uint64_t count, float **ret_floats)
{
    *ret_floats = calloc(count, sizeof(float));
    return *ret_floats != NULL;
}

static bool alloc_state(uint64_t parameters, struct cpu_state *ret_state)
{
    if (!alloc_floats(3 * parameters, &ret_state->weights)) {
        return false;
    }
    ret_state->first = ret_state->weights + parameters;
    ret_state->second = ret_state->weights + 2 * parameters;
    return true;
}

/* ---- Tables ------------------------------------------------------------------------------------------------ */

/* e^(-w_j^2/2) and e^(-w_j^2/4), with w_j = j pi/(2c). */
static void fill_envelope(const struct mr_pricing_job *job, struct cpu_job *ret_job)
{
    const float step = 0x1.921fb6p+0f / job->characteristic_function.width;
    for (uint32_t j = 0; j < ret_job->outputs; j++) {
        const float w = (float)j * step;
        ret_job->envelope_base[j] = mr_exp(-0.5f * (w * w));
        ret_job->envelope_scale[j] = mr_exp(-0.25f * (w * w));
    }
}

/* e^(-2 pi i k/N) */
static void fill_twiddles(struct cpu_job *ret_job)
{
    for (uint32_t k = 0; k < ret_job->outputs / 2; k++) {
        mr_sincos_turns(-((float)k / (float)ret_job->outputs), &ret_job->twiddle_im[k], &ret_job->twiddle_re[k]);
    }
}

static bool has_envelope(const struct mr_run_spec *spec)
{
    return spec->job == MR_JOB_PRICING && spec->pricing.target == MR_TARGET_CHARACTERISTIC_FUNCTION &&
           spec->pricing.characteristic_function.envelope == MR_ENVELOPE_GAUSSIAN;
}

static bool has_fft(const struct mr_run_spec *spec)
{
    return spec->job == MR_JOB_PRICING && spec->pricing.target == MR_TARGET_PAYOFF_FFT;
}

static bool alloc_job(const struct mr_run_spec *spec, struct cpu_job *ret_job)
{
    ret_job->spec = *spec;
    mr_network_plan(spec, &ret_job->network);
    ret_job->outputs = ret_job->network.outputs;
    if (has_envelope(spec)) {
        if (!alloc_floats(ret_job->outputs, &ret_job->envelope_base) ||
            !alloc_floats(ret_job->outputs, &ret_job->envelope_scale)) {
            return false;
        }
        fill_envelope(&spec->pricing, ret_job);
    }
    if (has_fft(spec)) {
        if (!alloc_floats(ret_job->outputs / 2, &ret_job->twiddle_re) ||
            !alloc_floats(ret_job->outputs / 2, &ret_job->twiddle_im)) {
            return false;
        }
        fill_twiddles(ret_job);
    }
    return true;
}

/* ---- Rooms ------------------------------------------------------------------------------------------------- */

/* Hands out parts of one allocation; with no memory it only counts. */
struct cutter {
    float *memory;
    uint64_t used;
};

static float *cut(struct cutter *cutter, uint64_t count)
{
    /* Parts begin at multiples of a cache line. */
    const uint64_t at = cutter->used;
    cutter->used += (count + 15) / 16 * 16;
    return cutter->memory == NULL ? NULL : cutter->memory + at;
}

static struct cpu_tree cut_tree(struct cutter *cutter, size_t width)
{
    return (struct cpu_tree){0, cut(cutter, CPU_CHUNK_LEVELS * width), width};
}

static void cut_room(const struct cpu_job *job, struct cutter *cutter, struct cpu_room *ret_room)
{
    const uint64_t outputs = job->outputs;
    const uint64_t width = job->network.width_max;
    float **const chunks[] = {&ret_room->normals, &ret_room->y,         &ret_room->ratio,      &ret_room->sine,
                              &ret_room->cosine,  &ret_room->turn_sine, &ret_room->turn_cosine};
    for (size_t i = 0; i < MR_COUNT_OF(chunks); i++) {
        /* Apart by more than 4 KiB: equal low address bits of loads and stores would stall each other. */
        *chunks[i] = cut(cutter, job->spec.job == MR_JOB_PRICING ? MR_CHUNK_PATHS + 80 : 0);
    }
    ret_room->sums = cut(cutter, 2 * outputs);
    ret_room->cosine_tree = cut_tree(cutter, outputs);
    ret_room->sine_tree = cut_tree(cutter, outputs);
    ret_room->ratio_tree = cut_tree(cutter, 1);
    ret_room->paths = cut(cutter, has_fft(&job->spec) ? mr_run_spec_paths(&job->spec) : 0);
    ret_room->target_re = cut(cutter, outputs);
    ret_room->target_im = cut(cutter, outputs);
    ret_room->activations = cut(cutter, ((uint64_t)job->network.layers + 1) * 2 * width);
    ret_room->gradient_in = cut(cutter, 2 * width);
    ret_room->gradient_out = cut(cutter, 2 * width);
}

static bool alloc_room(const struct cpu_job *job, struct cpu_room *ret_room)
{
    struct cutter cutter = {NULL, 0};
    void *memory = NULL;
    cut_room(job, &cutter, ret_room);
    const size_t size = cutter.used * sizeof(float);
    if (posix_memalign(&memory, 64, size) != 0) {
        return false;
    }
    memset(memory, 0, size);
    cutter = (struct cutter){memory, 0};
    cut_room(job, &cutter, ret_room);
    ret_room->memory = memory;
    return true;
}

/* ---- The model --------------------------------------------------------------------------------------------- */

static bool alloc_parts(struct mr_model *model, const struct mr_run_spec *spec)
{
    if (!alloc_job(spec, &model->job)) {
        return false;
    }
    const uint64_t parameters = model->job.network.parameters;
    model->room = calloc(model->engine->threads, sizeof *model->room);
    if (model->room == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < model->engine->threads; i++) {
        if (!alloc_room(&model->job, &model->room[i])) {
            return false;
        }
    }
    return alloc_state(parameters, &model->now) && alloc_state(parameters, &model->next) &&
           alloc_floats(parameters, &model->transposed) &&
           alloc_floats(MR_GRADIENT_SHARDS * parameters, &model->gradients) &&
           alloc_floats(parameters / MR_CHUNK_PATHS + 1, &model->range_squares);
}

struct mr_error cpu_model_alloc(struct mr_engine *engine, const struct mr_run_spec *spec, struct mr_model **ret_model)
{
    struct mr_model *model = calloc(1, sizeof *model);
    if (model != NULL) {
        model->engine = engine;
        pthread_mutex_init(&model->mutex, NULL);
        if (alloc_parts(model, spec)) {
            *ret_model = model;
            return mr_ok();
        }
        cpu_model_free(model);
    }
    return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory to train this model");
}

void cpu_model_free(struct mr_model *model)
{
    for (uint32_t i = 0; model->room != NULL && i < model->engine->threads; i++) {
        free(model->room[i].memory);
    }
    free(model->room);
    pthread_mutex_destroy(&model->mutex);
    float *const parts[] = {model->job.envelope_base, model->job.envelope_scale, model->job.twiddle_re,
                            model->job.twiddle_im,    model->now.weights,        model->next.weights,
                            model->transposed,        model->gradients,          model->range_squares};
    for (size_t i = 0; i < MR_COUNT_OF(parts); i++) {
        free(parts[i]);
    }
    free(model);
}
