#include "events.h"

#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/hash.h"
#include "millrace/spec.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SPEC_SIZE = 1024, BATCH_ID_SIZE = 32 };

/* No hidden layer: one linear layer from the features to the targets is what every network ends with. */
static const char spec_text[] =
    "{\"labelled\": {\"features\": %d, \"targets\": %d}, \"network\": {},"
    " \"optimiser\": {\"beta1\": 0.9, \"beta2\": 0.999, \"epsilon\": 1e-8},"
    " \"schedule\": {\"constant\": {\"learning_rate\": 0.001}}, \"commit_plan\": %s, \"init_seed\": 1,"
    " \"dtype_policy\": \"keep\", \"version_bump\": \"patch\", \"arithmetic_profile\": \"mr-f32-v1\"}";

void bench_model_id(const struct bench_plan *plan, uint64_t model, char ret_id[MR_ID_SIZE])
{
    (void)snprintf(ret_id, MR_ID_SIZE, "%.40s-%05" PRIu64, plan->name, model);
}

uint64_t bench_versions_due(const struct bench_plan *plan, uint64_t first, uint64_t count, bool stop)
{
    uint64_t due = 0;
    for (uint64_t model = 0; model < plan->models; model++) {
        const uint64_t last = plan->models - 1 - model; /* rounds up to the model's turn */
        const uint64_t before = (first + last) / plan->models, after = (first + count + last) / plan->models;
        const bool closed = plan->commit_every > 0 && after > 0 && after % plan->commit_every == 0;
        due += plan->commit_every > 0 ? after / plan->commit_every - before / plan->commit_every : 0;
        due += stop && !closed ? 1 : 0;
    }
    return due;
}

static struct mr_error pack(const Millrace__Batch__V1__Submitted *event, struct mr_buffer *ret_value)
{
    MR_TRY(mr_buffer_reserve(ret_value, millrace__batch__v1__submitted__get_packed_size(event)));
    ret_value->size = millrace__batch__v1__submitted__pack(event, ret_value->data);
    return mr_ok();
}

/* protobuf-c has no const fields; what is packed is not changed. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

static struct mr_error make_spec(const struct bench_plan *plan, Millrace__Run__V1__RunSpec **ret_spec)
{
    char commits[96] = "{\"final_commit\": {}}", text[SPEC_SIZE];
    if (plan->commit_every > 0) {
        (void)snprintf(commits, sizeof commits, "{\"final_and_interval_commit\": {\"every_steps\": %" PRIu64 "}}",
                       plan->commit_every);
    }
    (void)snprintf(text, sizeof text, spec_text, BENCH_FEATURES, BENCH_TARGETS, commits);
    struct mr_field_fault fault;
    return mr_run_spec_from_json(mr_bytes_of_text(text), ret_spec, &fault);
}

struct mr_error bench_encode_start(const struct bench_plan *plan, uint64_t model, struct mr_buffer *ret_value)
{
    char model_id[MR_ID_SIZE];
    bench_model_id(plan, model, model_id);
    Millrace__Run__V1__RunStarted started;
    millrace__run__v1__run_started__init(&started);
    started.model_id = model_id;
    started.run_id = text_of(plan->name);
    MR_TRY(make_spec(plan, &started.spec));
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STARTED;
    event.run_started = &started;
    const struct mr_error error = pack(&event, ret_value);
    millrace__run__v1__run_spec__free_unpacked(started.spec, NULL);
    return error;
}

struct mr_error bench_encode_stop(const struct bench_plan *plan, uint64_t model, struct mr_buffer *ret_value)
{
    char model_id[MR_ID_SIZE];
    bench_model_id(plan, model, model_id);
    Millrace__Run__V1__RunStopped stopped;
    millrace__run__v1__run_stopped__init(&stopped);
    stopped.model_id = model_id;
    stopped.run_id = text_of(plan->name);
    stopped.outcome = MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_COMPLETED;
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STOPPED;
    event.run_stopped = &stopped;
    return pack(&event, ret_value);
}

/* Values in [-1, 1), another for each number and place. */
static void fill(uint64_t number, float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(mr_mix64(number * count + i) >> 40) / 8388608.0F - 1.0F;
    }
}

static Millrace__Common__V1__Tensor tensor_of(uint64_t *shape, size_t axes, const float *values, size_t bytes)
{
    Millrace__Common__V1__Tensor tensor;
    millrace__common__v1__tensor__init(&tensor);
    tensor.dtype = MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32;
    tensor.n_shape = axes;
    tensor.shape = shape;
    tensor.content_case = MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA;
    tensor.data = (ProtobufCBinaryData){bytes, (uint8_t *)(uintptr_t)values};
    return tensor;
}

struct payload {
    float features[BENCH_ROWS][BENCH_FEATURES], targets[BENCH_ROWS][BENCH_TARGETS][2];
    uint64_t features_shape[2], targets_shape[3];
    Millrace__Common__V1__Tensor x, y;
    Millrace__Batch__V1__Labelled labelled;
};

static void payload_init(struct payload *payload, uint64_t number)
{
    _Static_assert(sizeof payload->features + sizeof payload->targets == BENCH_PAYLOAD_BYTES, "1 KiB of payload");
    *payload = (struct payload){.features_shape = {BENCH_ROWS, BENCH_FEATURES},
                                .targets_shape = {BENCH_ROWS, BENCH_TARGETS, 2}};
    fill(2 * number, &payload->features[0][0], sizeof payload->features / sizeof(float));
    fill(2 * number + 1, &payload->targets[0][0][0], sizeof payload->targets / sizeof(float));
    payload->x = tensor_of(payload->features_shape, 2, &payload->features[0][0], sizeof payload->features);
    payload->y = tensor_of(payload->targets_shape, 3, &payload->targets[0][0][0], sizeof payload->targets);
    millrace__batch__v1__labelled__init(&payload->labelled);
    payload->labelled.features = &payload->x;
    payload->labelled.targets = &payload->y;
}

struct mr_error bench_encode_batch(const struct bench_plan *plan, uint64_t number, struct mr_buffer *ret_value)
{
    struct payload payload;
    payload_init(&payload, number);
    /* Numbered as `millrace submit` does it, so that ingest recognises duplicates. */
    Millrace__Batch__V1__Producer producer;
    millrace__batch__v1__producer__init(&producer);
    producer.producer_id = text_of(plan->name);
    producer.epoch = 1;
    producer.sequence = number + 1;
    char model_id[MR_ID_SIZE], batch_id[BATCH_ID_SIZE];
    bench_model_id(plan, bench_model_of(plan, number), model_id);
    (void)snprintf(batch_id, sizeof batch_id, "b%010" PRIu64, number);
    Millrace__Batch__V1__Batch batch;
    millrace__batch__v1__batch__init(&batch);
    batch.run_id = text_of(plan->name);
    batch.model_id = model_id;
    batch.batch_id = batch_id;
    batch.producer = &producer;
    batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED;
    batch.labelled = &payload.labelled;
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH;
    event.batch = &batch;
    return pack(&event, ret_value);
}

struct mr_error bench_encode_poison(const struct bench_plan *plan, uint64_t number, const char *claim,
                                    struct mr_buffer *ret_value)
{
    enum { OTHER_RUN, NOT_A_NUMBER, CLAIM, KINDS };
    struct payload payload;
    uint8_t hash[MR_SHA256_SIZE] = {0};
    char model_id[MR_ID_SIZE], batch_id[BATCH_ID_SIZE], uri[PATH_MAX];
    /* Kinds and models in step would give each model but one kind. */
    const uint64_t kind = (number / plan->poison_models + number) % KINDS;
    payload_init(&payload, number);
    bench_model_id(plan, bench_poison_model_of(plan, number), model_id);
    (void)snprintf(batch_id, sizeof batch_id, "poison%010" PRIu64, number);
    (void)snprintf(uri, sizeof uri, "file://%s", claim);
    Millrace__Common__V1__ClaimCheck check;
    millrace__common__v1__claim_check__init(&check);
    check.uri = uri;
    check.size = sizeof payload.features;
    check.sha256 = (ProtobufCBinaryData){sizeof hash, hash};
    if (kind == CLAIM) {
        payload.x.content_case = MILLRACE__COMMON__V1__TENSOR__CONTENT_CLAIM;
        payload.x.claim = &check;
    } else if (kind == NOT_A_NUMBER) {
        payload.features[0][0] = NAN;
    }
    Millrace__Batch__V1__Batch batch;
    millrace__batch__v1__batch__init(&batch);
    batch.run_id = text_of(kind == OTHER_RUN ? "never-started" : plan->name);
    batch.model_id = model_id;
    batch.batch_id = batch_id;
    batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED;
    batch.labelled = &payload.labelled;
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH;
    event.batch = &batch;
    return pack(&event, ret_value);
}
