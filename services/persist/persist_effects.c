#include "persist_effects.h"

#include "persist_commit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct persist_effects {
    const struct persist_config *config;
    struct mr_service *service;
    struct persist_commit *commits; /* all that live */
    char writer[MR_VERSION_WRITER_SIZE];
    struct mr_metric *commit_seconds, *spool_left;
};

/* ---- Commits ------------------------------------------------------------------------------------------------ */

static int64_t now_us(const struct persist_effects *effects)
{
    return mr_clock_monotonic_us(&effects->service->clock);
}

static struct persist_commit *commit_new(struct persist_effects *effects)
{
    struct persist_commit *commit = calloc(1, sizeof *commit);
    if (commit == NULL) {
        return NULL;
    }
    commit->store = effects->service->store;
    commit->deployment = &effects->service->deployment;
    commit->clock = effects->service->clock;
    commit->writer = effects->writer;
    commit->build = "millrace " MR_VERSION;
    commit->state.kind = PERSIST_STATE_IDLE;
    commit->began_us = now_us(effects);
    commit->after = effects->commits;
    if (effects->commits != NULL) {
        effects->commits->before = commit;
    }
    effects->commits = commit;
    return commit;
}

static void commit_drop(struct persist_effects *effects, struct persist_commit *commit)
{
    if (commit->before != NULL) {
        commit->before->after = commit->after;
    } else {
        effects->commits = commit->after;
    }
    if (commit->after != NULL) {
        commit->after->before = commit->before;
    }
    persist_commit_free(commit);
}

/* ---- Jobs --------------------------------------------------------------------------------------------------- */

static struct persist_part *part_of(struct mr_stage_job *job)
{
    return (struct persist_part *)(void *)job;
}

static void run_part(struct mr_job *job)
{
    struct persist_part *part = (struct persist_part *)(void *)job;
    persist_commit_perform(part->commit, part->index);
}

/* The last of the effect's parts brings its answer. */
static void part_done(void *self, struct mr_stage_job *job, struct mr_item *item)
{
    struct persist_effects *effects = self;
    struct persist_commit *commit = part_of(job)->commit;
    if (--commit->running > 0) {
        return;
    }
    if (item == NULL) { /* of an assignment that is over: whatever it did, the next owner reads it back */
        commit_drop(effects, commit);
        return;
    }
    persist_commit_finish(commit);
    mr_stage_resume(effects->service->stage, item);
}

static void run_removal(struct mr_job *job)
{
    persist_commit_remove_spool(((struct persist_part *)(void *)job)->commit);
}

/* A spool object that stays is garbage, and found to be: its position is not above head's. */
static void removal_done(void *self, struct mr_stage_job *job, struct mr_item *item)
{
    (void)item; /* of no record */
    struct persist_effects *effects = self;
    struct persist_commit *commit = part_of(job)->commit;
    if (commit->event.of.answered.answer.outcome != MR_STORE_DONE) {
        mr_metric_add(effects->spool_left, 1);
        MR_TRACE(&effects->service->trace, MR_TRACE_WARN, "SpoolLeft", mr_text("model", commit->produced.model_id),
                 mr_text("detail", commit->detail));
    }
    commit_drop(effects, commit);
}

static void start_part(struct persist_effects *effects, struct persist_commit *commit, size_t index,
                       struct mr_item *item, void (*run)(struct mr_job *job),
                       void (*done)(void *self, struct mr_stage_job *job, struct mr_item *item))
{
    struct persist_part *part = &commit->parts[index];
    part->job = (struct mr_stage_job){.job = {.run = run}, .done = done};
    part->commit = commit;
    part->index = index;
    commit->running++;
    mr_stage_work(effects->service->stage, item, &part->job);
}

static void start_effect(struct persist_effects *effects, struct persist_commit *commit, struct mr_item *item)
{
    persist_commit_prepare(commit);
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        if (persist_commit_has_part(commit, i)) {
            start_part(effects, commit, i, item, run_part, part_done);
        }
    }
}

/* ---- Decisions ---------------------------------------------------------------------------------------------- */

static struct mr_verdict verdict_of(const struct persist_commit *commit, enum mr_verdict_kind kind)
{
    struct mr_verdict verdict = {.kind = kind, .decision = persist_decision_text(&commit->decision)};
    memcpy(verdict.detail, commit->detail, sizeof verdict.detail);
    return verdict;
}

static struct mr_verdict fatal(const char *decision, int exit_code, const char *detail)
{
    struct mr_verdict verdict = {.kind = MR_VERDICT_FATAL, .decision = decision, .exit_code = exit_code};
    (void)snprintf(verdict.detail, sizeof verdict.detail, "%s", detail);
    return verdict;
}

static struct mr_verdict wait_for(struct persist_effects *effects, struct persist_commit *commit, struct mr_item *item)
{
    char previous[MR_SHA256_TEXT_SIZE], head[MR_SHA256_TEXT_SIZE];
    if (commit->decision.of.wait != PERSIST_WAIT_NOT_FAST_FORWARD) {
        return verdict_of(commit, MR_VERDICT_DEPENDENCY_DOWN); /* the store's trouble is every model's */
    }
    persist_commit_forget_payload(commit);
    commit->waiting = item;
    commit->due_ms = now_us(effects) / 1000 + (int64_t)effects->config->ancestor_probe_ms;
    if (!commit->alarmed) {
        commit->alarmed = true;
        mr_sha256_text(&commit->produced.previous, previous);
        mr_sha256_text(&commit->head.content_hash, head);
        MR_TRACE(&effects->service->trace, MR_TRACE_WARN, persist_decision_text(&commit->decision),
                 mr_text("model", commit->produced.model_id), mr_count("origin", item->origin),
                 mr_text("previous", previous), mr_text("head", head));
    }
    return verdict_of(commit, MR_VERDICT_BUSY);
}

static void trace_committed(struct persist_effects *effects, const struct persist_commit *commit,
                            const struct mr_version *version)
{
    char hash[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&version->content_hash, hash);
    MR_TRACE(&effects->service->trace, MR_TRACE_INFO, persist_decision_text(&commit->decision),
             mr_text("model", version->model_id), mr_text("version", version->version_id),
             mr_count("step", version->step), mr_text("content_hash", hash));
}

static struct mr_verdict emit(struct persist_effects *effects, struct persist_commit *commit, struct mr_item *item)
{
    struct mr_stage *stage = effects->service->stage;
    struct mr_arena *arena = mr_stage_arena(stage);
    const bool already = commit->decision.of.emit == PERSIST_EMIT_ALREADY_COMMITTED;
    const struct mr_version *version = already ? &commit->read : &commit->version;
    const struct mr_sha256 *record_hash = already ? &commit->read_hash : &commit->record_hash;
    const struct mr_stage_stamp stamp = mr_stage_stamp(stage, item, MR_TOPIC_COMMITTED);
    struct mr_verdict verdict = verdict_of(commit, MR_VERDICT_EMIT);
    struct mr_bytes value;
    const struct mr_error error = persist_committed_encode(version, record_hash, &stamp, arena, &value);
    char *ce_id = mr_arena_alloc(arena, MR_SHA256_TEXT_SIZE);
    if (mr_failed(error) || ce_id == NULL) {
        return fatal("OutOfMemory", MR_EXIT_FAILED, "a version event");
    }
    mr_sha256_text(&version->commit_id, ce_id); /* rule O9 */
    verdict.outputs[0] = (struct mr_stage_output){
        .topic = MR_TOPIC_COMMITTED,
        .value = value,
        .type = "millrace.version.v1.VersionCommitted",
        .ce_id = mr_bytes_of_text(ce_id),
    };
    verdict.output_count = 1;
    verdict.detail[0] = '\0';
    commit->resolved_by_version = true;
    mr_metric_observe(effects->commit_seconds, (double)(now_us(effects) - commit->began_us) / 1e6);
    trace_committed(effects, commit, version);
    return verdict;
}

static struct mr_verdict abandon(struct persist_effects *effects, struct persist_commit *commit,
                                 const struct mr_item *item)
{
    char ours[MR_SHA256_TEXT_SIZE], remote[MR_SHA256_TEXT_SIZE];
    struct mr_verdict verdict = verdict_of(commit, MR_VERDICT_DROP);
    mr_sha256_text(&commit->produced.content_hash, ours);
    mr_sha256_text(&commit->decision.of.abandon.remote_hash, remote);
    (void)snprintf(verdict.detail, sizeof verdict.detail, "content %.16s is not committed; there stands %.16s", ours,
                   remote);
    MR_TRACE(&effects->service->trace, MR_TRACE_ALARM, verdict.decision, mr_text("model", commit->produced.model_id),
             mr_text("run", commit->produced.run_id), mr_count("step", commit->produced.step),
             mr_count("origin", item->origin), mr_text("content_hash", ours), mr_text("remote_hash", remote));
    return verdict;
}

static struct mr_verdict refuse(const struct persist_commit *commit)
{
    const char *decision = persist_decision_text(&commit->decision);
    switch (commit->decision.of.refuse) {
    case PERSIST_REFUSE_LOG_DISCONTINUITY: {
        char detail[MR_ERROR_DETAIL_MAX];
        (void)snprintf(detail, sizeof detail,
                       "model \"%s\": its head or checkpoint is of a log that this deployment does not know; "
                       "`millrace log adopt` starts a new epoch",
                       commit->produced.model_id);
        return fatal(decision, MR_EXIT_LOG, detail);
    }
    case PERSIST_REFUSE_DENIED: return fatal(decision, MR_EXIT_DENIED, commit->detail);
    }
    mr_unreachable(__func__);
}

static struct mr_verdict fault(const struct persist_commit *commit, const struct persist_event *event)
{
    char detail[MR_ERROR_DETAIL_MAX];
    const bool answered = event->kind == PERSIST_EVENT_ANSWERED;
    (void)snprintf(detail, sizeof detail, "%s while %s (%s, %s)", persist_event_text(event->kind),
                   persist_state_text(commit->state.kind),
                   answered ? mr_store_outcome_text(event->of.answered.answer.outcome) : "-",
                   answered ? persist_finding_text(event->of.answered.answer.finding) : "-");
    return fatal(persist_decision_text(&commit->decision), MR_EXIT_SOFTWARE, detail);
}

/* One step of the machine: the decision is performed, or is the record's verdict. */
static struct mr_verdict advance(struct persist_effects *effects, struct persist_commit *commit, struct mr_item *item,
                                 const struct persist_event *event)
{
    const struct persist_step step = persist_decide(&commit->state, event);
    commit->state = step.next;
    commit->decision = step.decision;
    switch (step.decision.kind) {
    case PERSIST_DECISION_READ_HEAD:
    case PERSIST_DECISION_LIST_VERSIONS:
    case PERSIST_DECISION_READ_METADATA:
    case PERSIST_DECISION_READ_SPOOL:
    case PERSIST_DECISION_STORE:
    case PERSIST_DECISION_SWAP_HEAD: start_effect(effects, commit, item); return verdict_of(commit, MR_VERDICT_BUSY);
    case PERSIST_DECISION_WAIT: return wait_for(effects, commit, item);
    case PERSIST_DECISION_EMIT: return emit(effects, commit, item);
    case PERSIST_DECISION_ABANDON: return abandon(effects, commit, item);
    case PERSIST_DECISION_STOP: return verdict_of(commit, MR_VERDICT_STOP_MODEL);
    case PERSIST_DECISION_REFUSE: return refuse(commit);
    case PERSIST_DECISION_FAULT: return fault(commit, event);
    }
    mr_unreachable(__func__);
}

/* ---- The stage's operations --------------------------------------------------------------------------------- */

static struct mr_verdict begin(struct persist_effects *effects, struct mr_item *item)
{
    struct persist_commit *commit = commit_new(effects);
    if (commit == NULL) {
        return fatal("OutOfMemory", MR_EXIT_FAILED, "a commit");
    }
    item->state = commit;
    const struct mr_error error =
        persist_produced_decode(item->record->value, mr_stage_arena(effects->service->stage), &commit->produced);
    if (error.kind == MR_ERROR_FATAL) {
        return fatal("OutOfMemory", MR_EXIT_FAILED, error.detail);
    }
    if (mr_failed(error)) {
        memcpy(commit->detail, error.detail, sizeof commit->detail);
        return advance(effects, commit, item, &(struct persist_event){.kind = PERSIST_EVENT_UNREADABLE});
    }
    const struct persist_event event = {
        .kind = PERSIST_EVENT_BEGAN,
        .of = {.began = persist_checkpoint_of(&commit->produced, item->has_prev, item->prev, commit->deployment)},
    };
    return advance(effects, commit, item, &event);
}

static struct mr_verdict handle(void *self, struct mr_item *item, enum mr_stage_event_kind kind)
{
    static const struct persist_event elapsed = {.kind = PERSIST_EVENT_ELAPSED};
    struct persist_effects *effects = self;
    struct persist_commit *commit = item->state;
    switch (kind) {
    case MR_STAGE_BEGIN: return begin(effects, item);
    case MR_STAGE_PROBE: return advance(effects, commit, item, &elapsed);
    case MR_STAGE_RESUME:
        if (commit->waiting != NULL) {
            commit->waiting = NULL;
            return advance(effects, commit, item, &elapsed);
        }
        return advance(effects, commit, item, &commit->event);
    }
    mr_unreachable(__func__);
}

/* The version event is acknowledged: only now may the spool object go (rule C10). */
static void resolved(void *self, struct mr_item *item)
{
    struct persist_effects *effects = self;
    struct persist_commit *commit = item->state;
    if (commit != NULL && commit->resolved_by_version) {
        item->state = NULL;
        start_part(effects, commit, 0, NULL, run_removal, removal_done);
    }
}

static void item_free(void *self, struct mr_item *item)
{
    struct persist_effects *effects = self;
    struct persist_commit *commit = item->state;
    if (commit == NULL) {
        return;
    }
    commit->waiting = NULL;
    if (commit->running == 0) {
        commit_drop(effects, commit);
    } /* else part_done drops it */
    item->state = NULL;
}

static struct mr_error turn(void *self, int64_t ticks_ms)
{
    struct persist_effects *effects = self;
    for (struct persist_commit *commit = effects->commits; commit != NULL; commit = commit->after) {
        if (commit->waiting != NULL && commit->due_ms <= ticks_ms) {
            commit->due_ms = INT64_MAX; /* once: RESUME clears `waiting` */
            mr_stage_resume(effects->service->stage, commit->waiting);
        }
    }
    return mr_ok();
}

/* ---- Open and close ----------------------------------------------------------------------------------------- */

static const struct mr_stage_ops stage_ops = {
    .handle = handle,
    .resolved = resolved,
    .item_free = item_free,
    .turn = turn,
};

struct mr_error persist_effects_open(void *config, struct mr_service *service, struct mr_stage_spec *ret_spec)
{
    char host[64] = "unknown";
    struct persist_effects *effects = calloc(1, sizeof *effects);
    if (effects == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "persist");
    }
    effects->config = config;
    effects->service = service;
    if (gethostname(host, sizeof host - 1) != 0) {
        (void)snprintf(host, sizeof host, "unknown");
    }
    (void)snprintf(effects->writer, sizeof effects->writer, "persist %s:%ld", host, (long)getpid());
    effects->commit_seconds = mr_metrics_histogram(service->metrics, "millrace_persist_commit_seconds",
                                                   "From a checkpoint's event to its version's.", NULL, 0);
    effects->spool_left = mr_metrics_counter(service->metrics, "millrace_persist_spool_left_total",
                                             "Spool objects whose removal failed after their commit.", NULL, 0);
    *ret_spec = (struct mr_stage_spec){
        .name = "persist",
        .inputs = {{.topic = MR_TOPIC_PRODUCED, .marks_from = MR_TOPIC_COMMITTED, .handles_duplicates = true}},
        .input_count = 1,
        .outputs = {MR_TOPIC_COMMITTED},
        .output_count = 1,
        .ops = &stage_ops,
        .self = effects,
    };
    return mr_ok();
}

void persist_effects_close(void *self)
{
    struct persist_effects *effects = self;
    if (effects == NULL) {
        return;
    }
    while (effects->commits != NULL) {
        commit_drop(effects, effects->commits);
    }
    free(effects);
}
