/*
 * The kernels of one training step. Their source, cpu_kernels.c, is compiled once per instruction set; the table of
 * each is a variant with the same bits. A step is: every shard (in any order, on any thread), combine over the
 * gradient in ranges of MR_CHUNK_PATHS, then update over the same ranges.
 */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include "millrace/batch.h"
#include "millrace/network.h"
#include "millrace/profile.h"

enum { CPU_CHUNK_LEVELS = 24 };

/* Sums of chunks on their way up the pairwise tree: one partial sum per level that is waiting for its right half. */
struct cpu_tree {
    uint64_t chunks; /* bit l is set when level l holds a sum */
    float *level;    /* CPU_CHUNK_LEVELS rows of `width` */
    size_t width;
};

/* What does not change within a run. */
struct cpu_job {
    struct mr_run_spec spec;
    struct mr_network network;
    uint32_t outputs;
    float *envelope_base, *envelope_scale; /* of phi: base + scale o; null without an envelope */
    float *twiddle_re, *twiddle_im;        /* of the FFT: outputs / 2 each; null without one */
};

/* One thread's memory, allocated once per model. */
struct cpu_room {
    float *memory;                                                               /* the owner of all below */
    float *normals, *sums, *y, *ratio, *sine, *cosine, *turn_sine, *turn_cosine; /* a chunk each */
    struct cpu_tree sine_tree, cosine_tree, ratio_tree;
    float *paths; /* terminal ratios of a whole contract; for the FFT target */
    float *target_re, *target_im;
    float *activations;                /* re and im of every layer's output, the inputs first */
    float *gradient_in, *gradient_out; /* re and im of one layer, width_max each */
};

struct cpu_step {
    const struct cpu_job *job;
    const struct mr_batch *batch;
    uint64_t samples; /* of the model before the step: the first row's contract counter */
    const float *weights;
    const float *transposed; /* the weights with every matrix as (out, in) */
    float *gradients;        /* MR_GRADIENT_SHARDS rows of the network's parameters */
    float *shard_loss;       /* MR_GRADIENT_SHARDS */
};

struct cpu_update {
    const float *gradient;
    const float *weights, *first, *second;
    float *new_weights, *new_first, *new_second;
    float beta1, beta2, epsilon, decay; /* decay is weight_decay times the rate */
    float rate, clip_scale;
    float correction1, correction2; /* 1 - beta^t */
};

struct cpu_kernels {
    const char *isa;
    /* Simulation, forward and backward of the shard's rows, in order; sets its loss and gradient row. */
    void (*shard)(const struct cpu_step *step, uint32_t shard, struct cpu_room *room);
    /* Adds the shards' gradients [begin, end) by the tree into shard 0; returns the sum of their squares. */
    float (*combine)(float *gradients, uint64_t parameters, uint64_t begin, uint64_t end);
    /* Adam over [begin, end); false when a new weight or moment is not finite. */
    bool (*update)(const struct cpu_update *update, uint64_t begin, uint64_t end);
    /* Matrices (in, out) of a layer to (out, in). */
    void (*transpose)(const struct mr_network_layer *layer, const float *weights, float *ret_transposed);
};

extern const struct cpu_kernels cpu_kernels_baseline;
#ifdef CPU_HAS_FMA3
extern const struct cpu_kernels cpu_kernels_fma3;
#endif

/* Empties a tree. */
void cpu_tree_reset(struct cpu_tree *tree);
/* Adds the next chunk's sums (`width` floats). */
void cpu_tree_add(struct cpu_tree *tree, const float *sums);
/* The total of all chunks; at least one was added. */
const float *cpu_tree_total(struct cpu_tree *tree);

#endif
