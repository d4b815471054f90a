/* What comes from the log. */
#include "stage_internal.h"

#include <stdlib.h>
#include <string.h>

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

struct mr_error mr_stage_assigned(struct mr_stage *stage, const uint32_t *partitions, size_t count)
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

struct mr_error mr_stage_event(struct mr_stage *stage, struct mr_log_event *event)
{
    switch (event->kind) {
    case MR_LOG_EVENT_QUIET: return mr_ok();
    case MR_LOG_EVENT_RECORD: return on_record(stage, &event->of.record.view, event->of.record.held);
    case MR_LOG_EVENT_DELIVERED:
        mr_stage_delivered(stage, event->of.delivered.token, event->of.delivered.offset);
        return mr_ok();
    case MR_LOG_EVENT_DELIVERY_FAILED: return event->of.delivery_failed.error;
    case MR_LOG_EVENT_ASSIGNED:
        return mr_stage_assigned(stage, event->of.assigned.partitions, event->of.assigned.count);
    case MR_LOG_EVENT_REVOKED:
        mr_stage_commit(stage, true);
        mr_stage_revoke(stage);
        stage->assign_due = false;
        stage->env.log->ops->released(stage->env.log);
        mr_stage_waiting(stage, "no partitions assigned");
        return mr_ok();
    case MR_LOG_EVENT_DOWN:
        stage->broker_down = true;
        mr_stage_waiting(stage, "broker down");
        mr_stage_dependency_down(stage, "broker", event->of.error.detail);
        return mr_ok();
    case MR_LOG_EVENT_UP:
        stage->broker_down = false;
        mr_stage_show_waiting(stage);
        return mr_ok();
    case MR_LOG_EVENT_OFFSET_GONE:
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0,
                             "%s partition %u: the next offset is not in the log (retention, or another log)",
                             event->of.offset_gone.topic, event->of.offset_gone.partition);
    case MR_LOG_EVENT_COMMIT_FAILED:
        MR_TRACE(stage->env.trace, MR_TRACE_WARN, "CommitRefused", mr_text("detail", event->of.error.detail));
        mr_stage_commit_again(stage);
        return mr_ok();
    case MR_LOG_EVENT_FAILED: return event->of.error;
    }
    mr_unreachable(__func__);
}
