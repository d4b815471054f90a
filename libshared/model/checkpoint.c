/* The host state of a model: memory, its beginning, and its continuation by another run. */
#include "millrace/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "millrace/network.h"
#include "millrace/profile.h"

struct mr_error mr_checkpoint_init(struct mr_checkpoint *checkpoint, const struct mr_run_spec *spec)
{
    struct mr_network network;
    mr_network_plan(spec, &network);
    float *floats = calloc(3 * network.parameters, sizeof *floats);
    if (floats == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for a model of %llu parameters",
                             (unsigned long long)network.parameters);
    }
    memset(checkpoint, 0, sizeof *checkpoint);
    checkpoint->spec = *spec;
    checkpoint->parameters = network.parameters;
    checkpoint->weights = floats;
    checkpoint->first = floats + network.parameters;
    checkpoint->second = floats + 2 * network.parameters;
    checkpoint->beta1_power = 1.0f;
    checkpoint->beta2_power = 1.0f;
    return mr_ok();
}

void mr_checkpoint_deinit(struct mr_checkpoint *checkpoint)
{
    free(checkpoint->weights); /* the three arrays are one allocation */
    memset(checkpoint, 0, sizeof *checkpoint);
}

struct mr_error mr_checkpoint_copy(const struct mr_checkpoint *checkpoint, struct mr_checkpoint *ret_copy)
{
    struct mr_checkpoint copy = {0};
    MR_TRY(mr_checkpoint_init(&copy, &checkpoint->spec));
    float *floats = copy.weights;
    MR_ASSERT(floats != NULL);
    memcpy(floats, checkpoint->weights, checkpoint->parameters * sizeof *floats);
    memcpy(copy.first, checkpoint->first, checkpoint->parameters * sizeof *floats);
    memcpy(copy.second, checkpoint->second, checkpoint->parameters * sizeof *floats);
    const struct mr_checkpoint arrays = copy;
    copy = *checkpoint;
    copy.weights = arrays.weights;
    copy.first = arrays.first;
    copy.second = arrays.second;
    *ret_copy = copy;
    return mr_ok();
}

/* Uniform in (-bound, bound): weight `at` takes word at % 4 of the block at / 4. */
static float initial_weight(uint64_t seed, uint64_t at, float bound)
{
    const struct mr_philox_words counter = {{(uint32_t)(at / 4), (uint32_t)MR_STREAM_WEIGHTS << 24, 0, 0}};
    const struct mr_philox_words words = mr_philox(counter, seed);
    return mr_fma(mr_uniform(words.word[at % 4]), 2.0f * bound, -bound);
}

void mr_checkpoint_begin(struct mr_checkpoint *checkpoint)
{
    struct mr_network network;
    mr_network_plan(&checkpoint->spec, &network);
    for (uint32_t i = 0; i < network.tensors; i++) {
        const struct mr_tensor_place *place = &network.tensor[i];
        if (place->dimensions != 2) {
            continue;
        }
        const float bound = mr_sqrt(6.0f / (float)(place->shape[0] + place->shape[1]));
        for (uint64_t at = place->at; at < place->at + place->size; at++) {
            checkpoint->weights[at] = initial_weight(checkpoint->spec.init_seed, at, bound);
        }
    }
}

static bool same_network(const struct mr_network *a, const struct mr_network *b, const char **ret_tensor)
{
    for (uint32_t i = 0; i < a->tensors && i < b->tensors; i++) {
        const struct mr_tensor_place *left = &a->tensor[i];
        const struct mr_tensor_place *right = &b->tensor[i];
        if (strcmp(left->name, right->name) != 0 || left->dimensions != right->dimensions ||
            left->shape[0] != right->shape[0] || left->shape[1] != right->shape[1]) {
            *ret_tensor = right->name;
            return false;
        }
    }
    *ret_tensor = "the number of layers";
    return a->tensors == b->tensors;
}

struct mr_error mr_checkpoint_restart(const struct mr_checkpoint *earlier, const struct mr_run_spec *spec,
                                      struct mr_checkpoint *ret_checkpoint)
{
    struct mr_network before;
    struct mr_network after;
    struct mr_checkpoint checkpoint = {0};
    const char *differs;
    mr_network_plan(&earlier->spec, &before);
    mr_network_plan(spec, &after);
    if (!same_network(&before, &after, &differs)) {
        return mr_error_make(MR_ERROR_REJECT, "restart_mismatch", 0,
                             "the earlier version's network differs from the run's: %s", differs);
    }
    MR_TRY(mr_checkpoint_init(&checkpoint, spec));
    MR_ASSERT(checkpoint.weights != NULL);
    memcpy(checkpoint.weights, earlier->weights, earlier->parameters * sizeof(float));
    memcpy(checkpoint.first, earlier->first, earlier->parameters * sizeof(float));
    memcpy(checkpoint.second, earlier->second, earlier->parameters * sizeof(float));
    checkpoint.beta1_power = earlier->beta1_power;
    checkpoint.beta2_power = earlier->beta2_power;
    *ret_checkpoint = checkpoint;
    return mr_ok();
}
