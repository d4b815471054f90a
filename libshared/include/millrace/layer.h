/* The forward operations of the network on one row, in the profile's order; shared by inference and engines. */
#ifndef MR_LAYER_H
#define MR_LAYER_H

#include <stddef.h>

#include "millrace/network.h"
#include "millrace/profile.h"

/* One row of complex numbers in two arrays. */
struct mr_row {
    float *re, *im;
};

/* Matrices a + ib of shape (in, out) and a bias (out): out = (a + ib)^T in + bias. */
struct mr_linear {
    const float *a, *b, *bias_re, *bias_im;
    size_t in, out;
};

enum { MR_LINEAR_BLOCK = 32 };

/* Rule A4 for outputs at .. at + count - 1: over the inputs in order, from +0, the bias last. */
static inline void mr_linear_block(const struct mr_linear *linear, struct mr_row in, struct mr_row out, size_t at,
                                   size_t count)
{
    float re[MR_LINEAR_BLOCK] = {0};
    float im[MR_LINEAR_BLOCK] = {0};
    for (size_t k = 0; k < linear->in; k++) {
        const float *a = linear->a + k * linear->out + at;
        const float *b = linear->b + k * linear->out + at;
        const float x = in.re[k];
        const float y = in.im[k];
        for (size_t o = 0; o < count; o++) {
            re[o] = mr_fma(-b[o], y, mr_fma(a[o], x, re[o]));
            im[o] = mr_fma(b[o], x, mr_fma(a[o], y, im[o]));
        }
    }
    for (size_t o = 0; o < count; o++) {
        out.re[at + o] = re[o] + linear->bias_re[at + o];
        out.im[at + o] = im[o] + linear->bias_im[at + o];
    }
}

static inline void mr_linear_forward(const struct mr_linear *linear, struct mr_row in, struct mr_row out)
{
    size_t at = 0;
    /* The full blocks have a constant count, so that their loops become vector code. */
    for (; at + MR_LINEAR_BLOCK <= linear->out; at += MR_LINEAR_BLOCK) {
        mr_linear_block(linear, in, out, at, MR_LINEAR_BLOCK);
    }
    if (at < linear->out) {
        mr_linear_block(linear, in, out, at, linear->out - at);
    }
}

static inline void mr_csilu_forward(struct mr_row in, struct mr_row out, size_t width)
{
    for (size_t o = 0; o < width; o++) {
        out.re[o] = in.re[o] * mr_sigmoid(in.re[o]);
        out.im[o] = in.im[o] * mr_sigmoid(in.im[o]);
    }
}

/* |z|, kept off zero so that it can divide. */
static inline float mr_modulus(float x, float y)
{
    return mr_sqrt(mr_fma(x, x, mr_fma(y, y, 1e-9f)));
}

static inline void mr_modrelu_forward(const float *bias, struct mr_row in, struct mr_row out, size_t width)
{
    for (size_t o = 0; o < width; o++) {
        const float modulus = mr_modulus(in.re[o], in.im[o]);
        const float scale = mr_relu(modulus + bias[o]) / modulus;
        out.re[o] = scale * in.re[o];
        out.im[o] = scale * in.im[o];
    }
}

static inline void mr_zrelu_forward(struct mr_row in, struct mr_row out, size_t width)
{
    for (size_t o = 0; o < width; o++) {
        /* Stopped only when a part is negative, so that NaN is not lost. */
        const int stopped = (in.re[o] < 0.0f) | (in.im[o] < 0.0f);
        out.re[o] = stopped ? 0.0f : in.re[o];
        out.im[o] = stopped ? 0.0f : in.im[o];
    }
}

static inline void mr_crelu_forward(struct mr_row in, struct mr_row out, size_t width)
{
    for (size_t o = 0; o < width; o++) {
        out.re[o] = mr_relu(in.re[o]);
        out.im[o] = mr_relu(in.im[o]);
    }
}

static inline void mr_activation_forward(const struct mr_network_layer *layer, const float *weights, struct mr_row in,
                                         struct mr_row out)
{
    switch (layer->activation) {
    case MR_ACTIVATION_CSILU: mr_csilu_forward(in, out, layer->out); return;
    case MR_ACTIVATION_MODRELU: mr_modrelu_forward(weights + layer->bias_re, in, out, layer->out); return;
    case MR_ACTIVATION_ZRELU: mr_zrelu_forward(in, out, layer->out); return;
    case MR_ACTIVATION_CRELU: mr_crelu_forward(in, out, layer->out); return;
    }
    mr_unreachable(__func__);
}

/* One layer of a plan; `in` and `out` do not overlap. */
static inline void mr_layer_forward(const struct mr_network_layer *layer, const float *weights, struct mr_row in,
                                    struct mr_row out)
{
    switch (layer->kind) {
    case MR_LAYER_LINEAR: {
        const struct mr_linear linear = {weights + layer->weight_re,
                                         weights + layer->weight_im,
                                         weights + layer->bias_re,
                                         weights + layer->bias_im,
                                         layer->in,
                                         layer->out};
        mr_linear_forward(&linear, in, out);
        return;
    }
    case MR_LAYER_ACTIVATION: mr_activation_forward(layer, weights, in, out); return;
    }
    mr_unreachable(__func__);
}

#endif
