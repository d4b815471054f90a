#include "stage_rig.h"

#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/retry.h"
#include "millrace/wire.h"
#include "stamped.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t rig_wall(void *self)
{
    return ((struct rig *)self)->now_ms;
}

static int64_t rig_monotonic(void *self)
{
    return ((struct rig *)self)->now_ms * 1000;
}

/* A record that holds `value`: what is stamped is an Ingested. */
static void message_init(const struct mr_stage_stamp *stamp, struct mr_bytes value, struct mr_wire_stamp *wire_stamp,
                         Millrace__Batch__V1__Ingested *message)
{
    mr_wire_stamp_init(wire_stamp, stamp);
    millrace__batch__v1__ingested__init(message);
    message->stamp = &wire_stamp->message;
    message->submitted = mr_wire_lend(value);
}

/* What the record says: the value itself at the entry, the submitted bytes behind it. */
static void word_of(const struct rig *rig, const struct mr_item *item, char ret_word[16])
{
    struct mr_bytes word = item->record->value;
    Millrace__Batch__V1__Ingested *message = NULL;
    if (!rig->spec.inputs[0].entry) {
        message = millrace__batch__v1__ingested__unpack(NULL, word.size, word.data);
        word = mr_wire_view(message->submitted);
    }
    memset(ret_word, 0, 16);
    memcpy(ret_word, word.data, word.size < 15 ? word.size : 15);
    if (message != NULL) {
        millrace__batch__v1__ingested__free_unpacked(message, NULL);
    }
}

static struct mr_verdict emitted(struct rig *rig, const struct mr_item *item, const char *word)
{
    const struct mr_stage_stamp stamp = mr_stage_stamp(rig->stage, item, rig->spec.outputs[0]);
    struct mr_wire_stamp wire_stamp;
    Millrace__Batch__V1__Ingested message;
    struct mr_verdict verdict = {
        .kind = MR_VERDICT_EMIT,
        .decision = "Emitted",
        .outputs = {{.topic = rig->spec.outputs[0], .type = "test.Echo"}},
        .output_count = 1,
    };
    message_init(&stamp, mr_bytes_of_text(word), &wire_stamp, &message);
    ck_assert(!mr_failed(mr_wire_pack(&message.base, mr_stage_arena(rig->stage), &verdict.outputs[0].value)));
    return verdict;
}

static struct mr_verdict retried(const struct rig *rig, const struct mr_item *item)
{
    const struct mr_retry retry = mr_retry_decide(item->attempt, mr_retry_event(item->lane->partition, item->origin));
    if (retry.kind == MR_RETRY_EXHAUSTED) {
        return (struct mr_verdict){.kind = MR_VERDICT_DEAD_LETTER, .decision = "RetryExhausted", .reason = "exhausted"};
    }
    return (struct mr_verdict){
        .kind = MR_VERDICT_RETRY, .decision = "RetryScheduled", .due_ms = rig->now_ms + retry.wait_ms};
}

static struct mr_verdict rig_handle(void *self, struct mr_item *item, enum mr_stage_event_kind event)
{
    struct rig *rig = self;
    char word[16];
    word_of(rig, item, word);
    rig->probes += event == MR_STAGE_PROBE;
    if (event == MR_STAGE_BEGIN && rig->call_count < RIG_CALLS_MAX) {
        struct rig_call *call = &rig->calls[rig->call_count++];
        snprintf(call->model, sizeof call->model, "%s", item->lane->model_id);
        call->origin = item->origin;
        call->attempt = item->attempt;
    }
    if (strcmp(word, "drop") == 0) {
        return (struct mr_verdict){.kind = MR_VERDICT_DROP, .decision = "Dropped"};
    }
    if (strcmp(word, "dead") == 0) {
        return (struct mr_verdict){.kind = MR_VERDICT_DEAD_LETTER, .decision = "DeadLettered", .reason = "said_so"};
    }
    if (strcmp(word, "stop") == 0) {
        return (struct mr_verdict){.kind = MR_VERDICT_STOP_MODEL, .decision = "Stopped"};
    }
    if (strncmp(word, "fail", 4) == 0 && item->attempt < (uint32_t)(word[4] - '0')) {
        return retried(rig, item);
    }
    if (strcmp(word, "down") == 0 && !rig->dependency_up) {
        return (struct mr_verdict){.kind = MR_VERDICT_DEPENDENCY_DOWN, .decision = "DependencyDown"};
    }
    if (strcmp(word, "busy") == 0 && event == MR_STAGE_BEGIN) {
        MR_ASSERT(rig->busy_count < RIG_BUSY_MAX);
        rig->busy[rig->busy_count++] = item;
        return (struct mr_verdict){.kind = MR_VERDICT_BUSY, .decision = "Busy"};
    }
    return emitted(rig, item, word);
}

static void rig_resolved(void *self, struct mr_item *item)
{
    (void)item;
    ((struct rig *)self)->resolved++;
}

static void rig_duplicate(void *self, struct mr_item *item)
{
    (void)item;
    ((struct rig *)self)->duplicates++;
}

static void rig_item_free(void *self, struct mr_item *item)
{
    struct rig *rig = self;
    for (size_t i = 0; i < rig->busy_count; i++) {
        if (rig->busy[i] == item) {
            rig->busy_count--;
            memmove(&rig->busy[i], &rig->busy[i + 1], (rig->busy_count - i) * sizeof rig->busy[0]);
        }
    }
}

static const struct mr_stage_ops ops = {
    .handle = rig_handle, .resolved = rig_resolved, .duplicate = rig_duplicate, .item_free = rig_item_free};

void rig_create_topics(struct memory_broker *broker)
{
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        memory_broker_create(broker, mr_topics[i], 2);
    }
}

struct rig *rig_new(struct memory_broker *broker, const char *name, const char *input, const char *output,
                    const char *retry)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->broker = broker;
    rig->calls = calloc(RIG_CALLS_MAX, sizeof *rig->calls);
    rig->metrics = mr_metrics_new(name);
    rig->deployment.partitions = 2;
    memset(rig->deployment.log_id.bytes, 0xab, MR_LOG_ID_SIZE);
    rig->partitions[0] = 0;
    rig->partitions[1] = 1;
    rig->partition_count = 2;
    rig->window_records = 64;
    rig->parked_max = 10000;
    rig->mode = MR_LOG_ASSIGN;
    rig->now_ms = 1000000;
    rig->dependency_up = true;
    rig->spec = (struct mr_stage_spec){
        .name = name,
        .inputs = {{.topic = input, .entry = strcmp(input, MR_TOPIC_SUBMITTED) == 0, .marks_from = output}},
        .input_count = 1,
        .outputs = {output},
        .output_count = 1,
        .retry_topic = retry,
        .ops = &ops,
        .self = rig,
    };
    return rig;
}

void rig_start(struct rig *rig)
{
    const struct mr_clock clock = {rig, rig_wall, rig_monotonic};
    rig->trace = (struct mr_trace){.descriptor = open("/dev/null", O_WRONLY | O_CLOEXEC),
                                   .format = MR_TRACE_JSON,
                                   .least = MR_TRACE_ALARM,
                                   .service = rig->spec.name,
                                   .clock = clock};
    rig->log = memory_log_new(rig->broker, rig->spec.name, rig->mode);
    const struct mr_stage_env env = {
        .log = rig->log,
        .clock = clock,
        .trace = &rig->trace,
        .metrics = rig->metrics,
        .deployment = &rig->deployment,
        .partitions = rig->mode == MR_LOG_ASSIGN ? rig->partitions : NULL,
        .partition_count = rig->partition_count,
        .window_records = rig->window_records,
        .window_bytes = 1 << 20,
        .parked_max = rig->parked_max,
        .probe_ms = 100,
        .stop_wait_ms = 1000,
    };
    rig->over = mr_failed(mr_stage_new(&rig->spec, &env, &rig->stage));
}

void rig_crash(struct rig *rig)
{
    if (rig->stage != NULL) {
        mr_stage_free(rig->stage);
        rig->log->ops->close(rig->log);
        close(rig->trace.descriptor);
        rig->stage = NULL;
        rig->busy_count = 0;
    }
}

void rig_free(struct rig *rig)
{
    rig_crash(rig);
    mr_metrics_free(rig->metrics);
    free(rig->calls);
    free(rig);
}

void rig_run(struct rig *rig)
{
    /* The in-memory log never waits: a few quiet turns mean that nothing is left to do. */
    for (int i = 0; i < 400 && !rig->over; i++) {
        rig->over = !mr_stage_turn(rig->stage, 0, false, &rig->exit_code);
        rig->now_ms++;
    }
}

void rig_finish(struct rig *rig)
{
    if (rig->busy_count == 0) {
        return;
    }
    struct mr_item *item = rig->busy[0];
    rig->busy_count--;
    memmove(&rig->busy[0], &rig->busy[1], rig->busy_count * sizeof rig->busy[0]);
    mr_stage_resume(rig->stage, item);
}

uint64_t rig_submit(struct memory_broker *broker, const char *topic, uint32_t partition, const char *model,
                    const char *value)
{
    const struct mr_log_output output = {.topic = topic,
                                         .partition = partition,
                                         .has_key = model != NULL,
                                         .key = mr_bytes_of_text(model == NULL ? "" : model),
                                         .has_value = true,
                                         .value = mr_bytes_of_text(value)};
    return memory_broker_append(broker, &output);
}

uint64_t rig_stamped(struct memory_broker *broker, const char *topic, uint32_t partition, const char *model,
                     uint64_t origin, int64_t prev, const char *value)
{
    const struct mr_stage_stamp stamp = stamped_by(model, partition, origin, prev);
    struct mr_wire_stamp wire_stamp;
    Millrace__Batch__V1__Ingested message;
    message_init(&stamp, mr_bytes_of_text(value), &wire_stamp, &message);
    return stamped_append(broker, topic, &stamp, &message.base);
}
