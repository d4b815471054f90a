/* checkpoint.pb: state to bytes and back. Decoding accepts only what encoding writes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "millrace/checkpoint.h"
#include "millrace/checkpoint/v1/checkpoint.pb-c.h"
#include "millrace/network.h"
#include "spec_wire.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are little-endian on the wire and in memory");

/* ---- Encode ----------------------------------------------------------------------------------------------- */

enum { CODEC_ARRAYS = 3 }; /* weights, first, second */

/* Everything that the message points at. */
struct codec_wire {
    Millrace__Checkpoint__V1__Checkpoint message;
    Millrace__Checkpoint__V1__Adam adam;
    struct mr_spec_wire spec;
    struct mr_network network;
    struct mr_checkpoint copy; /* texts and hash; the arrays are the caller's */
    Millrace__Checkpoint__V1__NamedTensor tensor[CODEC_ARRAYS][MR_NETWORK_TENSORS_MAX];
    Millrace__Checkpoint__V1__NamedTensor *tensors[CODEC_ARRAYS][MR_NETWORK_TENSORS_MAX];
};

static void set_tensors(struct codec_wire *wire, uint32_t array, float *floats)
{
    for (uint32_t i = 0; i < wire->network.tensors; i++) {
        struct mr_tensor_place *place = &wire->network.tensor[i];
        Millrace__Checkpoint__V1__NamedTensor *tensor = &wire->tensor[array][i];
        millrace__checkpoint__v1__named_tensor__init(tensor);
        tensor->name = place->name;
        tensor->n_shape = place->dimensions;
        tensor->shape = place->shape;
        tensor->dtype = MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32;
        tensor->data.data = (uint8_t *)(floats + place->at);
        tensor->data.len = place->size * sizeof(float);
        wire->tensors[array][i] = tensor;
    }
}

static void set_message(struct codec_wire *wire)
{
    struct mr_checkpoint *state = &wire->copy;
    Millrace__Checkpoint__V1__Checkpoint *message = &wire->message;
    millrace__checkpoint__v1__checkpoint__init(message);
    mr_network_plan(&state->spec, &wire->network);
    mr_spec_wire_fill(&state->spec, &wire->spec);
    message->arithmetic_profile = wire->spec.profile;
    message->model_id = state->model_id;
    message->run_id = state->run_id;
    message->previous.data = state->previous.bytes;
    message->previous.len = state->has_previous ? MR_SHA256_SIZE : 0;
    message->spec = &wire->spec.spec;
    message->step = state->step;
    message->applied = state->applied;
    message->samples = state->samples;
    message->run_closed = state->run_closed;
    set_tensors(wire, 0, state->weights);
    set_tensors(wire, 1, state->first);
    set_tensors(wire, 2, state->second);
    message->n_parameters = wire->network.tensors;
    message->parameters = wire->tensors[0];
    millrace__checkpoint__v1__adam__init(&wire->adam);
    wire->adam.n_first = wire->network.tensors;
    wire->adam.first = wire->tensors[1];
    wire->adam.n_second = wire->network.tensors;
    wire->adam.second = wire->tensors[2];
    wire->adam.beta1_power = state->beta1_power;
    wire->adam.beta2_power = state->beta2_power;
    message->adam = &wire->adam;
}

struct mr_error mr_checkpoint_encode(const struct mr_checkpoint *checkpoint, struct mr_buffer *buffer)
{
    struct codec_wire *wire = malloc(sizeof *wire);
    if (wire == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory to encode a checkpoint");
    }
    wire->copy = *checkpoint;
    set_message(wire);
    const size_t size = millrace__checkpoint__v1__checkpoint__get_packed_size(&wire->message);
    const struct mr_error error = mr_buffer_reserve(buffer, buffer->size + size);
    if (!mr_failed(error)) {
        buffer->size += millrace__checkpoint__v1__checkpoint__pack(&wire->message, buffer->data + buffer->size);
    }
    free(wire);
    return error;
}

/* ---- Decode ----------------------------------------------------------------------------------------------- */

static struct mr_error bad(const char *what, const char *where)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_checkpoint", 0, "%s%s%s", what, where[0] == '\0' ? "" : ": ", where);
}

static struct mr_error get_tensor(const Millrace__Checkpoint__V1__NamedTensor *tensor,
                                  const struct mr_tensor_place *place, float *ret_floats)
{
    bool fits = strcmp(tensor->name, place->name) == 0 && tensor->n_shape == place->dimensions &&
                tensor->dtype == MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32 &&
                tensor->data.len == place->size * sizeof(float);
    for (uint32_t i = 0; fits && i < place->dimensions; i++) {
        fits = tensor->shape[i] == place->shape[i];
    }
    if (!fits) {
        return bad("a tensor is not as the spec's network wants it", place->name);
    }
    memcpy(ret_floats + place->at, tensor->data.data, tensor->data.len);
    for (uint64_t i = place->at; i < place->at + place->size; i++) {
        if (!isfinite(ret_floats[i])) {
            return bad("a number is not finite", place->name);
        }
    }
    return mr_ok();
}

static struct mr_error get_tensors(const struct mr_network *network, size_t count,
                                   Millrace__Checkpoint__V1__NamedTensor **tensors, float *ret_floats)
{
    if (count != network->tensors) {
        return bad("the number of tensors is not that of the spec's network", "");
    }
    for (uint32_t i = 0; i < network->tensors; i++) {
        MR_TRY(get_tensor(tensors[i], &network->tensor[i], ret_floats));
    }
    return mr_ok();
}

static bool id_good(const char *id)
{
    return id[0] == '\0' || mr_id_valid(mr_bytes_of_text(id));
}

static bool power_good(float power)
{
    return power >= 0.0f && power <= 1.0f;
}

/* All but spec and arrays. */
static struct mr_error get_scalars(const Millrace__Checkpoint__V1__Checkpoint *message, struct mr_checkpoint *state)
{
    if (strcmp(message->arithmetic_profile, MR_PROFILE_NAME) != 0) {
        return bad("the arithmetic profile is not " MR_PROFILE_NAME, "");
    }
    if (!id_good(message->model_id) || !id_good(message->run_id)) {
        return bad("a bad id", "");
    }
    if (message->previous.len != 0 && message->previous.len != MR_SHA256_SIZE) {
        return bad("`previous` is not 32 bytes", "");
    }
    if (message->adam == NULL || !power_good(message->adam->beta1_power) || !power_good(message->adam->beta2_power)) {
        return bad("the powers of beta are missing or not in [0, 1]", "");
    }
    memcpy(state->model_id, message->model_id, strlen(message->model_id) + 1);
    memcpy(state->run_id, message->run_id, strlen(message->run_id) + 1);
    state->has_previous = message->previous.len != 0;
    if (state->has_previous) {
        memcpy(state->previous.bytes, message->previous.data, MR_SHA256_SIZE);
    }
    state->step = message->step;
    state->applied = message->applied;
    state->samples = message->samples;
    state->run_closed = message->run_closed != 0;
    state->beta1_power = message->adam->beta1_power;
    state->beta2_power = message->adam->beta2_power;
    return mr_ok();
}

static struct mr_error get_arrays(const Millrace__Checkpoint__V1__Checkpoint *message, struct mr_checkpoint *state)
{
    struct mr_network network;
    mr_network_plan(&state->spec, &network);
    MR_TRY(get_tensors(&network, message->n_parameters, message->parameters, state->weights));
    MR_TRY(get_tensors(&network, message->adam->n_first, message->adam->first, state->first));
    return get_tensors(&network, message->adam->n_second, message->adam->second, state->second);
}

static struct mr_error decode_message(const Millrace__Checkpoint__V1__Checkpoint *message,
                                      struct mr_checkpoint *ret_checkpoint)
{
    struct mr_field_fault fault;
    struct mr_run_spec spec;
    struct mr_checkpoint state = {0};
    if (message->spec == NULL) {
        return bad("no spec", "");
    }
    if (mr_failed(mr_run_spec_decode(message->spec, &spec, &fault))) {
        return bad("its spec is refused at", fault.path);
    }
    MR_TRY(mr_checkpoint_init(&state, &spec));
    struct mr_error error = get_scalars(message, &state);
    if (!mr_failed(error)) {
        error = get_arrays(message, &state);
    }
    if (mr_failed(error)) {
        mr_checkpoint_deinit(&state);
        return error;
    }
    *ret_checkpoint = state;
    return mr_ok();
}

/* Other bytes for the same state would be another content hash for it. */
static struct mr_error check_canonical(const struct mr_checkpoint *checkpoint, struct mr_bytes bytes)
{
    struct mr_buffer again = {0};
    struct mr_error error = mr_checkpoint_encode(checkpoint, &again);
    if (!mr_failed(error) && !mr_bytes_equal(mr_buffer_view(&again), bytes)) {
        error = bad("its bytes are not the canonical encoding of its state", "");
    }
    mr_buffer_deinit(&again);
    return error;
}

struct mr_error mr_checkpoint_decode(struct mr_bytes bytes, struct mr_checkpoint *ret_checkpoint)
{
    struct mr_checkpoint checkpoint = {0};
    struct mr_field_fault fault;
    if (!mr_message_wire_check(&millrace__checkpoint__v1__checkpoint__descriptor, bytes, &fault)) {
        return bad("the bytes are no Checkpoint message", fault.path);
    }
    Millrace__Checkpoint__V1__Checkpoint *message =
        millrace__checkpoint__v1__checkpoint__unpack(NULL, bytes.size, bytes.data);
    if (message == NULL) {
        return bad("the bytes are no Checkpoint message", "");
    }
    struct mr_error error = decode_message(message, &checkpoint);
    millrace__checkpoint__v1__checkpoint__free_unpacked(message, NULL);
    if (mr_failed(error)) {
        return error;
    }
    error = check_canonical(&checkpoint, bytes);
    if (mr_failed(error)) {
        mr_checkpoint_deinit(&checkpoint);
        return error;
    }
    *ret_checkpoint = checkpoint;
    return mr_ok();
}
