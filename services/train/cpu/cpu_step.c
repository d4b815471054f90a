/* One step over the pool: shards, gradient tree, clipping, Adam; what is not finite leaves the state as it was. */
#include <math.h>

#include "cpu_model.h"
#include "millrace/schedule.h"

struct step_context {
    struct mr_model *model;
    bool is_short;
    struct cpu_step step;
    struct cpu_update update;
};

/* Products of a step that are done sooner than another thread has woken up. */
enum { SHORT_STEP_PRODUCTS = 1 << 16 };

bool cpu_model_step_is_short(const struct mr_model *model, uint64_t rows)
{
    const struct cpu_job *job = &model->job;
    const bool simulates = job->spec.job == MR_JOB_PRICING;
    const uint64_t of_row = job->network.parameters + (simulates ? mr_run_spec_paths(&job->spec) * job->outputs : 0);
    return of_row <= SHORT_STEP_PRODUCTS && rows <= SHORT_STEP_PRODUCTS / (of_row + 1);
}

static uint64_t ranges_of(uint64_t parameters)
{
    return (parameters + MR_CHUNK_PATHS - 1) / MR_CHUNK_PATHS;
}

static uint64_t range_end(uint64_t range, uint64_t parameters)
{
    const uint64_t end = (range + 1) * MR_CHUNK_PATHS;
    return end < parameters ? end : parameters;
}

static void transpose_item(void *context, uint64_t index, uint32_t thread)
{
    const struct step_context *c = context;
    struct mr_model *model = c->model;
    const struct mr_network_layer *layer = &model->job.network.layer[index];
    (void)thread;
    /* The first layer's inputs want no gradient. */
    if (index > 0 && layer->kind == MR_LAYER_LINEAR) {
        model->engine->kernels->transpose(layer, model->now.weights, model->transposed);
    }
}

static void shard_item(void *context, uint64_t index, uint32_t thread)
{
    const struct step_context *c = context;
    c->model->engine->kernels->shard(&c->step, (uint32_t)index, &c->model->room[thread]);
}

static void combine_item(void *context, uint64_t index, uint32_t thread)
{
    const struct step_context *c = context;
    struct mr_model *model = c->model;
    const uint64_t parameters = model->job.network.parameters;
    (void)thread;
    model->range_squares[index] = model->engine->kernels->combine(model->gradients, parameters, index * MR_CHUNK_PATHS,
                                                                  range_end(index, parameters));
}

static void update_item(void *context, uint64_t index, uint32_t thread)
{
    const struct step_context *c = context;
    struct mr_model *model = c->model;
    (void)thread;
    const bool finite = model->engine->kernels->update(&c->update, index * MR_CHUNK_PATHS,
                                                       range_end(index, model->job.network.parameters));
    /* The range's sum has been used: it now says whether the range is good. */
    model->range_squares[index] = finite ? 0.0f : 1.0f;
}

static float combined_loss(const struct mr_model *model, float shard_loss[MR_GRADIENT_SHARDS], uint64_t rows)
{
    for (uint32_t half = MR_GRADIENT_SHARDS / 2; half > 0; half /= 2) {
        for (uint32_t shard = 0; shard < half; shard++) {
            shard_loss[shard] += shard_loss[shard + half];
        }
    }
    return shard_loss[0] / (float)(rows * model->job.outputs);
}

/* The root of the sum of squares, ranges by the pairwise tree. */
static float gradient_norm(const struct mr_model *model, uint64_t ranges)
{
    float levels[CPU_CHUNK_LEVELS];
    struct cpu_tree tree = {0, levels, 1};
    for (uint64_t i = 0; i < ranges; i++) {
        cpu_tree_add(&tree, &model->range_squares[i]);
    }
    return mr_sqrt(*cpu_tree_total(&tree));
}

static struct cpu_update update_of(const struct mr_model *model, float norm, float rate)
{
    const struct mr_optimiser_spec *optimiser = &model->job.spec.optimiser;
    return (struct cpu_update){
        .gradient = model->gradients,
        .weights = model->now.weights,
        .first = model->now.first,
        .second = model->now.second,
        .new_weights = model->next.weights,
        .new_first = model->next.first,
        .new_second = model->next.second,
        .beta1 = optimiser->beta1,
        .beta2 = optimiser->beta2,
        .epsilon = optimiser->epsilon,
        .decay = rate * optimiser->weight_decay,
        .rate = rate,
        .clip_scale = optimiser->clip_norm > 0.0f && norm > optimiser->clip_norm ? optimiser->clip_norm / norm : 1.0f,
        .correction1 = 1.0f - model->beta1_power * optimiser->beta1,
        .correction2 = 1.0f - model->beta2_power * optimiser->beta2,
    };
}

static bool weights_finite(const struct mr_model *model, uint64_t ranges)
{
    for (uint64_t i = 0; i < ranges; i++) {
        if (model->range_squares[i] != 0.0f) {
            return false;
        }
    }
    return true;
}

static void keep(struct mr_model *model, uint64_t rows)
{
    const struct cpu_state old = model->now;
    model->now = model->next;
    model->next = old;
    model->beta1_power *= model->job.spec.optimiser.beta1;
    model->beta2_power *= model->job.spec.optimiser.beta2;
    model->step += 1;
    model->samples += rows;
}

/* True, and says why, when `value` is not finite. */
static bool diverges(bool finite, enum mr_diverged_reason reason, struct mr_step_outcome *outcome)
{
    if (!finite) {
        outcome->diverged = true;
        outcome->reason = reason;
    }
    return !finite;
}

/* A loop of the step, over the pool unless the step is short. */
static void run(struct step_context *context, void (*item)(void *context, uint64_t index, uint32_t thread),
                uint64_t items)
{
    if (!context->is_short) {
        cpu_pool_run(context->model->engine->pool, item, context, items);
        return;
    }
    for (uint64_t i = 0; i < items; i++) {
        item(context, i, 0);
    }
}

static void step(struct mr_model *model, const struct mr_batch *batch, bool is_short,
                 struct mr_step_outcome *ret_outcome)
{
    const struct mr_network *network = &model->job.network;
    const uint64_t ranges = ranges_of(network->parameters);
    float shard_loss[MR_GRADIENT_SHARDS];
    struct step_context context = {
        .model = model,
        .is_short = is_short,
        .step = {&model->job, batch, model->samples, model->now.weights, model->transposed, model->gradients,
                 shard_loss},
    };
    run(&context, transpose_item, network->layers);
    run(&context, shard_item, MR_GRADIENT_SHARDS);
    run(&context, combine_item, ranges);
    struct mr_step_outcome outcome = {.loss = combined_loss(model, shard_loss, batch->rows),
                                      .gradient_norm = gradient_norm(model, ranges),
                                      .learning_rate = mr_schedule_rate(&model->job.spec.schedule, model->step + 1),
                                      .rows = batch->rows};
    if (!diverges(isfinite(outcome.loss), MR_DIVERGED_LOSS, &outcome) &&
        !diverges(isfinite(outcome.gradient_norm), MR_DIVERGED_GRADIENT, &outcome)) {
        context.update = update_of(model, outcome.gradient_norm, outcome.learning_rate);
        run(&context, update_item, ranges);
        if (!diverges(weights_finite(model, ranges), MR_DIVERGED_WEIGHT, &outcome)) {
            keep(model, batch->rows);
        }
    }
    outcome.step = model->step;
    outcome.samples = model->samples;
    *ret_outcome = outcome;
}

void cpu_model_step(struct mr_model *model, const struct mr_batch *batch, struct mr_step_outcome *ret_outcome)
{
    const bool is_short = cpu_model_step_is_short(model, batch->rows);
    if (!is_short) {
        pthread_mutex_lock(&model->engine->mutex);
    }
    step(model, batch, is_short, ret_outcome);
    if (!is_short) {
        pthread_mutex_unlock(&model->engine->mutex);
    }
}
