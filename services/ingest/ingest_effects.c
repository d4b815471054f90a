#include "ingest_effects.h"

#include "ingest_memory.h"
#include "ingest_verdict.h"
#include "millrace/hash.h"
#include "millrace/retry.h"

#include <stdlib.h>

enum { FOLD_VERSION = 1 }; /* of the states that are cached: another one is folded anew */

struct ingest_effects {
    struct mr_service *service;
    uint64_t max_record_bytes, max_inline_bytes;
    struct mr_arena fold_arena;      /* a fold has no turns */
    struct ingest_memory **memories; /* by partition; NULL: not assigned */
    uint32_t partitions;
};

static void partition_close(void *self, uint32_t partition)
{
    struct ingest_effects *effects = self;
    if (partition < effects->partitions) {
        ingest_memory_free(effects->memories[partition]);
        effects->memories[partition] = NULL;
    }
}

static struct mr_error partition_open(void *self, uint32_t partition)
{
    struct ingest_effects *effects = self;
    const uint32_t count = effects->service->deployment.partitions;
    uint64_t seed;
    MR_TRY(mr_random(&seed, sizeof seed));
    if (effects->memories == NULL) {
        effects->memories = calloc(count, sizeof(struct ingest_memory *));
        effects->partitions = effects->memories == NULL ? 0 : count;
    }
    partition_close(self, partition);
    struct ingest_memory *memory = partition < effects->partitions ? ingest_memory_new(seed) : NULL;
    if (memory == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the state of partition %u", (unsigned)partition);
    }
    effects->memories[partition] = memory;
    return mr_ok();
}

static struct ingest_limits limits_of(const struct ingest_effects *effects)
{
    return (struct ingest_limits){.max_record_bytes = effects->max_record_bytes,
                                  .max_inline_bytes = effects->max_inline_bytes,
                                  .partitions = effects->service->deployment.partitions};
}

static struct mr_error fold(void *self, const struct mr_log_record *output)
{
    struct ingest_effects *effects = self;
    struct ingest_record record;
    mr_arena_reset(&effects->fold_arena);
    MR_TRY(ingest_codec_fold(output, &effects->fold_arena, &record));
    return ingest_memory_accept(effects->memories[output->partition], &record);
}

static struct mr_error fold_save(void *self, const struct mr_lane *lane, struct mr_buffer *state)
{
    const struct ingest_effects *effects = self;
    return ingest_memory_save(effects->memories[lane->partition], lane->model_id, state);
}

static struct mr_error fold_load(void *self, const struct mr_lane *lane, struct mr_bytes state)
{
    struct ingest_effects *effects = self;
    return ingest_memory_load(effects->memories[lane->partition], lane->model_id, state);
}

/* The value to write, and the memory of it: both or neither. */
static struct mr_error accept(struct ingest_effects *effects, const struct mr_item *item,
                              const struct ingest_record *record, struct mr_verdict *verdict)
{
    struct mr_stage *stage = effects->service->stage;
    const struct mr_stage_stamp stamp = mr_stage_stamp(stage, item, MR_TOPIC_INGESTED);
    struct mr_stage_output *output = &verdict->outputs[0];
    *output = (struct mr_stage_output){.topic = MR_TOPIC_INGESTED, .type = "millrace.batch.v1.Ingested"};
    MR_TRY(ingest_codec_write(&stamp, item->record, record->replay_of, mr_stage_arena(stage), &output->value));
    verdict->output_count = 1;
    return ingest_memory_accept(effects->memories[item->lane->partition], record);
}

static struct ingest_event failure_of(const struct ingest_effects *effects, const struct mr_item *item)
{
    return (struct ingest_event){
        .kind = INGEST_EVENT_FAILED,
        .of = {.failed = {.policy = effects->service->retry,
                          .failed_before = item->attempt,
                          .event_hash = mr_retry_event(item->lane->partition, item->origin),
                          .now_ms = mr_stage_now_ms(effects->service->stage)}},
    };
}

static void keep_reason(struct mr_item *item, const struct ingest_decision *decision)
{
    if (decision->kind == INGEST_DECISION_REJECTED || decision->kind == INGEST_DECISION_RETRY_EXHAUSTED) {
        item->state = (void *)(uintptr_t)decision->of.reason; /* a number: nothing to free */
    }
}

static struct mr_verdict handle(void *self, struct mr_item *item, enum mr_stage_event_kind event)
{
    (void)event; /* nothing here waits, so every event is a begin */
    struct ingest_effects *effects = self;
    const struct ingest_limits limits = limits_of(effects);
    struct ingest_view view = {.run = INGEST_RUN_UNKNOWN, .producer = INGEST_PRODUCER_NEW};
    struct ingest_record record = {.record_bytes = item->record->value.size};
    struct ingest_event happened = {.kind = INGEST_EVENT_SUBMITTED};
    struct mr_verdict verdict;
    struct mr_error error = ingest_codec_read(item->record, &limits, mr_stage_arena(effects->service->stage), &record);
    if (!mr_failed(error)) {
        view = ingest_memory_view(effects->memories[item->lane->partition], &record);
        happened.of.submitted = record.facts;
        const struct ingest_decision decision = ingest_decide(&view, &happened);
        verdict = ingest_verdict_of(&decision, &record, &view, &limits);
        keep_reason(item, &decision);
        error = verdict.kind == MR_VERDICT_EMIT ? accept(effects, item, &record, &verdict) : mr_ok();
    }
    if (mr_failed(error)) {
        happened = failure_of(effects, item);
        const struct ingest_decision decision = ingest_decide(&view, &happened);
        verdict = ingest_verdict_of(&decision, &record, &view, &limits);
        keep_reason(item, &decision);
    }
    return verdict;
}

/* A dead letter that is acknowledged is the end of its record: the vocabulary's last word on it. */
static void resolved(void *self, struct mr_item *item)
{
    const struct ingest_effects *effects = self;
    if (item->state == NULL) {
        return;
    }
    const struct ingest_view view = {.run = INGEST_RUN_UNKNOWN, .producer = INGEST_PRODUCER_NEW};
    const struct ingest_event buried = {
        .kind = INGEST_EVENT_BURIED,
        .of = {.buried = {.reason = (enum ingest_reason)(uintptr_t)item->state}},
    };
    const struct ingest_decision decision = ingest_decide(&view, &buried);
    const char *name = ingest_decision_text(decision.kind);
    mr_stage_count(effects->service->stage, name);
    MR_TRACE(&effects->service->trace, MR_TRACE_INFO, name, mr_text("model", item->lane->model_id),
             mr_count("partition", item->lane->partition), mr_count("origin", item->origin),
             mr_text("reason", ingest_reason_text(decision.of.reason)));
}

static const struct mr_stage_ops ops = {
    .partition_open = partition_open,
    .partition_close = partition_close,
    .fold = fold,
    .fold_save = fold_save,
    .fold_load = fold_load,
    .handle = handle,
    .resolved = resolved,
};

struct mr_error ingest_effects_open(void *config, struct mr_service *service, struct mr_stage_spec *ret_spec)
{
    const struct ingest_config *options = config;
    struct ingest_effects *effects = calloc(1, sizeof *effects);
    if (effects == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the effects");
    }
    effects->service = service;
    effects->max_record_bytes = options->max_record_bytes;
    effects->max_inline_bytes = options->max_inline_bytes;
    *ret_spec = (struct mr_stage_spec){
        .name = "ingest",
        .inputs = {{.topic = MR_TOPIC_SUBMITTED, .entry = true, .marks_from = MR_TOPIC_INGESTED}},
        .input_count = 1,
        .outputs = {MR_TOPIC_INGESTED},
        .output_count = 1,
        .retry_topic = MR_TOPIC_RETRIES_INGEST,
        .fold_version = FOLD_VERSION,
        .ops = &ops,
        .self = effects,
    };
    return mr_ok();
}

void ingest_effects_close(void *self)
{
    struct ingest_effects *effects = self;
    if (effects == NULL) {
        return;
    }
    for (uint32_t i = 0; i < effects->partitions; i++) {
        ingest_memory_free(effects->memories[i]);
    }
    mr_arena_deinit(&effects->fold_arena);
    free(effects->memories);
    free(effects);
}
