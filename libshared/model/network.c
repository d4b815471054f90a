/* The plan of a network, its inputs and its forward pass. */
#include "millrace/network.h"

#include <stdio.h>
#include <string.h>

#include "millrace/layer.h"

/* The next tensor of the plan; returns where it begins. */
static uint64_t add_tensor(struct mr_network *network, const char *layer, const char *part, uint64_t rows,
                           uint64_t columns)
{
    struct mr_tensor_place *place = &network->tensor[network->tensors++];
    snprintf(place->name, sizeof place->name, "%s.%s", layer, part);
    place->dimensions = rows == 0 ? 1 : 2;
    place->shape[0] = rows == 0 ? columns : rows;
    place->shape[1] = rows == 0 ? 0 : columns;
    place->at = network->parameters;
    place->size = rows == 0 ? columns : rows * columns;
    network->parameters += place->size;
    return place->at;
}

static void add_linear(struct mr_network *network, const char *name, uint32_t in, uint32_t out)
{
    struct mr_network_layer *layer = &network->layer[network->layers++];
    layer->kind = MR_LAYER_LINEAR;
    layer->in = in;
    layer->out = out;
    layer->weight_re = add_tensor(network, name, "weight_re", in, out);
    layer->weight_im = add_tensor(network, name, "weight_im", in, out);
    layer->bias_re = add_tensor(network, name, "bias_re", 0, out);
    layer->bias_im = add_tensor(network, name, "bias_im", 0, out);
    network->width_max = out > network->width_max ? out : network->width_max;
}

static void add_activation(struct mr_network *network, const char *name, enum mr_activation activation, uint32_t width)
{
    struct mr_network_layer *layer = &network->layer[network->layers++];
    layer->kind = MR_LAYER_ACTIVATION;
    layer->activation = activation;
    layer->in = width;
    layer->out = width;
    if (activation == MR_ACTIVATION_MODRELU) {
        layer->bias_re = add_tensor(network, name, "bias", 0, width);
    }
}

void mr_network_plan(const struct mr_run_spec *spec, struct mr_network *ret_network)
{
    struct mr_network *network = ret_network;
    memset(network, 0, sizeof *network);
    network->inputs = mr_run_spec_inputs(spec);
    network->outputs = mr_run_spec_outputs(spec);
    network->width_max = network->inputs;
    uint32_t width = network->inputs;
    for (uint32_t i = 0; i < spec->layers; i++) {
        char name[MR_TENSOR_NAME_SIZE / 2];
        snprintf(name, sizeof name, "layers.%u", (unsigned)i);
        switch (spec->layer[i].kind) {
        case MR_LAYER_LINEAR:
            add_linear(network, name, width, spec->layer[i].width);
            width = spec->layer[i].width;
            break;
        case MR_LAYER_ACTIVATION: add_activation(network, name, spec->layer[i].activation, width); break;
        }
    }
    add_linear(network, "output", width, network->outputs);
}

void mr_network_scale(const struct mr_pricing_job *job, const float contract[MR_CONTRACT_FIELDS], float *ret_inputs)
{
    for (uint32_t i = 0; i < job->inputs; i++) {
        const struct mr_bound bound = job->domain[job->input[i]];
        const float scale = 2.0f / (bound.upper - bound.lower);
        ret_inputs[i] = mr_fma(contract[job->input[i]] - bound.lower, scale, -1.0f);
    }
}

size_t mr_network_scratch(const struct mr_network *network)
{
    return 4 * (size_t)network->width_max;
}

void mr_network_forward(const struct mr_network *network, const float *weights, const float *inputs, float *scratch,
                        float *ret_re, float *ret_im)
{
    const size_t width = network->width_max;
    struct mr_row in;
    struct mr_row out;
    in.re = scratch;
    in.im = scratch + width;
    out.re = scratch + 2 * width;
    out.im = scratch + 3 * width;
    memcpy(in.re, inputs, network->inputs * sizeof *inputs);
    memset(in.im, 0, network->inputs * sizeof *inputs);
    for (uint32_t i = 0; i < network->layers; i++) {
        mr_layer_forward(&network->layer[i], weights, in, out);
        const struct mr_row spare = in;
        in = out;
        out = spare;
    }
    memcpy(ret_re, in.re, network->outputs * sizeof *ret_re);
    memcpy(ret_im, in.im, network->outputs * sizeof *ret_im);
}
