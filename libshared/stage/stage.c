/* The stage loop: events in, verdicts carried out. */
#include "stage_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { COMMIT_EVERY_MS = 200, PARK_CHECK_MS = 20, EVENTS_PER_TURN = 512, STOP_COMMIT_WAIT_MS = 3000 };

/* ---- Small things ------------------------------------------------------------------------------------ */

int64_t mr_stage_now_ms(const struct mr_stage *stage)
{
    return mr_clock_wall_ms(&stage->env.clock);
}

struct mr_arena *mr_stage_arena(struct mr_stage *stage)
{
    return &stage->arena;
}

/* Durations are measured on the clock that never goes back. */
static int64_t ticks_ms(const struct mr_stage *stage)
{
    return mr_clock_monotonic_us(&stage->env.clock) / 1000;
}

void mr_stage_alive(struct mr_stage *stage)
{
    if (stage->env.health != NULL) {
        mr_health_beat(stage->env.health);
    }
}

static void waiting(struct mr_stage *stage, const char *reason)
{
    if (stage->env.health != NULL) {
        mr_health_waiting(stage->env.health, reason);
    }
}

void mr_stage_count(struct mr_stage *stage, const char *decision)
{
    const struct mr_label labels[] = {{"stage", stage->spec.name}, {"decision", decision}};
    mr_metric_add(mr_metrics_counter(stage->env.metrics, "millrace_decisions_total", "Decisions taken, by name.",
                                     labels, MR_COUNT_OF(labels)),
                  1);
}

static void line(struct mr_stage *stage, enum mr_trace_level level, const char *decision, const struct item *item,
                 const char *detail)
{
    MR_TRACE(stage->env.trace, level, decision, mr_text("model", item->pub.lane->model_id),
             mr_count("partition", item->pub.lane->partition), mr_count("origin", item->pub.origin),
             mr_count("attempt", item->pub.attempt), mr_text("detail", detail));
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

/* ---- Going down and coming back ------------------------------------------------------------------------ */

static void go_down(struct mr_stage *stage, const char *reason)
{
    stage->is_down = true;
    stage->down_until_ms = ticks_ms(stage) + stage->env.probe_ms;
    waiting(stage, reason);
}

static void all_lanes_ready(struct mr_stage *stage)
{
    for (size_t i = 0; i < MR_LANE_BUCKETS; i++) {
        for (struct lane *lane = stage->lanes[i]; lane != NULL; lane = lane->hash_next) {
            mr_lane_make_ready(stage, lane);
        }
    }
}

/* ---- Resolution ---------------------------------------------------------------------------------------- */

void mr_stage_resolve(struct mr_stage *stage, struct item *item)
{
    struct lane *lane = lane_of(item->pub.lane);
    struct partition *home = mr_partition_find(stage, lane->pub.input, lane->pub.partition);
    if (item->home != NULL) {
        mr_window_resolve(&item->home->window, item->record.offset);
    }
    if (item->from_park && !item->parking) {
        const size_t before = lane->park.count;
        mr_park_resolve(&lane->park, item->pub.origin);
        home->parked -= before - lane->park.count;
        mr_lane_make_ready(stage, lane);
    }
    if (stage->spec.ops->resolved != NULL && !item->parking) {
        stage->spec.ops->resolved(stage->spec.self, &item->pub);
    }
    mr_item_free(stage, item);
}

static void sent(struct mr_stage *stage, struct item *item)
{
    item->phase = ITEM_SENT;
    if (item->pending == 0) {
        mr_stage_resolve(stage, item);
    }
}

static void on_delivered(struct mr_stage *stage, uint64_t token, uint64_t offset)
{
    struct delivery *delivery = (struct delivery *)(uintptr_t)token;
    delivery->before->after = delivery->after;
    delivery->after->before = delivery->before;
    struct item *item = delivery->item;
    if (item != NULL) {
        struct lane *lane = lane_of(item->pub.lane);
        item->pending--;
        if (--lane->unacked == 0) {
            mr_lane_make_ready(stage, lane);
        }
        if (item->parking) {
            struct partition *home = mr_partition_find(stage, lane->pub.input, lane->pub.partition);
            struct mr_parked *parked = mr_park_find(&lane->park, item->pub.origin);
            if (parked != NULL && !parked->written) {
                parked->written = true;
                parked->retry_offset = offset;
            }
            home->retry_next = offset + 1 > home->retry_next ? offset + 1 : home->retry_next;
        }
        if (item->phase == ITEM_SENT && item->pending == 0) {
            mr_stage_resolve(stage, item);
        }
    } else if (delivery->lane != NULL && stage->spec.ops->emitted != NULL) {
        stage->spec.ops->emitted(stage->spec.self, &delivery->lane->pub, delivery->token);
    }
    free(delivery);
}

/* ---- Verdicts ------------------------------------------------------------------------------------------ */

static struct mr_error park_item(struct mr_stage *stage, struct item *item, uint32_t attempt, int64_t due_ms,
                                 const char *detail)
{
    struct lane *lane = lane_of(item->pub.lane);
    item->parking = true;
    if (item->from_park) {
        mr_park_again(&lane->park, attempt, due_ms);
    } else {
        const struct mr_parked parked = {.origin = item->pub.origin, .attempt = attempt, .due_ms = due_ms};
        MR_TRY(mr_park_add(&lane->park, parked));
        mr_partition_find(stage, lane->pub.input, lane->pub.partition)->parked++;
        mr_lane_list_parked(stage, lane);
    }
    MR_TRY(mr_stage_park_write(stage, item, attempt, due_ms, detail));
    sent(stage, item);
    return mr_ok();
}

static struct mr_error emit(struct mr_stage *stage, struct item *item, const struct mr_verdict *verdict)
{
    struct lane *lane = lane_of(item->pub.lane);
    const char *marks_from = stage->spec.inputs[lane->pub.input].marks_from;
    for (size_t i = 0; i < verdict->output_count; i++) {
        const struct mr_stage_output *output = &verdict->outputs[i];
        MR_TRY(mr_stage_produce_output(stage, SENDING_OUTPUTS, &lane->pub, item->pub.origin, item->pub.time_ms,
                                       &item->record, output, item, NULL, 0));
        if (marks_from != NULL && strcmp(marks_from, output->topic) == 0) {
            lane->last_out = (struct mr_mark){true, item->pub.origin};
        }
    }
    sent(stage, item);
    return mr_ok();
}

static void stop_model(struct mr_stage *stage, struct lane *lane, struct item *item, const char *decision,
                       const char *detail)
{
    lane->phase = LANE_STOPPED;
    MR_TRACE(stage->env.trace, MR_TRACE_ALARM, decision, mr_text("model", lane->pub.model_id),
             mr_count("partition", lane->pub.partition), mr_text("detail", detail));
    mr_stage_count(stage, decision);
    mr_metric_add(mr_metrics_gauge(stage->env.metrics, "millrace_models_stopped", "Models that stopped with an alarm.",
                                   &(struct mr_label){"stage", stage->spec.name}, 1),
                  1);
    struct mr_mark pin = {0};
    for (struct item *next = item; next != NULL; next = mr_lane_pop(lane)) {
        if (next->home != NULL) {
            if (!pin.some || next->record.offset < pin.origin) {
                pin = (struct mr_mark){true, next->record.offset};
            }
            mr_window_resolve(&next->home->window, next->record.offset);
        }
        mr_item_free(stage, next);
    }
    lane->pin = pin;
}

/* A stage behind batches.validated waits; it never rejects or retries a record. */
static bool allowed(const struct mr_stage *stage, enum mr_verdict_kind kind)
{
    return stage->spec.retry_topic != NULL || (kind != MR_VERDICT_DEAD_LETTER && kind != MR_VERDICT_RETRY);
}

static struct mr_error apply(struct mr_stage *stage, struct item *item, const struct mr_verdict *verdict)
{
    struct lane *lane = lane_of(item->pub.lane);
    if (!allowed(stage, verdict->kind)) {
        return mr_error_make(MR_ERROR_FATAL, "total_stage", 0, "%s may not reject or retry: %s", stage->spec.name,
                             verdict->decision);
    }
    if (!mr_lane_may_send(lane, mr_verdict_sends(verdict))) {
        return mr_lane_hold(lane, item, verdict);
    }
    if (verdict->kind != MR_VERDICT_BUSY) {
        mr_stage_count(stage, verdict->decision);
    }
    if (item->phase == ITEM_HANDLED && verdict->kind != MR_VERDICT_BUSY) {
        stage->busy--;
    }
    switch (verdict->kind) {
    case MR_VERDICT_EMIT:
        line(stage, MR_TRACE_DEBUG, verdict->decision, item, verdict->detail);
        lane->current = NULL;
        return emit(stage, item, verdict);
    case MR_VERDICT_DROP:
        line(stage, MR_TRACE_INFO, verdict->decision, item, verdict->detail);
        lane->current = NULL;
        sent(stage, item);
        return mr_ok();
    case MR_VERDICT_DEAD_LETTER: {
        line(stage, MR_TRACE_WARN, verdict->decision, item, verdict->detail);
        const struct mr_label labels[] = {{"stage", stage->spec.name}, {"reason", verdict->reason}};
        mr_metric_add(mr_metrics_counter(stage->env.metrics, "millrace_deadletters_total", "Dead letters, by reason.",
                                         labels, MR_COUNT_OF(labels)),
                      1);
        lane->current = NULL;
        MR_TRY(mr_stage_dead_letter(stage, item, verdict));
        sent(stage, item);
        return mr_ok();
    }
    case MR_VERDICT_RETRY:
        line(stage, MR_TRACE_WARN, verdict->decision, item, verdict->detail);
        lane->current = NULL;
        return park_item(stage, item, item->pub.attempt + 1, verdict->due_ms, verdict->detail);
    case MR_VERDICT_BUSY:
        if (item->phase != ITEM_HANDLED) {
            item->phase = ITEM_HANDLED;
            stage->busy++;
        }
        return mr_ok();
    case MR_VERDICT_DEPENDENCY_DOWN:
        line(stage, MR_TRACE_WARN, verdict->decision, item, verdict->detail);
        item->phase = ITEM_DOWN;
        item->next = stage->down;
        stage->down = item;
        go_down(stage, verdict->decision);
        return mr_ok();
    case MR_VERDICT_STOP_MODEL:
        lane->current = NULL;
        stop_model(stage, lane, item, verdict->decision, verdict->detail);
        return mr_ok();
    case MR_VERDICT_FATAL: mr_stage_fail(stage, verdict->exit_code, verdict->decision, verdict->detail); return mr_ok();
    }
    mr_unreachable(__func__);
}

static struct mr_error hand(struct mr_stage *stage, struct item *item, enum mr_stage_event_kind event)
{
    struct lane *lane = lane_of(item->pub.lane);
    lane->current = item;
    const struct mr_verdict verdict = stage->spec.ops->handle(stage->spec.self, &item->pub, event);
    MR_TRY(apply(stage, item, &verdict));
    mr_lane_make_ready(stage, lane);
    return mr_ok();
}

/* ---- Lanes ---------------------------------------------------------------------------------------------- */

static struct mr_error drop_duplicate(struct mr_stage *stage, struct item *item)
{
    mr_stage_count(stage, "Duplicate");
    line(stage, MR_TRACE_DEBUG, "Duplicate", item, "");
    if (stage->spec.ops->duplicate != NULL) {
        stage->spec.ops->duplicate(stage->spec.self, &item->pub);
    }
    if (item->home != NULL) {
        mr_window_resolve(&item->home->window, item->record.offset);
    }
    mr_item_free(stage, item);
    return mr_ok();
}

/* True when the lane may go on with what it found. */
static struct mr_error mend_gap(struct mr_stage *stage, struct lane *lane, uint64_t until, bool *ret_on)
{
    bool found = false;
    const struct mr_error error = mr_stage_reread(stage, lane, until, &found);
    *ret_on = false;
    if (error.kind == MR_ERROR_TRANSIENT) {
        go_down(stage, "broker down");
        return mr_ok();
    }
    MR_TRY(error);
    if (!found) {
        char detail[MR_ERROR_DETAIL_MAX];
        snprintf(detail, sizeof detail,
                 "the record before origin %" PRIu64 " and after %" PRIu64 " is not in the log any more", until + 1,
                 lane->pub.mark);
        stop_model(stage, lane, mr_lane_pop(lane), "LogGap", detail);
        return mr_ok();
    }
    MR_TRACE(stage->env.trace, MR_TRACE_INFO, "LogGap", mr_text("model", lane->pub.model_id), mr_count("until", until),
             mr_text("detail", "re-read from the log"));
    mr_stage_count(stage, "LogGapReread");
    *ret_on = true;
    return mr_ok();
}

/* Starts the head of the parked records, if it is due. *ret_begun false: nothing to start now. */
static struct mr_error begin_parked(struct mr_stage *stage, struct lane *lane, bool *ret_begun)
{
    struct mr_parked *head = mr_park_head(&lane->park);
    *ret_begun = false;
    if (head == NULL || !head->written || head->due_ms > mr_stage_now_ms(stage)) {
        return mr_ok();
    }
    struct item *item;
    const struct mr_error error = mr_park_load(stage, lane, head, &item);
    if (error.kind == MR_ERROR_TRANSIENT) {
        go_down(stage, "broker down");
        return mr_ok();
    }
    MR_TRY(error);
    mr_park_begin(&lane->park);
    *ret_begun = true;
    return hand(stage, item, MR_STAGE_BEGIN);
}

static struct mr_error begin_next(struct mr_stage *stage, struct lane *lane)
{
    struct item *item = lane->head;
    const struct mr_mark mark = {lane->pub.has_mark, lane->pub.mark};
    const struct mr_mark prev = {item->pub.has_prev, item->pub.prev};
    bool on;
    switch (mr_order_decide(mark, item->pub.origin, prev)) {
    case MR_ORDER_DUPLICATE: return drop_duplicate(stage, mr_lane_pop(lane));
    case MR_ORDER_GAP: return mend_gap(stage, lane, item->pub.prev, &on);
    case MR_ORDER_NEXT:
        mr_lane_pop(lane);
        lane->pub.has_mark = true;
        lane->pub.mark = item->pub.origin;
        return lane->park.count > 0 ? park_item(stage, item, 0, 0, "") : hand(stage, item, MR_STAGE_BEGIN);
    }
    mr_unreachable(__func__);
}

/* The verdict that was held, if what it waited for is acknowledged. */
static struct mr_error apply_held(struct mr_stage *stage, struct lane *lane)
{
    if (lane->held == NULL || !mr_lane_may_send(lane, mr_verdict_sends(&lane->verdict))) {
        return mr_ok();
    }
    struct item *item = lane->held;
    lane->held = NULL;
    return apply(stage, item, &lane->verdict);
}

static struct mr_error run_lane(struct mr_stage *stage, struct lane *lane)
{
    MR_TRY(apply_held(stage, lane));
    while (lane->phase == LANE_OPEN && lane->current == NULL && !stage->is_down && !stage->failed && !stage->stopping) {
        bool begun = false;
        if (lane->park.count > 0) {
            MR_TRY(begin_parked(stage, lane, &begun));
        }
        if (begun || lane->current != NULL) {
            continue;
        }
        if (lane->park.count > 0 && !mr_lane_may_send(lane, SENDING_RETRIES)) {
            return mr_ok();
        }
        if (lane->head != NULL) {
            MR_TRY(begin_next(stage, lane));
            continue;
        }
        if (!lane->reread_until.some) {
            return mr_ok();
        }
        if (lane->pub.has_mark && lane->pub.mark >= lane->reread_until.origin) {
            lane->reread_until.some = false;
            return mr_ok();
        }
        bool on;
        MR_TRY(mend_gap(stage, lane, lane->reread_until.origin, &on));
        if (!on) {
            return mr_ok();
        }
    }
    return mr_ok();
}

void mr_lane_open(struct mr_stage *stage, struct lane *lane)
{
    lane->asked = true;
    if (stage->spec.ops->lane_open == NULL || stage->spec.ops->lane_open(stage->spec.self, &lane->pub)) {
        lane->phase = LANE_OPEN;
        mr_lane_make_ready(stage, lane);
    }
}

void mr_lane_ready(struct mr_stage *stage, struct mr_lane *pub, bool has_mark, uint64_t mark)
{
    struct lane *lane = lane_of(pub);
    lane->pub.has_mark = has_mark;
    lane->pub.mark = mark;
    lane->phase = LANE_OPEN;
    mr_lane_make_ready(stage, lane);
}

void mr_lane_reopen(struct mr_stage *stage, struct mr_lane *pub)
{
    struct lane *lane = lane_of(pub);
    if (lane->pub.has_mark && (!lane->reread_until.some || lane->reread_until.origin < lane->pub.mark)) {
        lane->reread_until = (struct mr_mark){true, lane->pub.mark};
    }
    lane->phase = LANE_OPENING;
    mr_lane_open(stage, lane);
}

void mr_lane_stop(struct mr_stage *stage, struct mr_lane *pub, const char *decision, const char *detail)
{
    struct lane *lane = lane_of(pub);
    if (lane->phase != LANE_STOPPED && lane->current == NULL) {
        stop_model(stage, lane, mr_lane_pop(lane), decision, detail);
    }
}

void mr_stage_resume(struct mr_stage *stage, struct mr_item *pub)
{
    struct item *item = item_of(pub);
    if (item->phase != ITEM_HANDLED) {
        return;
    }
    const struct mr_error error = hand(stage, item, MR_STAGE_RESUME);
    if (mr_failed(error)) {
        mr_stage_error(stage, error, "handling a record");
    }
}

struct mr_stage_stamp mr_stage_stamp(struct mr_stage *stage, const struct mr_item *item, const char *topic)
{
    const struct lane *lane = lane_of(item->lane);
    const char *marks_from = stage->spec.inputs[lane->pub.input].marks_from;
    const bool own = marks_from != NULL && strcmp(marks_from, topic) == 0;
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

/* ---- Jobs ------------------------------------------------------------------------------------------------ */

void mr_stage_work(struct mr_stage *stage, struct mr_item *item, struct mr_stage_job *job)
{
    job->item_id = item == NULL ? 0 : item->id;
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
        struct item *item = mine->item_id == 0 ? NULL : mr_item_find(stage, mine->item_id);
        mine->done(stage->spec.self, mine, item == NULL ? NULL : &item->pub);
    }
}

/* ---- Events ---------------------------------------------------------------------------------------------- */

static uint32_t input_of(const struct mr_stage *stage, const char *topic)
{
    uint32_t i = 0;
    while (i < stage->spec.input_count && strcmp(stage->spec.inputs[i].topic, topic) != 0) {
        i++;
    }
    return i;
}

static struct mr_error identify(struct mr_stage *stage, uint32_t input, const struct mr_log_record *record,
                                struct stamp *ret_stamp)
{
    if (stage->spec.inputs[input].entry) {
        memset(ret_stamp, 0, sizeof *ret_stamp);
        if (record->has_key && mr_id_valid(record->key)) {
            memcpy(ret_stamp->model_text, record->key.data, record->key.size);
        }
        ret_stamp->origin = record->offset;
        return mr_ok();
    }
    MR_TRY(mr_stamp_read(record, ret_stamp));
    if (memcmp(ret_stamp->log_id.bytes, stage->env.deployment->log_id.bytes, MR_LOG_ID_SIZE) != 0) {
        return mr_error_make(MR_ERROR_FATAL, "log_discontinuity", 0, "%s partition %u holds records of another log",
                             record->topic, record->partition);
    }
    return mr_ok();
}

/* Takes `held` over when it succeeds. */
static struct mr_error admit(struct mr_stage *stage, struct partition *partition, const struct mr_log_record *record,
                             void *held)
{
    struct stamp stamp;
    MR_TRY(identify(stage, partition->input, record, &stamp));
    MR_TRY(mr_window_add(&partition->window, record->offset));
    struct lane *lane = mr_lane_get(stage, partition->input, record->partition, mr_bytes_of_text(stamp.model_text));
    struct item *item = lane == NULL ? NULL : mr_item_new(stage, record, held);
    if (item == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a record");
    }
    item->home = partition;
    item->pub.lane = &lane->pub;
    item->pub.origin = stamp.origin;
    item->pub.has_prev = stamp.prev.some;
    item->pub.prev = stamp.prev.origin;
    item->pub.time_ms = mr_record_time_ms(record);
    if (lane->phase == LANE_STOPPED) {
        mr_stage_count(stage, "HeldBack");
        if (!lane->pin.some || lane->pin.origin > record->offset) {
            lane->pin = (struct mr_mark){true, record->offset};
        }
        mr_window_resolve(&partition->window, record->offset);
        mr_item_free(stage, item);
        return mr_ok();
    }
    mr_lane_push(lane, item);
    if (lane->phase == LANE_OPENING && !lane->asked) {
        mr_lane_open(stage, lane);
    }
    mr_lane_make_ready(stage, lane);
    return mr_ok();
}

static struct mr_error on_record(struct mr_stage *stage, const struct mr_log_record *record, void *held)
{
    struct mr_log *log = stage->env.log;
    const uint32_t input = input_of(stage, record->topic);
    if (input < stage->spec.input_count && stage->spec.inputs[input].side != NULL) {
        stage->spec.inputs[input].side(stage->spec.self, record);
        log->ops->record_free(log, held);
        return mr_ok();
    }
    struct partition *partition =
        input < stage->spec.input_count ? mr_partition_find(stage, input, record->partition) : NULL;
    if (partition == NULL || stage->stopping || record->offset < partition->window.position) {
        log->ops->record_free(log, held);
        return mr_ok();
    }
    const struct mr_error error = admit(stage, partition, record, held);
    if (mr_failed(error)) {
        log->ops->record_free(log, held);
    }
    return error;
}

static struct mr_error on_assigned(struct mr_stage *stage, const uint32_t *partitions, size_t count)
{
    free(stage->assigned);
    stage->assigned = calloc(count + 1, sizeof *stage->assigned);
    if (stage->assigned == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "an assignment");
    }
    if (count > 0) {
        memcpy(stage->assigned, partitions, count * sizeof *partitions);
    }
    stage->assigned_count = count;
    stage->assign_due = true;
    stage->down_until_ms = 0;
    return mr_ok();
}

static void commit_offsets(struct mr_stage *stage, bool now);

struct mr_error mr_stage_event(struct mr_stage *stage, struct mr_log_event *event)
{
    switch (event->kind) {
    case MR_LOG_EVENT_QUIET: return mr_ok();
    case MR_LOG_EVENT_RECORD: return on_record(stage, &event->of.record.view, event->of.record.held);
    case MR_LOG_EVENT_DELIVERED:
        on_delivered(stage, event->of.delivered.token, event->of.delivered.offset);
        return mr_ok();
    case MR_LOG_EVENT_DELIVERY_FAILED: return event->of.delivery_failed.error;
    case MR_LOG_EVENT_ASSIGNED: return on_assigned(stage, event->of.assigned.partitions, event->of.assigned.count);
    case MR_LOG_EVENT_REVOKED:
        commit_offsets(stage, true);
        mr_stage_revoke(stage);
        stage->assign_due = false;
        stage->env.log->ops->released(stage->env.log);
        waiting(stage, "no partitions assigned");
        return mr_ok();
    case MR_LOG_EVENT_DOWN:
        stage->broker_down = true;
        waiting(stage, "broker down");
        MR_TRACE(stage->env.trace, MR_TRACE_WARN, "DependencyDown", mr_text("dependency", "broker"),
                 mr_text("detail", event->of.error.detail));
        return mr_ok();
    case MR_LOG_EVENT_UP:
        stage->broker_down = false;
        waiting(stage, stage->is_down ? "dependency down" : NULL);
        return mr_ok();
    case MR_LOG_EVENT_OFFSET_GONE:
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0,
                             "%s partition %u: the next offset is not in the log (retention, or another log)",
                             event->of.offset_gone.topic, event->of.offset_gone.partition);
    case MR_LOG_EVENT_COMMIT_FAILED:
        MR_TRACE(stage->env.trace, MR_TRACE_WARN, "CommitRefused", mr_text("detail", event->of.error.detail));
        return mr_ok();
    case MR_LOG_EVENT_FAILED: return event->of.error;
    }
    mr_unreachable(__func__);
}

/* ---- Backpressure and offsets ------------------------------------------------------------------------------ */

static struct mr_error press_back(struct mr_stage *stage)
{
    for (struct partition *p = stage->partitions; p != NULL; p = p->next) {
        const bool full = p->window.count >= stage->env.window_records || stage->bytes >= stage->env.window_bytes ||
                          p->parked >= stage->env.parked_max;
        const bool roomy = p->window.count <= stage->env.window_records / 4 * 3 &&
                           stage->bytes <= stage->env.window_bytes / 4 * 3 && p->parked < stage->env.parked_max;
        const char *topic = stage->spec.inputs[p->input].topic;
        if (full && !p->paused) {
            MR_TRY(stage->env.log->ops->pause(stage->env.log, topic, p->index));
            p->paused = true;
            mr_stage_count(stage, "Paused");
        } else if (roomy && p->paused) {
            MR_TRY(stage->env.log->ops->resume(stage->env.log, topic, p->index));
            p->paused = false;
            mr_stage_count(stage, "Resumed");
        }
    }
    return mr_ok();
}

static uint64_t floor_of(struct mr_stage *stage, const struct partition *p)
{
    uint64_t low = mr_window_low(&p->window);
    if (stage->spec.ops->floor != NULL) {
        const uint64_t bound = stage->spec.ops->floor(stage->spec.self, p->input, p->index);
        low = bound < low ? bound : low;
    }
    return low;
}

/* Offsets below which a stopped lane still needs its records. */
static uint64_t pinned(const struct mr_stage *stage, const struct partition *p, uint64_t low)
{
    for (size_t i = 0; i < MR_LANE_BUCKETS; i++) {
        for (const struct lane *lane = stage->lanes[i]; lane != NULL; lane = lane->hash_next) {
            if (lane->pin.some && lane->pub.input == p->input && lane->pub.partition == p->index &&
                lane->pin.origin < low) {
                low = lane->pin.origin;
            }
        }
    }
    return low;
}

static void commit_offsets(struct mr_stage *stage, bool now)
{
    const int64_t ticks = ticks_ms(stage);
    if (!now && ticks < stage->commit_due_ms) {
        return;
    }
    stage->commit_due_ms = ticks + COMMIT_EVERY_MS;
    for (struct partition *p = stage->partitions; p != NULL; p = p->next) {
        const uint64_t low = pinned(stage, p, floor_of(stage, p));
        if (p->has_committed ? low > p->committed : low > 0) {
            const struct mr_error error =
                stage->env.log->ops->commit(stage->env.log, stage->spec.inputs[p->input].topic, p->index, low);
            if (mr_failed(error)) {
                MR_TRACE(stage->env.trace, MR_TRACE_WARN, "CommitRefused", mr_text("detail", error.detail));
                continue;
            }
            p->has_committed = true;
            p->committed = low;
        }
        if (stage->spec.retry_topic != NULL && mr_failed(mr_park_commit(stage, p))) {
            p->retry_committed = 0; /* again the next time */
        }
    }
}

/* ---- The turn ------------------------------------------------------------------------------------------------ */

static struct mr_error try_assign(struct mr_stage *stage)
{
    if (!stage->assign_due || ticks_ms(stage) < stage->down_until_ms) {
        return mr_ok();
    }
    waiting(stage, "folding");
    const struct mr_error error = mr_stage_assign(stage, stage->assigned, stage->assigned_count);
    if (error.kind == MR_ERROR_TRANSIENT) {
        mr_stage_revoke(stage);
        MR_TRACE(stage->env.trace, MR_TRACE_WARN, "DependencyDown", mr_text("dependency", "broker"),
                 mr_text("detail", error.detail));
        stage->down_until_ms = ticks_ms(stage) + stage->env.probe_ms;
        waiting(stage, "broker down");
        return mr_ok();
    }
    MR_TRY(error);
    stage->assign_due = false;
    waiting(stage, NULL);
    MR_TRACE(stage->env.trace, MR_TRACE_INFO, "Assigned", mr_count("partitions", stage->assigned_count));
    return mr_ok();
}

/* One record asks again for all that wait; when it gets through, the others follow. */
static struct mr_error probe(struct mr_stage *stage)
{
    if (!stage->is_down || ticks_ms(stage) < stage->down_until_ms) {
        return mr_ok();
    }
    stage->is_down = false;
    while (stage->down != NULL && !stage->is_down && !stage->failed) {
        struct item *item = stage->down;
        stage->down = item->next;
        item->next = NULL;
        item->phase = ITEM_QUEUED;
        MR_TRY(hand(stage, item, MR_STAGE_PROBE));
    }
    if (!stage->is_down) {
        waiting(stage, stage->broker_down ? "broker down" : NULL);
        all_lanes_ready(stage);
    }
    return mr_ok();
}

static void wake_parked(struct mr_stage *stage)
{
    const int64_t ticks = ticks_ms(stage);
    if (stage->parked_first == NULL || ticks < stage->park_check_ms) {
        return;
    }
    stage->park_check_ms = ticks + PARK_CHECK_MS;
    const int64_t now = mr_stage_now_ms(stage);
    for (struct lane **link = &stage->parked_first; *link != NULL;) {
        struct lane *lane = *link;
        if (lane->park.count == 0) {
            lane->in_parked = false;
            *link = lane->parked_next;
            mr_lane_make_ready(stage, lane);
            continue;
        }
        const struct mr_parked *head = mr_park_head(&lane->park);
        if (head != NULL && head->written && head->due_ms <= now) {
            mr_lane_make_ready(stage, lane);
        }
        link = &lane->parked_next;
    }
}

static struct mr_error run_ready(struct mr_stage *stage)
{
    for (struct lane *lane = stage->is_down ? NULL : mr_lane_take_ready(stage); lane != NULL;
         lane = stage->is_down ? NULL : mr_lane_take_ready(stage)) {
        MR_TRY(run_lane(stage, lane));
    }
    return mr_ok();
}

static struct mr_error take_events(struct mr_stage *stage, uint32_t wait_ms)
{
    for (size_t i = 0; i < stage->stash_count; i++) {
        MR_TRY(mr_stage_event(stage, &stage->stash[i]));
    }
    const bool had = stage->stash_count > 0;
    stage->stash_count = 0;
    for (unsigned i = 0; i < EVENTS_PER_TURN; i++) {
        struct mr_log_event event =
            stage->env.log->ops->poll(stage->env.log, i == 0 && !had && stage->ready_first == NULL ? wait_ms : 0);
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
        MR_TRY(stage->spec.ops->turn(stage->spec.self, mr_stage_now_ms(stage)));
    }
    MR_TRY(probe(stage));
    wake_parked(stage);
    MR_TRY(run_ready(stage));
    MR_TRY(press_back(stage));
    commit_offsets(stage, false);
    const uint32_t at_most = stage->parked_first != NULL && wait_ms > PARK_CHECK_MS ? PARK_CHECK_MS : wait_ms;
    return take_events(stage, at_most);
}

/* All that was begun is settled: nothing handled, nothing unacknowledged. */
static bool settled(const struct mr_stage *stage)
{
    return stage->busy == 0 && stage->deliveries.after == &stage->deliveries;
}

bool mr_stage_turn(struct mr_stage *stage, uint32_t wait_ms, bool stopping, int *ret_exit)
{
    if (stopping && !stage->stopping) {
        stage->stopping = true;
        stage->stop_by_ms = ticks_ms(stage) + stage->env.stop_wait_ms;
        waiting(stage, "stopping");
        MR_TRACE(stage->env.trace, MR_TRACE_INFO, "Stopping", mr_count("busy", stage->busy));
    }
    const struct mr_error error = turn(stage, wait_ms);
    if (mr_failed(error)) {
        mr_stage_error(stage, error, "the stage loop");
    }
    if (stage->failed) {
        *ret_exit = stage->exit_code;
        return false;
    }
    if (stage->stopping && (settled(stage) || ticks_ms(stage) >= stage->stop_by_ms)) {
        commit_offsets(stage, true);
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
    stage->deliveries.before = stage->deliveries.after = &stage->deliveries;
    if (env->work != NULL) {
        mr_work_on_done(env->work, wake_log, env->log);
    }
    if (env->partitions != NULL) {
        const struct mr_error error = on_assigned(stage, env->partitions, env->partition_count);
        if (mr_failed(error)) {
            free(stage);
            return error;
        }
    } else {
        waiting(stage, "no partitions assigned");
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
    while (stage->readers != NULL) {
        struct reader *reader = stage->readers;
        stage->readers = reader->after;
        log->ops->reader_close(log, reader->reader);
        free(reader);
    }
    mr_arena_deinit(&stage->arena);
    free(stage->stash);
    free(stage->assigned);
    free(stage);
}
