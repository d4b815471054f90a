/* The stage loop: one turn after another. */
#include "stage_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PARK_CHECK_MS = 20, EVENTS_PER_TURN = 512, STOP_COMMIT_WAIT_MS = 3000 };

int64_t mr_stage_now_ms(const struct mr_stage *stage)
{
    return mr_clock_wall_ms(&stage->env.clock);
}

struct mr_arena *mr_stage_arena(struct mr_stage *stage)
{
    return &stage->arena;
}

/* Durations are measured on the clock that never goes back. */
int64_t mr_stage_ticks_ms(const struct mr_stage *stage)
{
    return mr_clock_monotonic_us(&stage->env.clock) / 1000;
}

void mr_stage_alive(struct mr_stage *stage)
{
    if (stage->env.health != NULL) {
        mr_health_beat(stage->env.health);
    }
}

void mr_stage_waiting(struct mr_stage *stage, const char *reason)
{
    if (stage->env.health != NULL) {
        mr_health_waiting(stage->env.health, reason);
    }
}

void mr_stage_show_waiting(struct mr_stage *stage)
{
    const char *reason = NULL;
    if (stage->broker_down) {
        reason = "broker down";
    } else if (stage->is_down) {
        reason = "dependency down";
    } else if (stage->silent != NULL) {
        reason = "no answer from a dependency";
    } else if (stage->assign_due) {
        reason = "folding";
    } else if (stage->partitions == NULL) {
        reason = "no partitions assigned";
    }
    mr_stage_waiting(stage, reason);
}

void mr_stage_count(struct mr_stage *stage, const char *decision)
{
    const struct mr_label labels[] = {{"stage", stage->spec.name}, {"decision", decision}};
    mr_counters_add(&stage->decisions, stage->env.metrics, "millrace_decisions_total", "Decisions taken, by name.",
                    labels, MR_COUNT_OF(labels));
}

void mr_stage_line(struct mr_stage *stage, enum mr_trace_level level, const char *decision, const struct item *item,
                   const char *detail)
{
    MR_TRACE(stage->env.trace, level, decision, mr_text("model", item->pub.lane->model_id),
             mr_count("partition", item->pub.lane->partition), mr_count("origin", item->pub.origin),
             mr_count("attempt", item->pub.attempt), mr_text("detail", detail));
}

void mr_stage_dependency_down(struct mr_stage *stage, const char *dependency, const char *detail)
{
    mr_stage_count(stage, "DependencyDown");
    MR_TRACE(stage->env.trace, MR_TRACE_WARN, "DependencyDown", mr_text("dependency", dependency),
             mr_text("detail", detail));
}

void mr_stage_fail(struct mr_stage *stage, int exit_code, const char *decision, const char *detail)
{
    if (stage->failed) {
        return;
    }
    stage->failed = true;
    stage->exit_code = exit_code;
    mr_stage_count(stage, decision);
    MR_TRACE(stage->env.trace, MR_TRACE_ALARM, decision, mr_number("exit", exit_code), mr_text("detail", detail));
}

void mr_stage_error(struct mr_stage *stage, struct mr_error error, const char *doing)
{
    char detail[MR_ERROR_DETAIL_MAX + 64];
    snprintf(detail, sizeof detail, "%s: %s: %s", doing, error.code, error.detail);
    const bool of_log = strcmp(error.code, "log_discontinuity") == 0 || strcmp(error.code, "corrupt_record") == 0 ||
                        strcmp(error.code, "offset_gone") == 0;
    mr_stage_fail(stage, of_log ? MR_EXIT_LOG : MR_EXIT_FAILED,
                  of_log ? (strcmp(error.code, "offset_gone") == 0 ? "LogGap" : "LogDiscontinuity") : "Failed", detail);
}

void mr_stage_go_down(struct mr_stage *stage, const char *reason)
{
    stage->is_down = true;
    stage->down_until_ms = mr_stage_ticks_ms(stage) + stage->env.probe_ms;
    mr_stage_waiting(stage, reason);
}

static void all_lanes_ready(struct mr_stage *stage)
{
    for (size_t i = 0; i < MR_LANE_BUCKETS; i++) {
        for (struct lane *lane = stage->lanes[i]; lane != NULL; lane = lane->hash_next) {
            mr_lane_make_ready(stage, lane);
        }
    }
}

void mr_stage_resume(struct mr_stage *stage, struct mr_item *pub)
{
    struct item *item = item_of(pub);
    if (item->phase != ITEM_HANDLED) {
        return;
    }
    mr_lane_make_ready(stage, lane_of(item->pub.lane));
    const struct mr_error error = mr_stage_hand(stage, item, MR_STAGE_RESUME);
    if (mr_failed(error)) {
        mr_stage_error(stage, error, "handling a record");
    }
}

struct mr_stage_stamp mr_stage_stamp(struct mr_stage *stage, const struct mr_item *item, const char *topic)
{
    const struct lane *lane = lane_of(item->lane);
    const char *marks_from = stage->spec.inputs[lane->pub.input].marks_from;
    /* A record that is handled again gets the predecessor that it named: the lane's last output lies behind it. */
    const bool again = lane->last_out.some && lane->last_out.origin >= item->origin;
    const bool own = marks_from != NULL && strcmp(marks_from, topic) == 0 && !again;
    return (struct mr_stage_stamp){
        .model_id = lane->pub.model_id,
        .log_id = stage->env.deployment->log_id,
        .partition = lane->pub.partition,
        .origin = item->origin,
        .has_prev = own ? lane->last_out.some : item->has_prev,
        .prev = own ? lane->last_out.origin : item->prev,
    };
}

struct mr_error mr_stage_emit(struct mr_stage *stage, struct mr_lane *lane, uint64_t origin, int64_t time_ms,
                              const struct mr_stage_output *output, uint64_t token)
{
    return mr_stage_produce_output(stage, SENDING_NOTHING, lane, origin, time_ms, NULL, output, NULL, lane_of(lane),
                                   token);
}

void mr_stage_work(struct mr_stage *stage, struct mr_item *item, struct mr_stage_job *job)
{
    job->item_id = item == NULL ? 0 : item->id;
    stage->jobs++;
    if (!mr_work_submit(stage->env.work, &job->job)) {
        mr_stage_fail(stage, MR_EXIT_SOFTWARE, "Fault", "the job queue is smaller than the windows");
    }
}

static void collect_jobs(struct mr_stage *stage)
{
    if (stage->env.work == NULL) {
        return;
    }
    for (struct mr_job *job = mr_work_collect(stage->env.work); job != NULL; job = mr_work_collect(stage->env.work)) {
        struct mr_stage_job *mine =
            (struct mr_stage_job *)(void *)((unsigned char *)job - offsetof(struct mr_stage_job, job));
        stage->jobs--;
        struct item *item = mine->item_id == 0 ? NULL : mr_item_find(stage, mine->item_id);
        mine->done(stage->spec.self, mine, item == NULL ? NULL : &item->pub);
    }
}

static struct mr_error try_assign(struct mr_stage *stage)
{
    if (!stage->assign_due || mr_stage_ticks_ms(stage) < stage->down_until_ms) {
        return mr_ok();
    }
    mr_stage_waiting(stage, "folding");
    const struct mr_error error = mr_stage_assign(stage, stage->assigned, stage->assigned_count);
    if (error.kind == MR_ERROR_TRANSIENT) {
        mr_stage_revoke(stage);
        mr_stage_dependency_down(stage, "broker", error.detail);
        stage->down_until_ms = mr_stage_ticks_ms(stage) + stage->env.probe_ms;
        mr_stage_waiting(stage, "broker down");
        return mr_ok();
    }
    MR_TRY(error);
    stage->assign_due = false;
    mr_stage_waiting(stage, NULL);
    MR_TRACE(stage->env.trace, MR_TRACE_INFO, "Assigned", mr_count("partitions", stage->assigned_count));
    return mr_ok();
}

/* One record asks again for all that wait; when it gets through, the others follow. */
static struct mr_error probe(struct mr_stage *stage)
{
    if (!stage->is_down || mr_stage_ticks_ms(stage) < stage->down_until_ms) {
        return mr_ok();
    }
    stage->is_down = false;
    while (stage->down != NULL && !stage->is_down && !stage->failed) {
        struct item *item = stage->down;
        stage->down = item->next;
        item->next = NULL;
        item->phase = ITEM_QUEUED;
        MR_TRY(mr_stage_hand(stage, item, MR_STAGE_PROBE));
    }
    if (!stage->is_down) {
        mr_stage_show_waiting(stage);
        all_lanes_ready(stage);
    }
    return mr_ok();
}

static void wake_parked(struct mr_stage *stage)
{
    const int64_t ticks = mr_stage_ticks_ms(stage);
    if (stage->parked_first == NULL || ticks < stage->park_check_ms) {
        return;
    }
    stage->park_check_ms = ticks + PARK_CHECK_MS;
    for (struct lane **link = &stage->parked_first; *link != NULL;) {
        struct lane *lane = *link;
        if (lane->park.count == 0) {
            lane->in_parked = false;
            stage->parked_lanes--;
            *link = lane->parked_next;
            mr_lane_make_ready(stage, lane);
            continue;
        }
        const struct mr_parked *head = mr_park_head(&lane->park);
        if (head != NULL && head->written && head->due_ticks_ms <= ticks) {
            mr_lane_make_ready(stage, lane);
        }
        link = &lane->parked_next;
    }
}

/* Each lane once: one that has more to do waits for the next turn, behind those for which something comes meanwhile. */
static struct mr_error run_ready(struct mr_stage *stage)
{
    const struct lane *const last = stage->ready_last;
    const struct lane *ran = NULL;
    while (ran != last && !stage->is_down) {
        struct lane *const lane = mr_lane_take_ready(stage);
        MR_TRY(mr_lane_run(stage, lane));
        ran = lane;
    }
    return mr_ok();
}

static struct mr_error take_events(struct mr_stage *stage, uint32_t wait_ms)
{
    for (size_t i = 0; i < stage->stash_count; i++) {
        MR_TRY(mr_stage_event(stage, &stage->stash[i]));
    }
    /* Lanes that are ready wait too while a dependency is down. */
    const bool busy = stage->stash_count > 0 || (stage->ready_first != NULL && !stage->is_down);
    stage->stash_count = 0;
    for (unsigned i = 0; i < EVENTS_PER_TURN; i++) {
        struct mr_log_event event = stage->env.log->ops->poll(stage->env.log, i == 0 && !busy ? wait_ms : 0);
        if (event.kind == MR_LOG_EVENT_QUIET) {
            break;
        }
        MR_TRY(mr_stage_event(stage, &event));
    }
    return mr_ok();
}

static struct mr_error turn(struct mr_stage *stage, uint32_t wait_ms)
{
    mr_stage_alive(stage);
    mr_arena_reset(&stage->arena);
    MR_TRY(try_assign(stage));
    collect_jobs(stage);
    if (stage->spec.ops->turn != NULL) {
        MR_TRY(stage->spec.ops->turn(stage->spec.self, mr_stage_ticks_ms(stage)));
    }
    MR_TRY(probe(stage));
    wake_parked(stage);
    MR_TRY(run_ready(stage));
    MR_TRY(mr_folds_turn(stage));
    MR_TRY(mr_stage_press_back(stage));
    mr_stage_commit(stage, false);
    mr_stage_gauges(stage);
    mr_stage_listen(stage);
    const uint32_t at_most = stage->parked_first != NULL && wait_ms > PARK_CHECK_MS ? PARK_CHECK_MS : wait_ms;
    return take_events(stage, at_most);
}

/* All that goes on by itself has ended: no job runs, nothing is unacknowledged. A record that waits for something else
 * (a commit, a free block) stays unresolved. */
static bool settled(const struct mr_stage *stage)
{
    return stage->jobs == 0 && stage->deliveries.after == &stage->deliveries;
}

bool mr_stage_turn(struct mr_stage *stage, uint32_t wait_ms, bool stopping, int *ret_exit)
{
    if (stopping && !stage->stopping) {
        stage->stopping = true;
        stage->stop_by_ms = mr_stage_ticks_ms(stage) + stage->env.stop_wait_ms;
        mr_stage_waiting(stage, "stopping");
        MR_TRACE(stage->env.trace, MR_TRACE_INFO, "Stopping", mr_count("jobs", stage->jobs));
    }
    const struct mr_error error = turn(stage, wait_ms);
    if (mr_failed(error)) {
        mr_stage_error(stage, error, "the stage loop");
    }
    if (stage->failed) {
        *ret_exit = stage->exit_code;
        return false;
    }
    const bool done = settled(stage) && mr_folds_finished(stage);
    if (stage->stopping && (done || mr_stage_ticks_ms(stage) >= stage->stop_by_ms)) {
        mr_stage_commit(stage, true);
        const struct mr_error late = stage->env.log->ops->commit_wait(stage->env.log, STOP_COMMIT_WAIT_MS);
        MR_TRACE(stage->env.trace, MR_TRACE_INFO, "Stopped", mr_text("commit", mr_failed(late) ? late.code : "ok"),
                 mr_text("settled", settled(stage) ? "yes" : "no"));
        *ret_exit = MR_EXIT_OK;
        return false;
    }
    return true;
}

int mr_stage_run(struct mr_stage *stage, const volatile int *stop)
{
    int exit_code = MR_EXIT_OK;
    while (mr_stage_turn(stage, 100, *stop != 0, &exit_code)) {
    }
    return exit_code;
}

static void wake_log(void *self)
{
    struct mr_log *log = self;
    log->ops->wake(log);
}

struct mr_error mr_stage_new(const struct mr_stage_spec *spec, const struct mr_stage_env *env,
                             struct mr_stage **ret_stage)
{
    struct mr_stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a stage");
    }
    stage->spec = *spec;
    stage->env = *env;
    (void)snprintf(stage->source, sizeof stage->source, "/millrace/%s", spec->name);
    stage->deliveries.before = stage->deliveries.after = &stage->deliveries;
    if (env->work != NULL) {
        mr_work_on_done(env->work, wake_log, env->log);
    }
    if (env->partitions != NULL) {
        const struct mr_error error = mr_stage_assigned(stage, env->partitions, env->partition_count);
        if (mr_failed(error)) {
            free(stage);
            return error;
        }
    } else {
        mr_stage_waiting(stage, "no partitions assigned");
    }
    *ret_stage = stage;
    return mr_ok();
}

void mr_stage_free(struct mr_stage *stage)
{
    if (stage == NULL) {
        return;
    }
    struct mr_log *log = stage->env.log;
    mr_stage_revoke(stage);
    for (size_t i = 0; i < stage->stash_count; i++) {
        if (stage->stash[i].kind == MR_LOG_EVENT_RECORD) {
            log->ops->record_free(log, stage->stash[i].of.record.held);
        }
    }
    while (stage->deliveries.after != &stage->deliveries) {
        struct delivery *delivery = stage->deliveries.after;
        stage->deliveries.after = delivery->after;
        delivery->after->before = delivery->before;
        free(delivery);
    }
    mr_readers_close(stage);
    mr_arena_deinit(&stage->arena);
    free(stage->stash);
    free(stage->assigned);
    free(stage);
}
