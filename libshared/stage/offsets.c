/* Backpressure, and the offsets that may be committed: below them everything is resolved. */
#include "stage_internal.h"

enum { COMMIT_EVERY_MS = 200 };

struct mr_error mr_stage_press_back(struct mr_stage *stage)
{
    for (struct partition *p = stage->partitions; p != NULL; p = p->next) {
        const bool full = p->window.count >= stage->env.window_records || stage->bytes >= stage->env.window_bytes ||
                          p->parked >= stage->env.parked_max;
        const bool roomy = p->window.count <= stage->env.window_records / 4 * (size_t)3 &&
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

void mr_stage_commit_again(struct mr_stage *stage)
{
    for (struct partition *p = stage->partitions; p != NULL; p = p->next) {
        p->has_committed = false;
        p->retry_committed = 0;
    }
}

void mr_stage_commit(struct mr_stage *stage, bool now)
{
    const int64_t ticks = mr_stage_ticks_ms(stage);
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
