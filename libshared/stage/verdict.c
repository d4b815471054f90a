/* Carrying out what a service answered, and what follows when it is acknowledged. */
#include "stage_internal.h"

#include <stdlib.h>
#include <string.h>

void mr_stage_resolve(struct mr_stage *stage, struct item *item)
{
    struct lane *lane = lane_of(item->pub.lane);
    struct partition *home = mr_partition_find(stage, lane->pub.input, lane->pub.partition);
    if (item->home != NULL) {
        mr_window_resolve(&item->home->window, item->record.offset);
    }
    if (item->from_park && !item->parking) {
        const size_t before = lane->park.count;
        mr_park_resolved(stage, lane, item->pub.origin);
        home->parked -= before - lane->park.count;
        mr_lane_make_ready(stage, lane);
    }
    if (stage->spec.ops->resolved != NULL && !item->parking) {
        stage->spec.ops->resolved(stage->spec.self, &item->pub);
    }
    mr_folds_resolved(item);
    mr_item_free(stage, item);
}

static void sent(struct mr_stage *stage, struct item *item)
{
    item->phase = ITEM_SENT;
    if (item->pending == 0) {
        mr_stage_resolve(stage, item);
    }
}

void mr_stage_delivered(struct mr_stage *stage, uint64_t token, uint64_t offset)
{
    struct delivery *delivery = (struct delivery *)(uintptr_t)token;
    delivery->before->after = delivery->after;
    delivery->after->before = delivery->before;
    mr_folds_acknowledged(stage, delivery, offset);
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

struct mr_error mr_stage_park(struct mr_stage *stage, struct item *item, uint32_t attempt, int64_t due_ms,
                              const char *detail)
{
    struct lane *lane = lane_of(item->pub.lane);
    const int64_t due_ticks_ms = mr_park_due_ticks(stage, lane->pub.partition, item->pub.origin, attempt, due_ms);
    item->parking = true;
    if (item->from_park) {
        mr_park_again(&lane->park, attempt, due_ticks_ms);
    } else {
        const struct mr_parked parked = {.origin = item->pub.origin, .attempt = attempt, .due_ticks_ms = due_ticks_ms};
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
        if (marks_from != NULL && strcmp(marks_from, output->topic) == 0 &&
            (!lane->last_out.some || lane->last_out.origin < item->pub.origin)) {
            lane->last_out = (struct mr_mark){true, item->pub.origin};
            mr_lane_folded(lane, item->pub.origin);
        }
    }
    sent(stage, item);
    return mr_ok();
}

void mr_stage_stop_lane(struct mr_stage *stage, struct lane *lane, struct item *item, const char *decision,
                        const char *detail)
{
    lane->phase = LANE_STOPPED;
    MR_TRACE(stage->env.trace, MR_TRACE_ALARM, decision, mr_text("model", lane->pub.model_id),
             mr_count("partition", lane->pub.partition), mr_text("detail", detail));
    mr_stage_count(stage, decision);
    mr_stage_count_stopped(stage, 1);
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
    if (verdict->kind != MR_VERDICT_BUSY && verdict->kind != MR_VERDICT_STOP_MODEL) {
        mr_stage_count(stage, verdict->decision);
    }
    switch (verdict->kind) {
    case MR_VERDICT_EMIT:
        mr_stage_line(stage, verdict->level != 0 ? verdict->level : MR_TRACE_DEBUG, verdict->decision, item,
                      verdict->detail);
        lane->current = NULL;
        return emit(stage, item, verdict);
    case MR_VERDICT_DROP:
        mr_stage_line(stage, MR_TRACE_INFO, verdict->decision, item, verdict->detail);
        lane->current = NULL;
        sent(stage, item);
        return mr_ok();
    case MR_VERDICT_DEAD_LETTER: {
        mr_stage_line(stage, MR_TRACE_WARN, verdict->decision, item, verdict->detail);
        const struct mr_label labels[] = {{"stage", stage->spec.name}, {"reason", verdict->reason}};
        mr_metric_add(mr_metrics_counter(stage->env.metrics, "millrace_deadletters_total", "Dead letters, by reason.",
                                         labels, MR_COUNT_OF(labels)),
                      1);
        lane->current = NULL;
        MR_TRY(mr_stage_dead_letter(stage, item, verdict));
        mr_lane_folded(lane, item->pub.origin);
        sent(stage, item);
        return mr_ok();
    }
    case MR_VERDICT_RETRY:
        mr_stage_line(stage, MR_TRACE_WARN, verdict->decision, item, verdict->detail);
        lane->current = NULL;
        return mr_stage_park(stage, item, item->pub.attempt + 1, verdict->due_ms, verdict->detail);
    case MR_VERDICT_BUSY: item->phase = ITEM_HANDLED; return mr_ok();
    case MR_VERDICT_DEPENDENCY_DOWN:
        mr_stage_line(stage, MR_TRACE_WARN, verdict->decision, item, verdict->detail);
        item->phase = ITEM_DOWN;
        item->next = stage->down;
        stage->down = item;
        mr_stage_go_down(stage, verdict->decision);
        return mr_ok();
    case MR_VERDICT_STOP_MODEL:
        lane->current = NULL;
        mr_stage_stop_lane(stage, lane, item, verdict->decision, verdict->detail);
        return mr_ok();
    case MR_VERDICT_FATAL: mr_stage_fail(stage, verdict->exit_code, verdict->decision, verdict->detail); return mr_ok();
    }
    mr_unreachable(__func__);
}

struct mr_error mr_stage_hand(struct mr_stage *stage, struct item *item, enum mr_stage_event_kind event)
{
    struct lane *lane = lane_of(item->pub.lane);
    lane->current = item;
    const struct mr_verdict verdict = stage->spec.ops->handle(stage->spec.self, &item->pub, event);
    return apply(stage, item, &verdict);
}

/* The verdict that was held, if what it waited for is acknowledged. */
struct mr_error mr_stage_apply_held(struct mr_stage *stage, struct lane *lane)
{
    if (lane->held == NULL || !mr_lane_may_send(lane, mr_verdict_sends(&lane->verdict))) {
        return mr_ok();
    }
    struct item *item = lane->held;
    lane->held = NULL;
    return apply(stage, item, &lane->verdict);
}
