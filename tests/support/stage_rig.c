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
    const struct rig *rig = self;
    return rig->now_ms + rig->wall_shift_ms;
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

/* ---- The state ----------------------------------------------------------------------------------------- */

static struct rig_state *state_of(struct rig *rig, uint32_t partition, const char *model)
{
    MR_ASSERT(partition < RIG_PARTITIONS_MAX && rig->states[partition] != NULL);
    uint64_t hash = 0;
    for (const char *c = model; *c != '\0'; c++) {
        hash = mr_mix64(hash ^ (uint64_t)(unsigned char)*c);
    }
    for (size_t i = 0; i < rig->models_max; i++) {
        struct rig_state *state = &rig->states[partition][(hash + i) % rig->models_max];
        if (!state->some) {
            state->some = true;
            snprintf(state->model, sizeof state->model, "%s", model);
        }
        if (strcmp(state->model, model) == 0) {
            return state;
        }
    }
    ck_abort_msg("more than %zu models", rig->models_max);
    return NULL;
}

static void change(struct rig_state *state, uint64_t origin)
{
    state->outputs++;
    state->digest = mr_mix64(state->digest ^ origin);
}

static void show(const struct rig_state *state, char ret_text[RIG_STATE_SIZE])
{
    snprintf(ret_text, RIG_STATE_SIZE, "%llu origins: %08llx", (unsigned long long)state->outputs,
             (unsigned long long)(state->digest & 0xffffffff));
}

void rig_state_text(const uint64_t *origins, size_t count, char ret_text[RIG_STATE_SIZE])
{
    struct rig_state state = {.some = true};
    for (size_t i = 0; i < count; i++) {
        change(&state, origins[i]);
    }
    show(&state, ret_text);
}

static void rig_partition_close(void *self, uint32_t partition)
{
    struct rig *rig = self;
    free(rig->states[partition]);
    rig->states[partition] = NULL;
}

static struct mr_error rig_partition_open(void *self, uint32_t partition)
{
    struct rig *rig = self;
    rig_partition_close(self, partition);
    rig->states[partition] = calloc(rig->models_max, sizeof *rig->states[partition]);
    return mr_ok();
}

static struct mr_error rig_fold(void *self, const struct mr_log_record *output)
{
    struct rig *rig = self;
    Millrace__Batch__V1__Ingested *message =
        millrace__batch__v1__ingested__unpack(NULL, output->value.size, output->value.data);
    change(state_of(rig, output->partition, message->stamp->model_id), message->stamp->origin->offset);
    millrace__batch__v1__ingested__free_unpacked(message, NULL);
    rig->folded++;
    return mr_ok();
}

static struct mr_error rig_fold_save(void *self, const struct mr_lane *lane, struct mr_buffer *state)
{
    struct rig *rig = self;
    const struct rig_state *mine = state_of(rig, lane->partition, lane->model_id);
    const uint64_t words[2] = {mine->outputs, mine->digest};
    MR_TRY(mr_buffer_append(state, words, sizeof words));
    MR_TRY(mr_buffer_reserve(state, state->size + rig->state_padding));
    memset(state->data + state->size, (int)(mine->outputs & 0xff), rig->state_padding);
    state->size += rig->state_padding;
    return mr_ok();
}

static struct mr_error rig_fold_load(void *self, const struct mr_lane *lane, struct mr_bytes state)
{
    struct rig *rig = self;
    struct rig_state *mine = state_of(rig, lane->partition, lane->model_id);
    uint64_t words[2];
    if (state.size < sizeof words) {
        return mr_error_make(MR_ERROR_REJECT, "unreadable", 0, "%zu bytes", state.size);
    }
    memcpy(words, state.data, sizeof words);
    for (size_t i = sizeof words; i < state.size; i++) {
        ck_assert_uint_eq(state.data[i], words[0] & 0xff);
    }
    mine->outputs = words[0];
    mine->digest = words[1];
    rig->loaded++;
    return mr_ok();
}

/* ---- Verdicts ------------------------------------------------------------------------------------------ */

static struct mr_verdict emitted(struct rig *rig, const struct mr_item *item, const char *word)
{
    struct rig_state *state = state_of(rig, item->lane->partition, item->lane->model_id);
    char *text = mr_arena_alloc(mr_stage_arena(rig->stage), RIG_STATE_SIZE);
    struct mr_log_header *header = mr_arena_alloc(mr_stage_arena(rig->stage), sizeof *header);
    change(state, item->origin);
    show(state, text);
    *header = (struct mr_log_header){"test_state", mr_bytes_of_text(text)};
    const struct mr_stage_stamp stamp = mr_stage_stamp(rig->stage, item, rig->spec.outputs[0]);
    struct mr_wire_stamp wire_stamp;
    Millrace__Batch__V1__Ingested message;
    struct mr_verdict verdict = {
        .kind = MR_VERDICT_EMIT,
        .decision = "Emitted",
        .outputs = {{.topic = rig->spec.outputs[0], .type = "test.Echo", .headers = header, .header_count = 1}},
        .output_count = 1,
    };
    message_init(&stamp, mr_bytes_of_text(word), &wire_stamp, &message);
    ck_assert(!mr_failed(mr_wire_pack(&message.base, mr_stage_arena(rig->stage), &verdict.outputs[0].value)));
    return verdict;
}

static struct mr_verdict retried(const struct rig *rig, const struct mr_item *item)
{
    const struct mr_retry retry =
        mr_retry_decide(MR_RETRY_DEFAULT, item->attempt, mr_retry_event(item->lane->partition, item->origin));
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
    .partition_open = rig_partition_open,
    .partition_close = rig_partition_close,
    .fold = rig_fold,
    .fold_save = rig_fold_save,
    .fold_load = rig_fold_load,
    .handle = rig_handle,
    .resolved = rig_resolved,
    .duplicate = rig_duplicate,
    .item_free = rig_item_free,
};

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
    rig->models_max = 64;
    rig->trace_to = -1;
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
        .fold_version = 1,
        .ops = &ops,
        .self = rig,
    };
    return rig;
}

struct mr_clock rig_clock(struct rig *rig)
{
    return (struct mr_clock){rig, rig_wall, rig_monotonic};
}

void rig_start(struct rig *rig)
{
    const struct mr_clock clock = rig_clock(rig);
    const bool told = rig->trace_to >= 0;
    rig->trace = (struct mr_trace){.descriptor = told ? dup(rig->trace_to) : open("/dev/null", O_WRONLY | O_CLOEXEC),
                                   .format = MR_TRACE_JSON,
                                   .least = told ? MR_TRACE_INFO : MR_TRACE_ALARM,
                                   .service = rig->spec.name,
                                   .clock = clock};
    rig->log = memory_log_new(rig->broker, rig->spec.name, rig->mode);
    const struct mr_stage_env env = {
        .log = rig->log,
        .clock = clock,
        .trace = &rig->trace,
        .metrics = rig->metrics,
        .store = rig->store,
        .deployment = &rig->deployment,
        .partitions = rig->mode == MR_LOG_ASSIGN ? rig->partitions : NULL,
        .partition_count = rig->partition_count,
        .window_records = rig->window_records,
        .window_bytes = 1 << 20,
        .parked_max = rig->parked_max,
        .fold_every = rig->fold_every,
        .fold_share = rig->fold_share,
        .retry = MR_RETRY_DEFAULT,
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

void rig_stop(struct rig *rig)
{
    for (int i = 0; i < 4000 && !rig->over; i++) {
        rig->over = !mr_stage_turn(rig->stage, 0, true, &rig->exit_code);
        rig->now_ms++;
    }
    ck_assert_msg(rig->over, "it does not stop");
    rig_crash(rig);
    rig->over = false;
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
