/* How a spec's network lies in one flat array of parameters, and its forward pass. */
#ifndef MR_NETWORK_H
#define MR_NETWORK_H

#include "millrace/base.h"
#include "millrace/spec.h"

enum {
    MR_NETWORK_LAYERS_MAX = MR_SPEC_LAYERS_MAX + 1,
    MR_NETWORK_TENSORS_MAX = 4 * MR_NETWORK_LAYERS_MAX,
    MR_TENSOR_NAME_SIZE = 32,
};

/* A named part of the parameters: "layers.0.weight_re" (in, out), "layers.0.bias_im" (out), "layers.1.bias" (width),
 * and "output.weight_re" and so on for the last layer. */
struct mr_tensor_place {
    char name[MR_TENSOR_NAME_SIZE];
    uint32_t dimensions;
    uint64_t shape[2];
    uint64_t at, size; /* in floats */
};

struct mr_network_layer {
    enum mr_layer_kind kind;
    enum mr_activation activation; /* if kind is MR_LAYER_ACTIVATION */
    uint32_t in, out;              /* complex widths */
    uint64_t weight_re, weight_im; /* where (in, out) matrices begin, for a linear layer */
    uint64_t bias_re, bias_im;     /* (out); modReLU's one bias is bias_re */
};

struct mr_network {
    uint32_t inputs, outputs, width_max;
    uint32_t layers, tensors;
    struct mr_network_layer layer[MR_NETWORK_LAYERS_MAX];
    struct mr_tensor_place tensor[MR_NETWORK_TENSORS_MAX];
    uint64_t parameters;
};

/* The plan of a checked spec. */
void mr_network_plan(const struct mr_run_spec *spec, struct mr_network *ret_network);

/* A row's inputs: a contract's named fields scaled to [-1, 1] by the domain. `ret_inputs` has room for `inputs`. */
void mr_network_scale(const struct mr_pricing_job *job, const float contract[MR_CONTRACT_FIELDS], float *ret_inputs);

/* Floats that mr_network_forward needs as scratch. */
size_t mr_network_scratch(const struct mr_network *network);
/* One row: real `inputs` to `ret_re` and `ret_im` (outputs each), bit for bit as an engine does it. */
void mr_network_forward(const struct mr_network *network, const float *weights, const float *inputs, float *scratch,
                        float *ret_re, float *ret_im);

#endif
