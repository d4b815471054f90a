/* Gradients through one layer for one row, in the profile's order. Part of cpu_kernels.c. */
#ifndef CPU_BACKWARD_H
#define CPU_BACKWARD_H

#include "cpu_kernels.h"
#include "millrace/layer.h"

struct cpu_layer_pass {
    const struct mr_network_layer *layer;
    const float *weights, *transposed;
    struct mr_row input;        /* of the layer, in the forward pass */
    struct mr_row out_gradient; /* with respect to its output */
    struct mr_row in_gradient;  /* result, if wanted */
    float *gradients;           /* of the parameters: added to */
    bool wants_in_gradient;
};

/* da += conj(x) g, for one input x + iy and all outputs. */
static inline void cpu_weight_gradient(float x, float y, const float *restrict re, const float *restrict im,
                                       float *restrict da, float *restrict db, size_t count)
{
    for (size_t o = 0; o < count; o++) {
        da[o] = mr_fma(y, im[o], mr_fma(x, re[o], da[o]));
        db[o] = mr_fma(x, im[o], mr_fma(-y, re[o], db[o]));
    }
}

/* conj(a + ib) g for inputs at .. at + count - 1, over the outputs in order. */
static inline void cpu_input_gradient(const struct cpu_layer_pass *pass, size_t at, size_t count)
{
    const size_t in = pass->layer->in;
    float re[MR_LINEAR_BLOCK] = {0};
    float im[MR_LINEAR_BLOCK] = {0};
    for (size_t o = 0; o < pass->layer->out; o++) {
        const float *a = pass->transposed + pass->layer->weight_re + o * in + at;
        const float *b = pass->transposed + pass->layer->weight_im + o * in + at;
        const float x = pass->out_gradient.re[o];
        const float y = pass->out_gradient.im[o];
        for (size_t k = 0; k < count; k++) {
            re[k] = mr_fma(b[k], y, mr_fma(a[k], x, re[k]));
            im[k] = mr_fma(-b[k], x, mr_fma(a[k], y, im[k]));
        }
    }
    memcpy(pass->in_gradient.re + at, re, count * sizeof(float));
    memcpy(pass->in_gradient.im + at, im, count * sizeof(float));
}

static inline void cpu_linear_backward(const struct cpu_layer_pass *pass)
{
    const size_t in = pass->layer->in;
    const size_t out = pass->layer->out;
    float *bias_re = pass->gradients + pass->layer->bias_re;
    float *bias_im = pass->gradients + pass->layer->bias_im;
    for (size_t o = 0; o < out; o++) {
        bias_re[o] += pass->out_gradient.re[o];
        bias_im[o] += pass->out_gradient.im[o];
    }
    for (size_t k = 0; k < in; k++) {
        cpu_weight_gradient(pass->input.re[k], pass->input.im[k], pass->out_gradient.re, pass->out_gradient.im,
                            pass->gradients + pass->layer->weight_re + k * out,
                            pass->gradients + pass->layer->weight_im + k * out, out);
    }
    if (!pass->wants_in_gradient) {
        return;
    }
    size_t at = 0;
    for (; at + MR_LINEAR_BLOCK <= in; at += MR_LINEAR_BLOCK) {
        cpu_input_gradient(pass, at, MR_LINEAR_BLOCK);
    }
    if (at < in) {
        cpu_input_gradient(pass, at, in - at);
    }
}

/* d(x sigmoid(x))/dx = sigma + x sigma (1 - sigma). */
static inline float cpu_silu_slope(float x)
{
    const float sigma = mr_sigmoid(x);
    return mr_fma(x * sigma, 1.0f - sigma, sigma);
}

static inline void cpu_csilu_backward(struct mr_row in, struct mr_row out_gradient, struct mr_row in_gradient,
                                      size_t width)
{
    for (size_t o = 0; o < width; o++) {
        in_gradient.re[o] = out_gradient.re[o] * cpu_silu_slope(in.re[o]);
        in_gradient.im[o] = out_gradient.im[o] * cpu_silu_slope(in.im[o]);
    }
}

/* With m = |z| and m + b > 0, out = (1 + b/m) z: the gradient is (1 + b/m) g - z (b/m^3) (z . g), and (z . g)/m for b.
 */
static inline void cpu_modrelu_backward(const struct cpu_layer_pass *pass, const float *bias, float *bias_gradient)
{
    for (size_t o = 0; o < pass->layer->out; o++) {
        const float x = pass->input.re[o];
        const float y = pass->input.im[o];
        const float modulus = mr_modulus(x, y);
        const float along = mr_fma(x, pass->out_gradient.re[o], y * pass->out_gradient.im[o]) / modulus;
        const float shift = bias[o] / modulus;
        const float scale = mr_relu(modulus + bias[o]) / modulus;
        const float radial = shift * (along / modulus);
        const bool closed = modulus + bias[o] < 0.0f;
        pass->in_gradient.re[o] = closed ? 0.0f : mr_fma(scale, pass->out_gradient.re[o], -(radial * x));
        pass->in_gradient.im[o] = closed ? 0.0f : mr_fma(scale, pass->out_gradient.im[o], -(radial * y));
        bias_gradient[o] += closed ? 0.0f : along;
    }
}

static inline void cpu_zrelu_backward(struct mr_row in, struct mr_row out_gradient, struct mr_row in_gradient,
                                      size_t width)
{
    for (size_t o = 0; o < width; o++) {
        const int stopped = (in.re[o] < 0.0f) | (in.im[o] < 0.0f);
        in_gradient.re[o] = stopped ? 0.0f : out_gradient.re[o];
        in_gradient.im[o] = stopped ? 0.0f : out_gradient.im[o];
    }
}

static inline void cpu_crelu_backward(struct mr_row in, struct mr_row out_gradient, struct mr_row in_gradient,
                                      size_t width)
{
    for (size_t o = 0; o < width; o++) {
        in_gradient.re[o] = in.re[o] < 0.0f ? 0.0f : out_gradient.re[o];
        in_gradient.im[o] = in.im[o] < 0.0f ? 0.0f : out_gradient.im[o];
    }
}

static inline void cpu_activation_backward(const struct cpu_layer_pass *pass)
{
    const struct mr_network_layer *layer = pass->layer;
    switch (layer->activation) {
    case MR_ACTIVATION_CSILU:
        cpu_csilu_backward(pass->input, pass->out_gradient, pass->in_gradient, layer->out);
        return;
    case MR_ACTIVATION_MODRELU:
        cpu_modrelu_backward(pass, pass->weights + layer->bias_re, pass->gradients + layer->bias_re);
        return;
    case MR_ACTIVATION_ZRELU:
        cpu_zrelu_backward(pass->input, pass->out_gradient, pass->in_gradient, layer->out);
        return;
    case MR_ACTIVATION_CRELU:
        cpu_crelu_backward(pass->input, pass->out_gradient, pass->in_gradient, layer->out);
        return;
    }
    mr_unreachable(__func__);
}

static inline void cpu_layer_backward(const struct cpu_layer_pass *pass)
{
    switch (pass->layer->kind) {
    case MR_LAYER_LINEAR: cpu_linear_backward(pass); return;
    case MR_LAYER_ACTIVATION: cpu_activation_backward(pass); return;
    }
    mr_unreachable(__func__);
}

#endif
