/* One step's kernels; compiled once per instruction set, with CPU_TABLE and CPU_ISA saying which. */
#include "cpu_kernels.h"

#include <math.h>
#include <string.h>

#include "cpu_backward.h"
#include "cpu_simulate.h"
#include "millrace/layer.h"
#include "millrace/sobol.h"

/* ---- Shards ------------------------------------------------------------------------------------------------ */

static struct mr_row activation_at(const struct cpu_job *job, const struct cpu_room *room, uint32_t layer)
{
    float *re = room->activations + (size_t)layer * 2 * job->network.width_max;
    return (struct mr_row){re, re + job->network.width_max};
}

static void forward(const struct cpu_step *step, const struct cpu_room *room)
{
    for (uint32_t i = 0; i < step->job->network.layers; i++) {
        const struct mr_network_layer *layer = &step->job->network.layer[i];
        const struct mr_row in = activation_at(step->job, room, i);
        const struct mr_row out = activation_at(step->job, room, i + 1);
        mr_layer_forward(layer, step->weights, in, out);
    }
}

/* The row's part of the loss; the gradient of the network's outputs in `gradient`. */
static float compare(const struct cpu_step *step, const struct cpu_room *room, struct mr_row gradient)
{
    const struct cpu_job *job = step->job;
    const struct mr_row output = activation_at(job, room, job->network.layers);
    const float factor = 2.0f / (float)(step->batch->rows * job->outputs);
    float lanes[MR_LANES] = {0};
    for (uint32_t j = 0; j < job->outputs; j++) {
        const float scale = job->envelope_scale == NULL ? 1.0f : job->envelope_scale[j];
        const float base = job->envelope_base == NULL ? 0.0f : job->envelope_base[j];
        const float re = mr_fma(scale, output.re[j], base) - room->target_re[j];
        const float im = scale * output.im[j] - room->target_im[j];
        const float sum = mr_fma(re, re, lanes[j % MR_LANES]);
        lanes[j % MR_LANES] = mr_fma(im, im, sum);
        gradient.re[j] = factor * re * scale;
        gradient.im[j] = factor * im * scale;
    }
    return mr_sum_lanes(lanes);
}

static void backward(const struct cpu_step *step, const struct cpu_room *room, struct mr_row output_gradient,
                     float *gradients)
{
    const struct cpu_job *job = step->job;
    struct mr_row out = output_gradient;
    struct mr_row in = {room->gradient_in, room->gradient_in + job->network.width_max};
    for (uint32_t i = job->network.layers; i-- > 0;) {
        struct cpu_layer_pass pass = {.layer = &job->network.layer[i],
                                      .weights = step->weights,
                                      .transposed = step->transposed,
                                      .input = activation_at(job, room, i),
                                      .out_gradient = out,
                                      .in_gradient = in,
                                      .wants_in_gradient = i > 0};
        pass.gradients = gradients;
        cpu_layer_backward(&pass);
        const struct mr_row spare = out;
        out = in;
        in = spare;
    }
}

/* The row's inputs into the first activation, and its target. */
static void prepare(const struct cpu_step *step, uint64_t row, struct cpu_room *room)
{
    const struct cpu_job *job = step->job;
    const struct mr_batch *batch = step->batch;
    const struct mr_row inputs = activation_at(job, room, 0);
    float contract[MR_CONTRACT_FIELDS];
    memset(inputs.im, 0, job->network.inputs * sizeof(float));
    switch (batch->kind) {
    case MR_BATCH_LABELLED:
        memcpy(inputs.re, batch->features + row * job->network.inputs, job->network.inputs * sizeof(float));
        for (uint32_t j = 0; j < job->outputs; j++) {
            room->target_re[j] = batch->targets[2 * (row * job->outputs + j)];
            room->target_im[j] = batch->targets[2 * (row * job->outputs + j) + 1];
        }
        return;
    case MR_BATCH_CONTRACTS: memcpy(contract, batch->contracts + row * MR_CONTRACT_FIELDS, sizeof contract); break;
    case MR_BATCH_SOBOL: mr_sobol_contract(&job->spec.pricing, batch->sobol_start + row, contract); break;
    }
    mr_network_scale(&job->spec.pricing, contract, inputs.re);
    cpu_simulate(job, contract, step->samples + row, room);
}

static void run_shard(const struct cpu_step *step, uint32_t shard, struct cpu_room *room)
{
    const uint64_t parameters = step->job->network.parameters;
    float *gradients = step->gradients + shard * parameters;
    const struct mr_row gradient = {room->gradient_out, room->gradient_out + step->job->network.width_max};
    float loss = 0.0f;
    memset(gradients, 0, parameters * sizeof(float));
    for (uint64_t row = shard; row < step->batch->rows; row += MR_GRADIENT_SHARDS) {
        prepare(step, row, room);
        forward(step, room);
        loss += compare(step, room, gradient);
        backward(step, room, gradient, gradients);
    }
    step->shard_loss[shard] = loss;
}

/* ---- Update -------------------------------------------------------------------------------------------------- */

static float combine(float *gradients, uint64_t parameters, uint64_t begin, uint64_t end)
{
    float lanes[MR_LANES] = {0};
    for (uint32_t half = MR_GRADIENT_SHARDS / 2; half > 0; half /= 2) {
        for (uint32_t shard = 0; shard < half; shard++) {
            float *restrict left = gradients + shard * parameters;
            const float *restrict right = gradients + (shard + half) * parameters;
            for (uint64_t i = begin; i < end; i++) {
                left[i] += right[i];
            }
        }
    }
    for (uint64_t i = begin; i < end; i++) {
        lanes[(i - begin) % MR_LANES] = mr_fma(gradients[i], gradients[i], lanes[(i - begin) % MR_LANES]);
    }
    return mr_sum_lanes(lanes);
}

/* Rule A3: moments too small to matter become +0, so that no machine meets denormals for long. */
static inline float moment(float x)
{
    return x < 0x1p-100f && x > -0x1p-100f ? 0.0f : x;
}

static bool update(const struct cpu_update *u, uint64_t begin, uint64_t end)
{
    const float *restrict gradient = u->gradient;
    const float *restrict weights = u->weights;
    const float *restrict first = u->first;
    const float *restrict second = u->second;
    float *restrict new_weights = u->new_weights;
    float *restrict new_first = u->new_first;
    float *restrict new_second = u->new_second;
    const struct cpu_update c = *u;
    uint32_t broken = 0;
    for (uint64_t i = begin; i < end; i++) {
        const float g = gradient[i] * c.clip_scale;
        const float m = moment(mr_fma(c.beta1, first[i], (1.0f - c.beta1) * g));
        const float v = moment(mr_fma(c.beta2, second[i], (1.0f - c.beta2) * g * g));
        const float direction = (m / c.correction1) / (mr_sqrt(v / c.correction2) + c.epsilon);
        const float decayed = mr_fma(-c.decay, weights[i], weights[i]);
        const float w = mr_fma(-c.rate, direction, decayed);
        new_weights[i] = w;
        new_first[i] = m;
        new_second[i] = v;
        /* An exponent of all ones is infinity or NaN. */
        broken |= (uint32_t)((mr_bits_of(w) & 0x7f800000u) == 0x7f800000u) |
                  (uint32_t)((mr_bits_of(m) & 0x7f800000u) == 0x7f800000u) |
                  (uint32_t)((mr_bits_of(v) & 0x7f800000u) == 0x7f800000u);
    }
    return broken == 0;
}

static void transpose(const struct mr_network_layer *layer, const float *weights, float *ret_transposed)
{
    const uint64_t matrices[2] = {layer->weight_re, layer->weight_im};
    for (uint32_t part = 0; part < 2; part++) {
        const float *restrict from = weights + matrices[part];
        float *restrict to = ret_transposed + matrices[part];
        for (uint32_t o = 0; o < layer->out; o++) {
            for (uint32_t k = 0; k < layer->in; k++) {
                to[(size_t)o * layer->in + k] = from[(size_t)k * layer->out + o];
            }
        }
    }
}

const struct cpu_kernels CPU_TABLE = {CPU_ISA, run_shard, combine, update, transpose};
