#include "stage_gpu_effects.h"

#include "stage_gpu_codec.h"
#include "stage_gpu_fill.h"
#include "stage_gpu_queue.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stage_gpu_effects {
    struct mr_service *service;
    struct mr_arena_owner *owner;
    bool owns_owner;
    struct stage_gpu_rules rules;
    struct stage_gpu_queue queue;
    struct stage_gpu_fetch *fetches; /* on workers, or done and not collected */
    _Atomic(struct mr_log *) log;    /* to wake; NULL until the loop turns */
    uint32_t corrupt;                /* words, at the last turn */
    struct mr_counters staging;
    struct mr_metric *free_bytes, *leased_blocks, *consumer;
};

/* A record's memory between two calls of handle. */
struct work {
    struct stage_gpu_waiter waiter; /* first: a waiter is its work */
    struct mr_item *item;
    struct stage_gpu_state state;
    struct stage_gpu_event next; /* what RESUME brings */
    struct mr_lease lease;       /* from FILLED on */
    bool leased, resolved;
    struct mr_error fault;
    char detail[MR_ERROR_DETAIL_MAX];
};

static void count(struct stage_gpu_effects *effects, const char *name, const char *reason)
{
    const struct mr_label labels[] = {{"stage", "stage_gpu"}, {"decision", name}, {"reason", reason}};
    mr_counters_add(&effects->staging, effects->service->metrics, "millrace_staging_total",
                    "What was found and decided of batches on their way to the arena, by name.", labels,
                    MR_COUNT_OF(labels));
}

/* ---- Performing ---------------------------------------------------------------------------------------- */

/* What the performer sees; it lives for one call of handle. */
struct scene {
    struct stage_gpu_effects *effects;
    struct work *work;
    struct stage_gpu_record record;
    struct mr_arena_block block;
};

static struct stage_gpu_event plain(enum stage_gpu_event_kind kind)
{
    return (struct stage_gpu_event){.kind = kind};
}

static struct stage_gpu_event read_record(const struct scene *scene)
{
    /* The arena of `cpu` is host memory, and no device is known; a payload is in the record or in the store. */
    const struct stage_gpu_whereabouts where = {.answered = true, .in_store = scene->record.in_store};
    const struct stage_gpu_event event = {
        .kind = STAGE_GPU_EVENT_READ,
        .read = {.body = scene->record.body,
                 .placement = stage_gpu_placement_decide(&where),
                 .bytes = scene->record.shape.packed_bytes},
    };
    if (event.read.body == STAGE_GPU_BODY_TENSORS) {
        count(scene->effects, stage_gpu_placement_text(event.read.placement.kind), "");
    }
    return event;
}

static struct stage_gpu_event allocate(struct scene *scene)
{
    struct stage_gpu_effects *effects = scene->effects;
    struct stage_gpu_waiter *waiter = &scene->work->waiter;
    if (effects->queue.first != NULL && effects->queue.first != waiter) {
        return plain(STAGE_GPU_EVENT_EXHAUSTED); /* others came before */
    }
    const enum mr_arena_grant grant =
        mr_arena_owner_allocate(effects->owner, scene->record.shape.packed_bytes, &scene->block);
    if (grant != MR_ARENA_EXHAUSTED) {
        stage_gpu_queue_remove(&effects->queue, waiter);
    }
    switch (grant) {
    case MR_ARENA_GRANTED: return plain(STAGE_GPU_EVENT_GRANTED);
    case MR_ARENA_EXHAUSTED: return plain(STAGE_GPU_EVENT_EXHAUSTED);
    case MR_ARENA_TOO_LARGE: return plain(STAGE_GPU_EVENT_NEVER_FITS);
    }
    mr_unreachable(__func__);
}

static struct stage_gpu_event take_filled(struct work *work, const struct stage_gpu_filled *filled)
{
    work->fault = filled->fault;
    work->lease = filled->lease;
    work->leased = filled->event == STAGE_GPU_EVENT_FILLED && !mr_failed(filled->fault);
    (void)snprintf(work->detail, sizeof work->detail, "%s", filled->detail);
    return plain(filled->event);
}

static void unlist(struct stage_gpu_effects *effects, struct stage_gpu_fetch *fetch)
{
    if (fetch->before != NULL) {
        fetch->before->after = fetch->after;
    } else {
        effects->fetches = fetch->after;
    }
    if (fetch->after != NULL) {
        fetch->after->before = fetch->before;
    }
}

static void fetched(void *self, struct mr_stage_job *job, struct mr_item *item)
{
    struct stage_gpu_effects *effects = self;
    struct stage_gpu_fetch *fetch =
        (struct stage_gpu_fetch *)(void *)((uint8_t *)job - offsetof(struct stage_gpu_fetch, job));
    unlist(effects, fetch);
    if (item == NULL) {
        mr_arena_owner_withdraw(effects->owner, fetch->block.block, fetch->block.generation);
    } else {
        struct work *work = item->state;
        work->next = take_filled(work, &fetch->filled);
    }
    stage_gpu_fetch_free(fetch);
    if (item != NULL) {
        mr_stage_resume(effects->service->stage, item);
    }
}

/* True: `ret_event` is known at once. False: a worker fills, and RESUME brings the event. */
static bool fill(struct scene *scene, const struct stage_gpu_transfer *transfer, struct stage_gpu_event *ret_event)
{
    struct stage_gpu_effects *effects = scene->effects;
    const bool moves = transfer->kind == STAGE_GPU_TRANSFER_MOVE_TO_CPU;
    count(effects, stage_gpu_transfer_text(transfer->kind), moves ? stage_gpu_reason_text(transfer->of.reason) : "");
    if (!scene->record.in_store) {
        const struct stage_gpu_filled filled = stage_gpu_fill_now(effects->owner, &scene->block, &scene->record);
        *ret_event = take_filled(scene->work, &filled);
        return true;
    }
    struct stage_gpu_fetch *fetch =
        stage_gpu_fetch_new(effects->service->store, effects->owner, &scene->block, &scene->record);
    if (fetch == NULL) {
        mr_arena_owner_withdraw(effects->owner, scene->block.block, scene->block.generation);
        (void)snprintf(scene->work->detail, sizeof scene->work->detail, "out of memory for a payload");
        *ret_event = plain(STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE);
        return true;
    }
    fetch->job.done = fetched;
    fetch->after = effects->fetches;
    if (fetch->after != NULL) {
        fetch->after->before = fetch;
    }
    effects->fetches = fetch;
    mr_stage_work(effects->service->stage, scene->work->item, &fetch->job);
    return false;
}

/* ---- Verdicts ------------------------------------------------------------------------------------------ */

static struct mr_verdict verdict_of(const struct stage_gpu_decision *decision, enum mr_verdict_kind kind)
{
    return (struct mr_verdict){.kind = kind, .decision = stage_gpu_decision_text(decision->kind)};
}

static struct mr_verdict fatal(const char *decision, const char *detail)
{
    struct mr_verdict verdict = {.kind = MR_VERDICT_FATAL, .decision = decision, .exit_code = MR_EXIT_SOFTWARE};
    (void)snprintf(verdict.detail, sizeof verdict.detail, "%s", detail);
    return verdict;
}

static struct mr_verdict emit(const struct scene *scene, const struct stage_gpu_decision *decision)
{
    struct mr_stage *stage = scene->effects->service->stage;
    const struct mr_item *item = scene->work->item;
    const struct mr_stage_stamp stamp = mr_stage_stamp(stage, item, MR_TOPIC_STAGED);
    struct mr_verdict verdict = verdict_of(decision, MR_VERDICT_EMIT);
    struct mr_stage_output *output = &verdict.outputs[0];
    *output = (struct mr_stage_output){.topic = MR_TOPIC_STAGED, .type = "millrace.batch.v1.Staged"};
    verdict.output_count = 1;
    const struct mr_error error = decision->kind == STAGE_GPU_DECISION_STAGE_INLINE
                                      ? stage_gpu_codec_write_inline(&stamp, item->record->offset, item->record->value,
                                                                     mr_stage_arena(stage), &output->value)
                                      : stage_gpu_codec_write_leased(&stamp, item->record->offset, &scene->record,
                                                                     scene->work->leased ? &scene->work->lease : NULL,
                                                                     mr_stage_arena(stage), &output->value);
    return mr_failed(error) ? fatal("OutOfMemory", error.detail) : verdict;
}

static struct mr_verdict await_room(const struct scene *scene, const struct stage_gpu_decision *decision)
{
    struct stage_gpu_effects *effects = scene->effects;
    struct work *work = scene->work;
    if (!work->waiter.waits) {
        stage_gpu_queue_push(&effects->queue, &work->waiter);
        count(effects, stage_gpu_decision_text(decision->kind), stage_gpu_reason_text(decision->of.reason));
        MR_TRACE(&effects->service->trace, MR_TRACE_DEBUG, stage_gpu_decision_text(decision->kind),
                 mr_text("reason", stage_gpu_reason_text(decision->of.reason)),
                 mr_text("model", work->item->lane->model_id), mr_count("origin", work->item->origin),
                 mr_count("bytes", scene->record.shape.packed_bytes));
    }
    return verdict_of(decision, MR_VERDICT_BUSY);
}

static void explain(const struct scene *scene, enum stage_gpu_reason reason, struct mr_verdict *verdict)
{
    const struct stage_gpu_record *record = &scene->record;
    const char *flaw = record->body == STAGE_GPU_BODY_UNREADABLE ? record->flaw : scene->work->detail;
    (void)snprintf(verdict->detail, sizeof verdict->detail,
                   "%s: validated offset %" PRIu64 ", %" PRIu64 " bytes%s%.90s", stage_gpu_reason_text(reason),
                   scene->work->item->record->offset, record->shape.packed_bytes, flaw[0] == '\0' ? "" : ": ", flaw);
}

/* A record that stays behind for a reason, or goes on without a lease. */
static struct mr_verdict with_reason(const struct scene *scene, const struct stage_gpu_decision *decision,
                                     struct mr_verdict verdict)
{
    count(scene->effects, verdict.decision, stage_gpu_reason_text(decision->of.reason));
    if (verdict.kind != MR_VERDICT_FATAL) {
        explain(scene, decision->of.reason, &verdict);
    }
    return verdict;
}

/* ---- The loop's calls ---------------------------------------------------------------------------------- */

static struct mr_verdict fault(const struct work *work, const struct stage_gpu_event *event)
{
    char detail[MR_ERROR_DETAIL_MAX];
    (void)snprintf(detail, sizeof detail, "%s in state %s", stage_gpu_event_text(event->kind),
                   stage_gpu_state_text(work->state.kind));
    return fatal("Fault", detail);
}

/* Decides and performs until the stage loop has something to do. */
static struct mr_verdict run(struct scene *scene, struct stage_gpu_event event)
{
    struct work *work = scene->work;
    for (;;) {
        if (mr_failed(work->fault)) {
            return fatal("Fault", work->fault.detail);
        }
        const struct stage_gpu_step step = stage_gpu_decide(&work->state, &event);
        const struct stage_gpu_decision *decision = &step.decision;
        if (decision->kind == STAGE_GPU_DECISION_FAULT) {
            return fault(work, &event);
        }
        work->state = step.next;
        switch (decision->kind) {
        case STAGE_GPU_DECISION_ALLOCATE: event = allocate(scene); continue;
        case STAGE_GPU_DECISION_FILL:
            if (!fill(scene, &decision->of.transfer, &event)) {
                return verdict_of(decision, MR_VERDICT_BUSY);
            }
            continue;
        case STAGE_GPU_DECISION_AWAIT_ROOM: return await_room(scene, decision);
        case STAGE_GPU_DECISION_AWAIT_PAYLOAD:
            return with_reason(scene, decision, verdict_of(decision, MR_VERDICT_DEPENDENCY_DOWN));
        case STAGE_GPU_DECISION_STAGE_UNLEASED: return with_reason(scene, decision, emit(scene, decision));
        case STAGE_GPU_DECISION_STOP_MODEL:
            return with_reason(scene, decision, verdict_of(decision, MR_VERDICT_STOP_MODEL));
        case STAGE_GPU_DECISION_STAGE_INLINE:
        case STAGE_GPU_DECISION_STAGE_LEASED: return emit(scene, decision);
        case STAGE_GPU_DECISION_FAULT: break; /* answered above */
        }
        mr_unreachable(__func__);
    }
}

static struct work *work_of(const struct stage_gpu_effects *effects, struct mr_item *item)
{
    if (item->state == NULL) {
        struct work *work = calloc(1, sizeof *work);
        if (work != NULL) {
            work->item = item;
            work->state = (struct stage_gpu_state){.kind = STAGE_GPU_STATE_ARRIVED, .rules = effects->rules};
            work->fault = mr_ok();
        }
        item->state = work;
    }
    return item->state;
}

static struct mr_verdict handle(void *self, struct mr_item *item, enum mr_stage_event_kind event)
{
    struct stage_gpu_effects *effects = self;
    struct work *work = work_of(effects, item);
    if (work == NULL) {
        return fatal("OutOfMemory", "a record");
    }
    struct scene scene = {.effects = effects, .work = work};
    const struct mr_error error =
        stage_gpu_codec_read(item->record->value, mr_stage_arena(effects->service->stage), &scene.record);
    if (mr_failed(error)) {
        return fatal("OutOfMemory", error.detail);
    }
    return run(&scene, event == MR_STAGE_RESUME ? work->next : read_record(&scene));
}

static void resolved(void *self, struct mr_item *item)
{
    (void)self;
    struct work *work = item->state;
    if (work != NULL) {
        work->resolved = true;
    }
}

static void item_free(void *self, struct mr_item *item)
{
    struct stage_gpu_effects *effects = self;
    struct work *work = item->state;
    if (work == NULL) {
        return;
    }
    stage_gpu_queue_remove(&effects->queue, &work->waiter);
    if (work->leased && !work->resolved) {
        /* Nobody is known to have been told of it. Who was all the same reads the validated record. */
        mr_arena_owner_withdraw(effects->owner, work->lease.block, work->lease.generation);
    }
    free(work);
}

/* ---- Turning ------------------------------------------------------------------------------------------- */

/* Whoever waits longest asks first; the first that gets nothing ends it. */
static void serve_waiters(struct stage_gpu_effects *effects)
{
    while (effects->queue.first != NULL) {
        struct stage_gpu_waiter *first = effects->queue.first;
        struct work *work = (struct work *)(void *)first;
        work->next = plain(STAGE_GPU_EVENT_FREED);
        mr_stage_resume(effects->service->stage, work->item); /* may free the work */
        if (effects->queue.first == first) {
            return;
        }
    }
}

static void tell(struct stage_gpu_effects *effects, const struct mr_arena_owner_turn *turn)
{
    const struct mr_trace *trace = &effects->service->trace;
    if (turn->consumer_went) {
        count(effects, "ConsumerWent", "");
        MR_TRACE(trace, MR_TRACE_WARN, "ConsumerWent", mr_text("detail", "its leases are kept until the next comes"));
    }
    if (turn->consumer_came) {
        count(effects, "ConsumerCame", "");
        MR_TRACE(trace, MR_TRACE_INFO, "ConsumerCame", mr_text("detail", "a new epoch; every lease is free"));
    }
    if (turn->refused > 0) {
        count(effects, "ConsumerRefused", "");
        MR_TRACE(trace, MR_TRACE_WARN, "ConsumerRefused", mr_count("connections", turn->refused),
                 mr_text("detail", "one is connected already, or it is another user's"));
    }
    if (turn->corrupt > effects->corrupt) {
        count(effects, "CorruptWord", "");
        MR_TRACE(trace, MR_TRACE_ALARM, "CorruptWord", mr_count("blocks", turn->corrupt),
                 mr_text("detail", "kept until train connects again"));
    }
    effects->corrupt = turn->corrupt;
}

static void show(const struct stage_gpu_effects *effects)
{
    const struct mr_arena_usage usage = mr_arena_owner_usage(effects->owner);
    mr_metric_set(effects->free_bytes, (double)usage.free_bytes);
    mr_metric_set(effects->leased_blocks, (double)usage.blocks_leased);
    mr_metric_set(effects->consumer, usage.consumer ? 1 : 0);
}

static struct mr_error turn(void *self, int64_t ticks_ms)
{
    (void)ticks_ms;
    struct stage_gpu_effects *effects = self;
    atomic_store(&effects->log, effects->service->log);
    const struct mr_arena_owner_turn seen = mr_arena_owner_turn(effects->owner);
    tell(effects, &seen);
    if (seen.freed) {
        serve_waiters(effects);
    }
    show(effects);
    return mr_ok();
}

static const struct mr_stage_ops ops = {
    .handle = handle,
    .resolved = resolved,
    .item_free = item_free,
    .turn = turn,
};

/* ---- Opening ------------------------------------------------------------------------------------------- */

struct mr_error stage_gpu_effects_check(const void *config)
{
    const struct stage_gpu_config *options = config;
    const enum stage_gpu_start start = stage_gpu_start_decide(mr_bytes_of_text(options->device), false,
                                                              options->arena_bytes, options->host_transfer_max_bytes);
    switch (start) {
    case STAGE_GPU_START_READY: return mr_ok();
    case STAGE_GPU_START_BAD_DEVICE:
        return mr_error_make(MR_ERROR_REJECT, stage_gpu_start_text(start), 0,
                             "--device=%.60s: expected cpu, or cuda:N with N from 0 to %d", options->device,
                             STAGE_GPU_ORDINAL_MAX);
    case STAGE_GPU_START_DEVICE_UNAVAILABLE:
        return mr_error_make(MR_ERROR_REJECT, stage_gpu_start_text(start), 0,
                             "--device=%s: this build has no CUDA plug-in, and nothing else is used instead; "
                             "--device=cpu works",
                             options->device);
    case STAGE_GPU_START_ARENA_TOO_SMALL:
        return mr_error_make(MR_ERROR_REJECT, stage_gpu_start_text(start), 0,
                             "--arena-bytes=%" PRIu64 " is less than --host-transfer-max-bytes=%" PRIu64
                             ": a batch of that size would never fit",
                             options->arena_bytes, options->host_transfer_max_bytes);
    }
    mr_unreachable(__func__);
}

/* On the arena's thread. */
static void wake(void *self)
{
    struct stage_gpu_effects *effects = self;
    struct mr_log *log = atomic_load(&effects->log);
    if (log != NULL) {
        log->ops->wake(log);
    }
}

static struct stage_gpu_effects *effects_new(const struct stage_gpu_rules *rules, struct mr_service *service)
{
    struct stage_gpu_effects *effects = calloc(1, sizeof *effects);
    if (effects != NULL) {
        effects->service = service;
        effects->rules = *rules;
        atomic_init(&effects->log, NULL);
        effects->free_bytes = mr_metrics_gauge(service->metrics, "millrace_arena_free_bytes",
                                               "Bytes of the arena that are free.", NULL, 0);
        effects->leased_blocks = mr_metrics_gauge(service->metrics, "millrace_arena_leased_blocks",
                                                  "Blocks of the arena that are leased to train.", NULL, 0);
        effects->consumer =
            mr_metrics_gauge(service->metrics, "millrace_arena_consumer", "1 while train is connected.", NULL, 0);
    }
    return effects;
}

static void fill_spec(struct stage_gpu_effects *effects, struct mr_stage_spec *ret_spec)
{
    *ret_spec = (struct mr_stage_spec){
        .name = "stage_gpu",
        .inputs = {{.topic = MR_TOPIC_VALIDATED, .marks_from = MR_TOPIC_STAGED}},
        .input_count = 1,
        .outputs = {MR_TOPIC_STAGED},
        .output_count = 1,
        .ops = &ops,
        .self = effects,
    };
}

static struct mr_error no_memory(void)
{
    return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the effects of stage_gpu");
}

struct mr_error stage_gpu_effects_open_with(const struct stage_gpu_rules *rules, struct mr_arena_owner *owner,
                                            struct mr_service *service, struct mr_stage_spec *ret_spec)
{
    struct stage_gpu_effects *effects = effects_new(rules, service);
    if (effects == NULL) {
        return no_memory();
    }
    effects->owner = owner;
    fill_spec(effects, ret_spec);
    return mr_ok();
}

struct mr_error stage_gpu_effects_open(void *config, struct mr_service *service, struct mr_stage_spec *ret_spec)
{
    const struct stage_gpu_config *options = config;
    struct stage_gpu_rules rules = {
        .cap = {.kind = STAGE_GPU_CAP_CPU_TRANSFER_CAPPED, .max_bytes = options->host_transfer_max_bytes}};
    MR_TRY(stage_gpu_effects_check(config));
    MR_ASSERT(stage_gpu_device_parse(mr_bytes_of_text(options->device), &rules.device)); /* checked above */
    struct stage_gpu_effects *effects = effects_new(&rules, service);
    if (effects == NULL) {
        return no_memory();
    }
    const struct mr_arena_config arena = {.bytes = options->arena_bytes,
                                          .blocks = (uint32_t)options->arena_blocks,
                                          .path = options->arena,
                                          .wake = wake,
                                          .wake_self = effects};
    const struct mr_error error = mr_arena_owner_open(&arena, &effects->owner);
    if (mr_failed(error)) {
        free(effects);
        return error;
    }
    effects->owns_owner = true;
    fill_spec(effects, ret_spec);
    return mr_ok();
}

void stage_gpu_effects_close(void *self)
{
    struct stage_gpu_effects *effects = self;
    if (effects == NULL) {
        return;
    }
    while (effects->fetches != NULL) { /* the workers are closed: none of them runs */
        struct stage_gpu_fetch *fetch = effects->fetches;
        unlist(effects, fetch);
        mr_arena_owner_withdraw(effects->owner, fetch->block.block, fetch->block.generation);
        stage_gpu_fetch_free(fetch);
    }
    if (effects->owns_owner) {
        mr_arena_owner_close(effects->owner);
    }
    free(effects);
}
