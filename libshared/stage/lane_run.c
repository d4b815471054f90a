/* What a lane does next: the order of its records (rule O3), its parked ones first (rule R3). */
#include "stage_internal.h"

#include <inttypes.h>
#include <stdio.h>

static struct mr_error drop_duplicate(struct mr_stage *stage, struct item *item)
{
    mr_stage_count(stage, "Duplicate");
    mr_stage_line(stage, MR_TRACE_DEBUG, "Duplicate", item, "");
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
        mr_stage_go_down(stage, "broker down");
        return mr_ok();
    }
    MR_TRY(error);
    if (!found) {
        char detail[MR_ERROR_DETAIL_MAX];
        snprintf(detail, sizeof detail,
                 "the record before origin %" PRIu64 " and after %" PRIu64 " is not in the log any more", until + 1,
                 lane->pub.mark);
        mr_stage_stop_lane(stage, lane, mr_lane_pop(lane), "LogGap", detail);
        return mr_ok();
    }
    MR_TRACE(stage->env.trace, MR_TRACE_INFO, "LogGap", mr_text("model", lane->pub.model_id), mr_count("until", until),
             mr_text("detail", "re-read from the log"));
    mr_stage_count(stage, "LogGapReread");
    *ret_on = true;
    return mr_ok();
}

static struct partition *home_of(struct mr_stage *stage, const struct lane *lane)
{
    return mr_partition_find(stage, lane->pub.input, lane->pub.partition);
}

/* What comes back from the retry topic is in memory until it is resolved. A model's head always may; those behind it as
 * far as a window has room. */
static bool has_room(struct mr_stage *stage, const struct lane *lane)
{
    return lane->park.active == 0 ||
           (home_of(stage, lane)->unparked < stage->env.window_records && stage->bytes < stage->env.window_bytes);
}

/* Starts the head of the parked records, if it is due. *ret_begun false: nothing to start now. */
static struct mr_error begin_parked(struct mr_stage *stage, struct lane *lane, bool *ret_begun)
{
    struct mr_parked *head = mr_park_head(&lane->park);
    *ret_begun = false;
    if (head == NULL || !head->written || head->due_ticks_ms > mr_stage_ticks_ms(stage) || !has_room(stage, lane)) {
        return mr_ok();
    }
    struct item *item;
    const struct mr_error error = mr_park_load(stage, lane, &item);
    if (error.kind == MR_ERROR_TRANSIENT) {
        mr_stage_go_down(stage, "broker down");
        return mr_ok();
    }
    MR_TRY(error);
    mr_park_begin(&lane->park);
    *ret_begun = true;
    mr_lane_make_ready(stage, lane);
    return mr_stage_hand(stage, item, MR_STAGE_BEGIN);
}

static struct mr_error begin_next(struct mr_stage *stage, struct lane *lane)
{
    struct item *item = lane->head;
    const struct mr_mark mark = {lane->pub.has_mark, lane->pub.mark};
    const struct mr_mark prev = {item->pub.has_prev, item->pub.prev};
    bool on;
    switch (mr_order_decide(mark, item->pub.origin, prev)) {
    case MR_ORDER_DUPLICATE:
        mr_lane_pop(lane);
        return stage->spec.inputs[lane->pub.input].handles_duplicates ? mr_stage_hand(stage, item, MR_STAGE_BEGIN)
                                                                      : drop_duplicate(stage, item);
    case MR_ORDER_GAP: return mend_gap(stage, lane, item->pub.prev, &on);
    case MR_ORDER_NEXT:
        mr_lane_pop(lane);
        lane->pub.has_mark = true;
        lane->pub.mark = item->pub.origin;
        return lane->park.count > 0 ? mr_stage_park(stage, item, 0, 0, "") : mr_stage_hand(stage, item, MR_STAGE_BEGIN);
    }
    mr_unreachable(__func__);
}

/* Records that came while their model is parked only hold the window up, for every model of the partition: they follow
 * into the retry topic, also while the head is being handled. */
static struct mr_error park_queued(struct mr_stage *stage, struct lane *lane)
{
    while (lane->park.count > 0 && lane->head != NULL && lane->held == NULL && lane->phase == LANE_OPEN &&
           mr_lane_may_send(lane, SENDING_RETRIES) && !stage->is_down && !stage->failed && !stage->stopping) {
        MR_TRY(begin_next(stage, lane));
    }
    return mr_ok();
}

/* Whether records of a parked model are to leave the window before more of it come back: outputs and parked records are
 * never in flight at once, so that one of them has to wait. */
static bool is_crowded(struct mr_stage *stage, const struct lane *lane)
{
    return lane->head != NULL && (home_of(stage, lane)->window.count >= stage->env.window_records / 2 ||
                                  stage->bytes >= stage->env.window_bytes / 2);
}

struct mr_error mr_lane_run(struct mr_stage *stage, struct lane *lane)
{
    MR_TRY(mr_stage_apply_held(stage, lane));
    MR_TRY(park_queued(stage, lane));
    while (lane->phase == LANE_OPEN && lane->current == NULL && !stage->is_down && !stage->failed && !stage->stopping) {
        if (lane->park.count > 0) {
            bool begun = false;
            if (!is_crowded(stage, lane)) {
                MR_TRY(begin_parked(stage, lane, &begun));
            }
            /* One in a turn: others have a turn too. */
            if (begun || !mr_lane_may_send(lane, SENDING_RETRIES)) {
                return mr_ok();
            }
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
    lane->reread_next = 0;
    lane->phase = LANE_OPENING;
    mr_lane_open(stage, lane);
}

void mr_lane_stop(struct mr_stage *stage, struct mr_lane *pub, const char *decision, const char *detail)
{
    struct lane *lane = lane_of(pub);
    if (lane->phase != LANE_STOPPED && lane->current == NULL) {
        mr_stage_stop_lane(stage, lane, mr_lane_pop(lane), decision, detail);
    }
}
