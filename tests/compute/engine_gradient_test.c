/*
 * The engine's loss and gradients against a shadow network in double, differentiated by central differences. With
 * beta1 = 0 Adam's first moment after one step is the gradient itself.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "millrace/engine.h"
#include "millrace/network.h"
#include "prng.h"
#include "sample_spec.h"

enum { ROWS = 37, FEATURES = 5, TARGETS = 3, WIDTH_MAX = 16 };

static float features[ROWS * FEATURES], targets[ROWS * TARGETS * 2];

static float between(struct prng *prng, float low, float high)
{
    return low + (high - low) * (float)(prng_next(prng) >> 40) * 0x1p-24f;
}

/* ---- The shadow ---------------------------------------------------------------------------------------- */

struct shadow_row {
    double re[WIDTH_MAX], im[WIDTH_MAX];
};

static struct shadow_row shadow_linear(const struct mr_network_layer *layer, const double *w, struct shadow_row in)
{
    struct shadow_row out;
    for (uint32_t o = 0; o < layer->out; o++) {
        out.re[o] = w[layer->bias_re + o];
        out.im[o] = w[layer->bias_im + o];
        for (uint32_t k = 0; k < layer->in; k++) {
            const double a = w[layer->weight_re + (uint64_t)k * layer->out + o];
            const double b = w[layer->weight_im + (uint64_t)k * layer->out + o];
            out.re[o] += a * in.re[k] - b * in.im[k];
            out.im[o] += b * in.re[k] + a * in.im[k];
        }
    }
    return out;
}

static void shadow_activate(const struct mr_network_layer *layer, const double *w, double *x, double *y, uint32_t o)
{
    const double modulus = sqrt(*x * *x + *y * *y + 1e-9);
    const double opened = modulus + w[layer->bias_re + o];
    switch (layer->activation) {
    case MR_ACTIVATION_CSILU:
        *x /= 1 + exp(-*x);
        *y /= 1 + exp(-*y);
        return;
    case MR_ACTIVATION_MODRELU:
        *x *= opened > 0 ? opened / modulus : 0;
        *y *= opened > 0 ? opened / modulus : 0;
        return;
    case MR_ACTIVATION_ZRELU: {
        const bool open = *x >= 0 && *y >= 0;
        *x = open ? *x : 0;
        *y = open ? *y : 0;
        return;
    }
    case MR_ACTIVATION_CRELU:
        *x = *x > 0 ? *x : 0;
        *y = *y > 0 ? *y : 0;
        return;
    }
    ck_abort();
}

static double shadow_loss(const struct mr_network *network, const double *w)
{
    double loss = 0;
    for (size_t row = 0; row < ROWS; row++) {
        struct shadow_row z = {{0}, {0}};
        for (size_t i = 0; i < FEATURES; i++) {
            z.re[i] = (double)features[row * FEATURES + i];
        }
        for (uint32_t i = 0; i < network->layers; i++) {
            const struct mr_network_layer *layer = &network->layer[i];
            if (layer->kind == MR_LAYER_LINEAR) {
                z = shadow_linear(layer, w, z);
                continue;
            }
            for (uint32_t o = 0; o < layer->out; o++) {
                shadow_activate(layer, w, &z.re[o], &z.im[o], o);
            }
        }
        for (size_t j = 0; j < TARGETS; j++) {
            const double re = z.re[j] - (double)targets[2 * (row * TARGETS + j)];
            const double im = z.im[j] - (double)targets[2 * (row * TARGETS + j) + 1];
            loss += re * re + im * im;
        }
    }
    return loss / (ROWS * TARGETS);
}

/* ---- The engine ----------------------------------------------------------------------------------------- */

static struct mr_checkpoint step_once(const struct mr_checkpoint *from, struct mr_step_outcome *ret_outcome)
{
    const struct mr_engine_options options = {"cpu", 2, NULL};
    const struct mr_batch batch = {.kind = MR_BATCH_LABELLED, .rows = ROWS, .features = features, .targets = targets};
    const struct mr_engine_ops *ops;
    struct mr_engine *engine;
    struct mr_model *model;
    struct mr_checkpoint after;
    ck_assert(!mr_failed(mr_engine_select("cpu", &ops)));
    ck_assert(!mr_failed(ops->open(&options, &engine)));
    ck_assert(!mr_failed(ops->model_load(engine, from, &model)));
    ck_assert(!mr_failed(ops->step(model, &batch, ret_outcome)));
    ck_assert(!ret_outcome->diverged);
    ck_assert(!mr_failed(ops->snapshot(model, &after)));
    ops->model_free(model);
    ops->close(engine);
    return after;
}

static const char *const activations[] = {"csilu", "modrelu", "zrelu", "crelu"};

START_TEST(gradients_are_those_of_the_shadow)
{
    char *json = sample_replaced(sample_labelled_json, "modrelu", activations[_i]);
    struct mr_run_spec spec = sample_spec_with(json, "\"csilu\"", "\"csilu\"");
    free(json);
    spec.layer[1].activation = spec.layer[3].activation;
    spec.optimiser.beta1 = 0.0f;
    struct prng prng = {(uint64_t)_i + 1};
    struct mr_checkpoint state;
    struct mr_network network;
    ck_assert(!mr_failed(mr_checkpoint_init(&state, &spec)));
    mr_checkpoint_begin(&state);
    mr_network_plan(&spec, &network);
    for (size_t i = 0; i < MR_COUNT_OF(features); i++) {
        features[i] = between(&prng, -1.5f, 1.5f);
    }
    for (size_t i = 0; i < MR_COUNT_OF(targets); i++) {
        targets[i] = between(&prng, -1.0f, 1.0f);
    }
    double *w = calloc(state.parameters, sizeof *w);
    for (uint64_t i = 0; i < state.parameters; i++) {
        state.weights[i] += between(&prng, -0.3f, 0.3f); /* biases too */
        w[i] = (double)state.weights[i];
    }
    struct mr_step_outcome outcome;
    struct mr_checkpoint after = step_once(&state, &outcome);
    ck_assert_double_eq_tol((double)outcome.loss, shadow_loss(&network, w), 1e-5);
    double squares = 0;
    for (uint64_t i = 0; i < state.parameters; i++) {
        const double h = 1e-7;
        const double at = w[i];
        w[i] = at + h;
        const double above = shadow_loss(&network, w);
        w[i] = at - h;
        const double below = shadow_loss(&network, w);
        w[i] = at;
        const double gradient = (above - below) / (2 * h);
        squares += gradient * gradient;
        ck_assert_double_eq_tol((double)after.first[i], gradient, 2e-6 + 2e-5 * fabs(gradient));
    }
    ck_assert_double_eq_tol((double)outcome.gradient_norm, sqrt(squares), 1e-5 * sqrt(squares) + 1e-6);
    free(w);
    mr_checkpoint_deinit(&state);
    mr_checkpoint_deinit(&after);
}
END_TEST

static void fill_plain(void)
{
    for (size_t i = 0; i < MR_COUNT_OF(features); i++) {
        features[i] = (float)(i % 7) - 3.0f;
    }
    for (size_t i = 0; i < MR_COUNT_OF(targets); i++) {
        targets[i] = (float)(i % 5) - 2.0f;
    }
}

/* The first step of Adam moves each weight by about the rate times g/(|g| + eps), whatever the size of g. */
START_TEST(the_first_step_of_adam)
{
    struct mr_run_spec spec = sample_spec(sample_labelled_json);
    struct mr_checkpoint state;
    struct mr_step_outcome outcome;
    ck_assert(!mr_failed(mr_checkpoint_init(&state, &spec)));
    mr_checkpoint_begin(&state);
    fill_plain();
    struct mr_checkpoint after = step_once(&state, &outcome);
    for (uint64_t i = 0; i < state.parameters; i++) {
        const double gradient = (double)after.first[i] / (1.0 - (double)spec.optimiser.beta1);
        const double expected = -0.004 * gradient / (fabs(gradient) + 1e-8);
        ck_assert_double_eq_tol((double)after.weights[i] - (double)state.weights[i], expected, 1e-6);
    }
    ck_assert(after.beta1_power == spec.optimiser.beta1 && after.beta2_power == spec.optimiser.beta2);
    mr_checkpoint_deinit(&state);
    mr_checkpoint_deinit(&after);
}
END_TEST

/* Clipping scales the gradient that Adam sees; decay pulls weights towards 0 by rate times decay. */
START_TEST(clipping_and_decay)
{
    struct mr_run_spec spec = sample_spec(sample_labelled_json);
    struct mr_checkpoint state;
    struct mr_step_outcome free_outcome;
    struct mr_step_outcome clipped_outcome;
    ck_assert(!mr_failed(mr_checkpoint_init(&state, &spec)));
    mr_checkpoint_begin(&state);
    fill_plain();
    struct mr_checkpoint plain = step_once(&state, &free_outcome);
    state.spec.optimiser.clip_norm = 0.5f * free_outcome.gradient_norm;
    struct mr_checkpoint clipped = step_once(&state, &clipped_outcome);
    ck_assert(clipped_outcome.gradient_norm == free_outcome.gradient_norm);
    for (uint64_t i = 0; i < state.parameters; i++) {
        ck_assert_double_eq_tol((double)clipped.first[i], 0.5 * (double)plain.first[i],
                                1e-9 + 1e-6 * fabs((double)plain.first[i]));
    }
    state.spec.optimiser.clip_norm = 0.0f;
    state.spec.optimiser.weight_decay = 0.5f;
    struct mr_checkpoint decayed = step_once(&state, &clipped_outcome);
    for (uint64_t i = 0; i < state.parameters; i++) {
        ck_assert_double_eq_tol((double)decayed.weights[i],
                                (double)plain.weights[i] - 0.004 * 0.5 * (double)state.weights[i], 1e-6);
    }
    mr_checkpoint_deinit(&state);
    mr_checkpoint_deinit(&plain);
    mr_checkpoint_deinit(&clipped);
    mr_checkpoint_deinit(&decayed);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, gradients_are_those_of_the_shadow, 0, (int)MR_COUNT_OF(activations));
    tcase_add_test(tests, the_first_step_of_adam);
    tcase_add_test(tests, clipping_and_decay);
}

int main(void)
{
    return check_main("engine_gradient", add);
}
