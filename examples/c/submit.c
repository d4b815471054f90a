/*
 * Submits a whole run of labelled batches: start, 20 batches, stop. The model learns the complex number x + iy from the
 * features (x, y).
 *
 *   example-submit BROKERS MODEL RUN
 *
 * Three things matter to a producer: the key is the model id, the partitioner is murmur2, and batches are numbered, so
 * that one that is sent twice counts once.
 */
#include "millrace/batch/v1/batch.pb-c.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TOPIC "millrace.batches.submitted.v1"

enum { BATCHES = 20, ROWS = 32, FLUSH_MS = 10000 };

static int undelivered;

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    (void)producer;
    (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)fprintf(stderr, "not delivered: %s\n", rd_kafka_err2str(message->err));
        undelivered++;
    }
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        (void)fprintf(stderr, "%s\n", why);
        exit(64);
    }
}

static rd_kafka_t *open_producer(const char *brokers)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "partitioner", "murmur2_random");
    set(conf, "enable.idempotence", "true");
    /* The development broker does not enforce idempotence: one request at a time keeps the order there. */
    set(conf, "max.in.flight.requests.per.connection", "1");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (producer == NULL) {
        (void)fprintf(stderr, "%s\n", why);
        exit(64);
    }
    return producer;
}

static void send_event(rd_kafka_t *producer, const char *model, const Millrace__Batch__V1__Submitted *event)
{
    const size_t size = millrace__batch__v1__submitted__get_packed_size(event);
    uint8_t *value = malloc(size);
    if (value == NULL) {
        abort();
    }
    (void)millrace__batch__v1__submitted__pack(event, value);
    rd_kafka_vu_t parts[4] = {{.vtype = RD_KAFKA_VTYPE_TOPIC},
                              {.vtype = RD_KAFKA_VTYPE_KEY},
                              {.vtype = RD_KAFKA_VTYPE_VALUE},
                              {.vtype = RD_KAFKA_VTYPE_MSGFLAGS}};
    char key[64];
    const int key_size = snprintf(key, sizeof key, "%s", model);
    parts[0].u.cstr = TOPIC;
    parts[1].u.mem.ptr = key;
    parts[1].u.mem.size = (size_t)key_size;
    parts[2].u.mem.ptr = value;
    parts[2].u.mem.size = size;
    parts[3].u.i = RD_KAFKA_MSG_F_COPY;
    rd_kafka_error_t *error = rd_kafka_produceva(producer, parts, 4);
    if (error != NULL) {
        (void)fprintf(stderr, "not sent: %s\n", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        undelivered++;
    }
    free(value);
}

/* Everything that the weights depend on besides the batches; docs/formats.md explains each field. */
static void send_start(rd_kafka_t *producer, char *model, char *run)
{
    static char profile[] = "mr-f32-v1";
    Millrace__Run__V1__LabelledJob job;
    millrace__run__v1__labelled_job__init(&job);
    job.features = 2;
    job.targets = 1;
    Millrace__Run__V1__Linear linear;
    millrace__run__v1__linear__init(&linear);
    linear.width = 8;
    Millrace__Run__V1__Activation activation;
    millrace__run__v1__activation__init(&activation);
    activation.kind = MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_CSILU;
    Millrace__Run__V1__Layer first;
    millrace__run__v1__layer__init(&first);
    Millrace__Run__V1__Layer second;
    millrace__run__v1__layer__init(&second);
    first.kind_case = MILLRACE__RUN__V1__LAYER__KIND_LINEAR;
    first.linear = &linear;
    second.kind_case = MILLRACE__RUN__V1__LAYER__KIND_ACTIVATION;
    second.activation = &activation;
    Millrace__Run__V1__Layer *layers[] = {&first, &second};
    Millrace__Run__V1__Network network;
    millrace__run__v1__network__init(&network);
    network.layers = layers;
    network.n_layers = 2;
    Millrace__Run__V1__Optimiser optimiser;
    millrace__run__v1__optimiser__init(&optimiser);
    optimiser.beta1 = 0.9F;
    optimiser.beta2 = 0.999F;
    optimiser.epsilon = 1e-8F;
    Millrace__Run__V1__Constant constant;
    millrace__run__v1__constant__init(&constant);
    constant.learning_rate = 0.01F;
    Millrace__Run__V1__Schedule schedule;
    millrace__run__v1__schedule__init(&schedule);
    schedule.kind_case = MILLRACE__RUN__V1__SCHEDULE__KIND_CONSTANT;
    schedule.constant = &constant;
    Millrace__Run__V1__FinalCommit final;
    millrace__run__v1__final_commit__init(&final);
    Millrace__Run__V1__CommitPlan plan;
    millrace__run__v1__commit_plan__init(&plan);
    plan.plan_case = MILLRACE__RUN__V1__COMMIT_PLAN__PLAN_FINAL_COMMIT;
    plan.final_commit = &final;

    Millrace__Run__V1__RunSpec spec;
    millrace__run__v1__run_spec__init(&spec);
    spec.job_case = MILLRACE__RUN__V1__RUN_SPEC__JOB_LABELLED;
    spec.labelled = &job;
    spec.network = &network;
    spec.optimiser = &optimiser;
    spec.schedule = &schedule;
    spec.commit_plan = &plan;
    spec.init_seed = 1;
    spec.dtype_policy = MILLRACE__RUN__V1__DTYPE_POLICY__DTYPE_POLICY_KEEP;
    spec.version_bump = MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_PATCH;
    spec.arithmetic_profile = profile;
    Millrace__Run__V1__RunStarted started;
    millrace__run__v1__run_started__init(&started);
    started.run_id = run;
    started.model_id = model;
    started.spec = &spec;
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STARTED;
    event.run_started = &started;
    send_event(producer, model, &event);
}

static Millrace__Common__V1__Tensor tensor_of(uint64_t *shape, size_t dimensions, float *values, size_t count)
{
    Millrace__Common__V1__Tensor tensor;
    millrace__common__v1__tensor__init(&tensor);
    tensor.dtype = MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32;
    tensor.shape = shape;
    tensor.n_shape = dimensions;
    tensor.content_case = MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA;
    tensor.data.data = (uint8_t *)values; /* little-endian, row by row */
    tensor.data.len = count * sizeof *values;
    return tensor;
}

static void send_batch(rd_kafka_t *producer, char *model, char *run, uint32_t epoch, uint64_t number)
{
    static char name[] = "example-submit";
    float features[ROWS][2], targets[ROWS][1][2];
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t part = 0; part < 2; part++) {
            features[row][part] = (float)((number * 31 + row * 7 + part * 13) % 97) / 97.0F - 0.5F;
            targets[row][0][part] = features[row][part];
        }
    }
    uint64_t features_shape[] = {ROWS, 2}, targets_shape[] = {ROWS, 1, 2};
    Millrace__Common__V1__Tensor x = tensor_of(features_shape, 2, &features[0][0], sizeof features / sizeof(float));
    Millrace__Common__V1__Tensor y = tensor_of(targets_shape, 3, &targets[0][0][0], sizeof targets / sizeof(float));
    Millrace__Batch__V1__Labelled labelled;
    millrace__batch__v1__labelled__init(&labelled);
    labelled.features = &x;
    labelled.targets = &y;
    Millrace__Batch__V1__Producer numbered;
    millrace__batch__v1__producer__init(&numbered);
    numbered.producer_id = name;
    numbered.epoch = epoch;
    numbered.sequence = number;
    char id[32];
    (void)snprintf(id, sizeof id, "batch-%u", (unsigned)number);
    Millrace__Batch__V1__Batch batch;
    millrace__batch__v1__batch__init(&batch);
    batch.run_id = run;
    batch.model_id = model;
    batch.batch_id = id;
    batch.producer = &numbered;
    batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED;
    batch.labelled = &labelled;
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH;
    event.batch = &batch;
    send_event(producer, model, &event);
}

static void send_stop(rd_kafka_t *producer, char *model, char *run)
{
    Millrace__Run__V1__RunStopped stopped;
    millrace__run__v1__run_stopped__init(&stopped);
    stopped.run_id = run;
    stopped.model_id = model;
    stopped.outcome = MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_COMPLETED;
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STOPPED;
    event.run_stopped = &stopped;
    send_event(producer, model, &event);
}

int main(int argc, char *argv[])
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: example-submit BROKERS MODEL RUN\n");
        return 64;
    }
    const uint32_t epoch = (uint32_t)time(NULL); /* a later start of this program counts its batches anew */
    rd_kafka_t *producer = open_producer(argv[1]);
    send_start(producer, argv[2], argv[3]);
    for (uint64_t number = 1; number <= BATCHES; number++) {
        send_batch(producer, argv[2], argv[3], epoch, number);
    }
    send_stop(producer, argv[2], argv[3]);
    if (rd_kafka_flush(producer, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        undelivered += rd_kafka_outq_len(producer);
    }
    rd_kafka_destroy(producer);
    if (undelivered > 0) {
        (void)fprintf(stderr, "%d of %d events were not acknowledged\n", undelivered, BATCHES + 2);
        return 75;
    }
    printf("%d events acknowledged\n", BATCHES + 2);
    return 0;
}
