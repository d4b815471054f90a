/* The checkpoint codec: one encoding per state, and decoding that survives any bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "millrace/checkpoint.h"
#include "millrace/checkpoint/v1/checkpoint.pb-c.h"
#include "millrace/network.h"
#include "prng.h"
#include "sample_spec.h"

static struct mr_checkpoint sample_state(const char *json)
{
    const struct mr_run_spec spec = sample_spec(json);
    struct mr_checkpoint state;
    ck_assert(!mr_failed(mr_checkpoint_init(&state, &spec)));
    mr_checkpoint_begin(&state);
    memcpy(state.model_id, "m1", 3);
    memcpy(state.run_id, "r1", 3);
    state.has_previous = true;
    memset(state.previous.bytes, 7, sizeof state.previous.bytes);
    state.step = 12;
    state.applied = 14;
    state.samples = 768;
    for (uint64_t i = 0; i < state.parameters; i++) {
        state.first[i] = 0.5f * state.weights[i];
        state.second[i] = state.weights[i] * state.weights[i];
    }
    state.beta1_power = 0.25f;
    state.beta2_power = 0.5f;
    return state;
}

static struct mr_buffer encoded(const struct mr_checkpoint *state)
{
    struct mr_buffer bytes = {0};
    ck_assert(!mr_failed(mr_checkpoint_encode(state, &bytes)));
    return bytes;
}

static const char *const samples[] = {sample_pricing_json, sample_payoff_json, sample_labelled_json};

START_TEST(a_state_comes_back_and_has_one_encoding)
{
    struct mr_checkpoint state = sample_state(samples[_i]);
    struct mr_checkpoint back;
    struct mr_buffer first = encoded(&state);
    const struct mr_error error = mr_checkpoint_decode(mr_buffer_view(&first), &back);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    struct mr_buffer second = encoded(&back);
    ck_assert(mr_bytes_equal(mr_buffer_view(&first), mr_buffer_view(&second)));
    ck_assert_str_eq(back.run_id, "r1");
    ck_assert_uint_eq(back.samples, 768);
    ck_assert_mem_eq(back.second, state.second, state.parameters * sizeof(float));
    mr_buffer_deinit(&first);
    mr_buffer_deinit(&second);
    mr_checkpoint_deinit(&state);
    mr_checkpoint_deinit(&back);
}
END_TEST

START_TEST(a_copy_is_equal_and_its_own)
{
    struct mr_checkpoint state = sample_state(sample_pricing_json);
    struct mr_checkpoint copy;
    ck_assert(!mr_failed(mr_checkpoint_copy(&state, &copy)));
    struct mr_buffer first = encoded(&state);
    struct mr_buffer second = encoded(&copy);
    ck_assert(mr_bytes_equal(mr_buffer_view(&first), mr_buffer_view(&second)));
    ck_assert_ptr_ne(copy.weights, state.weights);
    mr_buffer_deinit(&first);
    mr_buffer_deinit(&second);
    mr_checkpoint_deinit(&state);
    mr_checkpoint_deinit(&copy);
}
END_TEST

START_TEST(initial_weights_are_xavier_uniform)
{
    struct mr_checkpoint state = sample_state(sample_pricing_json);
    struct mr_network network;
    mr_network_plan(&state.spec, &network);
    ck_assert_uint_eq(network.parameters, state.parameters);
    ck_assert_str_eq(network.tensor[0].name, "layers.0.weight_re");
    for (uint32_t i = 0; i < network.tensors; i++) {
        const struct mr_tensor_place *place = &network.tensor[i];
        const bool matrix = place->dimensions == 2;
        const double bound = matrix ? sqrt(6.0 / (double)(place->shape[0] + place->shape[1])) : 0.0;
        double largest = 0.0;
        for (uint64_t at = place->at; at < place->at + place->size; at++) {
            const double size = fabs((double)state.weights[at]);
            largest = size > largest ? size : largest;
        }
        ck_assert_double_le(largest, bound * 1.000001);
        ck_assert(!matrix || largest > 0.5 * bound);
    }
    mr_checkpoint_deinit(&state);
}
END_TEST

static void expect_refused(struct mr_bytes bytes)
{
    struct mr_checkpoint back;
    const struct mr_error error = mr_checkpoint_decode(bytes, &back);
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    ck_assert_str_eq(error.code, "bad_checkpoint");
}

/* Every flipped bit outside the numbers is refused or is another state; no byte is without meaning. */
START_TEST(damaged_bytes_are_refused_or_mean_another_state)
{
    struct mr_checkpoint state = sample_state(sample_labelled_json);
    struct mr_buffer bytes = encoded(&state);
    struct prng prng = {1};
    for (int round = 0; round < 3000; round++) {
        const size_t at = (size_t)prng_below(&prng, round % 2 == 0 ? bytes.size : 400);
        const uint8_t mask = (uint8_t)(1u << prng_below(&prng, 8));
        struct mr_checkpoint back;
        bytes.data[at] ^= mask;
        if (!mr_failed(mr_checkpoint_decode(mr_buffer_view(&bytes), &back))) {
            struct mr_buffer again = encoded(&back);
            ck_assert(mr_bytes_equal(mr_buffer_view(&bytes), mr_buffer_view(&again)));
            mr_buffer_deinit(&again);
            mr_checkpoint_deinit(&back);
        }
        bytes.data[at] ^= mask;
    }
    for (size_t size = 0; size < bytes.size; size += 1 + size / 9) {
        expect_refused(mr_bytes_of(bytes.data, size));
    }
    mr_buffer_deinit(&bytes);
    mr_checkpoint_deinit(&state);
}
END_TEST

START_TEST(random_bytes_are_refused)
{
    struct prng prng = {2};
    for (int round = 0; round < 2000; round++) {
        uint8_t bytes[64];
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)prng_next(&prng);
        }
        expect_refused(mr_bytes_of(bytes, (size_t)prng_below(&prng, sizeof bytes)));
    }
}
END_TEST

/* A length-delimited field around what is already in the buffer, which grows to its front. */
static void wrap(uint8_t *buffer, size_t *at, size_t end, uint8_t tag)
{
    size_t size = end - *at;
    uint8_t varint[8];
    size_t digits = 0;
    do {
        varint[digits++] = (uint8_t)((size & 0x7f) | (size > 0x7f ? 0x80 : 0));
        size >>= 7;
    } while (size != 0);
    *at -= digits;
    memcpy(buffer + *at, varint, digits);
    buffer[--*at] = tag;
}

/* Residual in residual, a hundred thousand deep: protobuf-c alone would run out of stack. */
START_TEST(deep_nesting_is_refused)
{
    enum { SIZE = 1 << 20, LEVELS = 100000 };
    uint8_t *buffer = malloc(SIZE);
    size_t at = SIZE;
    for (int level = 0; level < LEVELS; level++) {
        wrap(buffer, &at, SIZE, 1 << 3 | 2); /* Residual.body */
        wrap(buffer, &at, SIZE, 4 << 3 | 2); /* Layer.residual */
    }
    wrap(buffer, &at, SIZE, 1 << 3 | 2); /* Network.layers */
    wrap(buffer, &at, SIZE, 3 << 3 | 2); /* RunSpec.network */
    struct mr_run_spec spec;
    struct mr_field_fault fault = {"", ""};
    ck_assert_int_eq(mr_run_spec_unpack(mr_bytes_of(buffer + at, SIZE - at), &spec, &fault).kind, MR_ERROR_REJECT);
    ck_assert_ptr_nonnull(strstr(fault.path, "network.layers.residual.body"));
    wrap(buffer, &at, SIZE, 5 << 3 | 2); /* Checkpoint.spec */
    expect_refused(mr_bytes_of(buffer + at, SIZE - at));
    free(buffer);
}
END_TEST

/* A message that parses, changed in one way. */
static void expect_refused_after(void (*spoil)(Millrace__Checkpoint__V1__Checkpoint *message))
{
    struct mr_checkpoint state = sample_state(sample_pricing_json);
    struct mr_buffer bytes = encoded(&state);
    Millrace__Checkpoint__V1__Checkpoint *message =
        millrace__checkpoint__v1__checkpoint__unpack(NULL, bytes.size, bytes.data);
    ck_assert_ptr_nonnull(message);
    spoil(message);
    const size_t size = millrace__checkpoint__v1__checkpoint__get_packed_size(message);
    uint8_t *spoiled = malloc(size);
    millrace__checkpoint__v1__checkpoint__pack(message, spoiled);
    expect_refused(mr_bytes_of(spoiled, size));
    free(spoiled);
    millrace__checkpoint__v1__checkpoint__free_unpacked(message, NULL);
    mr_buffer_deinit(&bytes);
    mr_checkpoint_deinit(&state);
}

static void put_nan(Millrace__Checkpoint__V1__Checkpoint *message)
{
    const float nan = (float)NAN;
    memcpy(message->adam->second[2]->data.data, &nan, sizeof nan);
}
static void shrink_tensor(Millrace__Checkpoint__V1__Checkpoint *message)
{
    message->parameters[0]->data.len -= 4;
}
static void change_shape(Millrace__Checkpoint__V1__Checkpoint *message)
{
    message->parameters[0]->shape[0] += 1;
}
static void rename_tensor(Millrace__Checkpoint__V1__Checkpoint *message)
{
    message->adam->first[1]->name[0] = 'x';
}
static void drop_tensor(Millrace__Checkpoint__V1__Checkpoint *message)
{
    protobuf_c_message_free_unpacked(&message->parameters[--message->n_parameters]->base, NULL);
}
static void change_width(Millrace__Checkpoint__V1__Checkpoint *message)
{
    message->spec->network->layers[0]->linear->width = 4000;
}
static void change_power(Millrace__Checkpoint__V1__Checkpoint *message)
{
    message->adam->beta1_power = 1.5f;
}
static void change_id(Millrace__Checkpoint__V1__Checkpoint *message)
{
    message->model_id[0] = '/';
}
static void cut_previous(Millrace__Checkpoint__V1__Checkpoint *message)
{
    message->previous.len = 31;
}
static void change_profile(Millrace__Checkpoint__V1__Checkpoint *message)
{
    message->arithmetic_profile[3] = 'g';
}

static void (*const spoilers[])(Millrace__Checkpoint__V1__Checkpoint *) = {
    put_nan,      shrink_tensor, change_shape, rename_tensor, drop_tensor,
    change_width, change_power,  change_id,    cut_previous,  change_profile};

START_TEST(messages_that_do_not_fit_their_spec_are_refused)
{
    expect_refused_after(spoilers[_i]);
}
END_TEST

START_TEST(a_restart_keeps_weights_and_moments_alone)
{
    struct mr_checkpoint state = sample_state(sample_pricing_json);
    const struct mr_run_spec next = sample_spec_with(sample_pricing_json, "\"init_seed\": 11", "\"init_seed\": 12");
    const struct mr_run_spec other = sample_spec_with(sample_pricing_json, "{\"width\": 9}", "{\"width\": 8}");
    struct mr_checkpoint begun;
    ck_assert(!mr_failed(mr_checkpoint_restart(&state, &next, &begun)));
    ck_assert_mem_eq(begun.weights, state.weights, 3 * state.parameters * sizeof(float));
    ck_assert_uint_eq(begun.spec.init_seed, 12);
    ck_assert_uint_eq(begun.step, 0);
    ck_assert_uint_eq(begun.samples, 0);
    ck_assert(begun.beta1_power == 0.25f && !begun.has_previous);
    mr_checkpoint_deinit(&begun);
    const struct mr_error error = mr_checkpoint_restart(&state, &other, &begun);
    ck_assert_str_eq(error.code, "restart_mismatch");
    ck_assert_ptr_nonnull(strstr(error.detail, "layers.2.weight_re"));
    mr_checkpoint_deinit(&state);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, a_state_comes_back_and_has_one_encoding, 0, (int)MR_COUNT_OF(samples));
    tcase_add_test(tests, a_copy_is_equal_and_its_own);
    tcase_add_test(tests, initial_weights_are_xavier_uniform);
    tcase_add_test(tests, damaged_bytes_are_refused_or_mean_another_state);
    tcase_add_test(tests, random_bytes_are_refused);
    tcase_add_test(tests, deep_nesting_is_refused);
    tcase_add_loop_test(tests, messages_that_do_not_fit_their_spec_are_refused, 0, (int)MR_COUNT_OF(spoilers));
    tcase_add_test(tests, a_restart_keeps_weights_and_moments_alone);
}

int main(void)
{
    return check_main("model_checkpoint", add);
}
