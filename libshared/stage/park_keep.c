/*
 * The values of parked records that are kept in memory, so that the retry topic need not be read for each attempt: what
 * models need of it lies apart, and a seek holds up the loop. Each model keeps those that it needs first. All of them
 * together are bounded, but for the models' heads.
 */
#include "stage_internal.h"

#include <inttypes.h>

enum { READ_WAIT_MS = 5000, PASS_MAX = 1024 };

static uint64_t most_bytes(const struct mr_stage *stage)
{
    return stage->env.window_bytes / 2;
}

static uint64_t share_of(const struct mr_stage *stage)
{
    return most_bytes(stage) / (stage->parked_lanes > 0 ? stage->parked_lanes : 1);
}

/* Models that were parked while there were few of them give back what is beyond their share. */
static void make_room(struct mr_stage *stage)
{
    const uint64_t share = share_of(stage);
    for (struct lane *lane = stage->parked_first; lane != NULL; lane = lane->parked_next) {
        const uint64_t before = lane->park.kept_bytes;
        while (lane->park.kept_bytes > share && lane->park.kept > lane->park.active + 1) {
            mr_park_forget(&lane->park);
        }
        stage->kept_bytes -= before - lane->park.kept_bytes;
    }
}

static bool may_keep(struct mr_stage *stage, const struct lane *lane)
{
    if (lane->park.kept <= lane->park.active) {
        return true; /* the head */
    }
    if (lane->park.kept_bytes >= share_of(stage)) {
        return false;
    }
    if (stage->kept_bytes >= most_bytes(stage)) {
        make_room(stage);
    }
    return stage->kept_bytes < most_bytes(stage);
}

struct mr_error mr_park_offer(struct mr_stage *stage, struct lane *lane, uint64_t origin, struct mr_bytes value)
{
    const struct mr_parked *const next = mr_park_unkept(&lane->park);
    if (next == NULL || next->origin != origin || !may_keep(stage, lane)) {
        return mr_ok();
    }
    MR_TRY(mr_park_keep(&lane->park, value));
    stage->kept_bytes += value.size;
    return mr_ok();
}

/* A record of the retry topic: kept if it is what its model needs next. */
static struct mr_error offer_record(struct mr_stage *stage, uint32_t input, const struct mr_log_record *record)
{
    struct stamp stamp;
    MR_TRY(mr_stamp_read(record, &stamp));
    struct lane *const lane = mr_lane_find(stage, input, record->partition, mr_bytes_of_text(stamp.model_text));
    const struct mr_parked *const next = lane == NULL ? NULL : mr_park_unkept(&lane->park);
    if (next == NULL || !next->written || next->retry_offset != record->offset) {
        return mr_ok();
    }
    return mr_park_offer(stage, lane, stamp.origin, record->value);
}

/* Whether reading on may give the lane another one. */
static bool wants_more(struct mr_stage *stage, const struct lane *lane)
{
    const struct mr_parked *const next = mr_park_unkept(&lane->park);
    return next != NULL && next->written && may_keep(stage, lane);
}

static struct mr_error read_on(struct mr_stage *stage, struct lane *lane, struct mr_log_reader *reader)
{
    struct mr_log *const log = stage->env.log;
    for (unsigned passed = 0; passed < PASS_MAX && wants_more(stage, lane); passed++) {
        struct mr_log_record record;
        bool some;
        MR_TRY(log->ops->reader_next(log, reader, READ_WAIT_MS, &some, &record));
        if (!some) {
            return mr_error_make(MR_ERROR_TRANSIENT, "read_timeout", 0, "%s partition %u", stage->spec.retry_topic,
                                 lane->pub.partition);
        }
        MR_TRY(offer_record(stage, lane->pub.input, &record));
        mr_stage_alive(stage);
    }
    return mr_ok();
}

/* From the head's entry on, for the lane and, in passing, for others. */
static struct mr_error fetch(struct mr_stage *stage, struct lane *lane)
{
    struct mr_log *const log = stage->env.log;
    const uint64_t offset = mr_park_unkept(&lane->park)->retry_offset;
    struct mr_log_reader *reader;
    MR_TRY(log->ops->reader_open(log, stage->spec.retry_topic, lane->pub.partition, offset, &reader));
    const struct mr_error error = read_on(stage, lane, reader);
    log->ops->reader_close(log, reader);
    MR_TRY(error);
    if (lane->park.kept <= lane->park.active) {
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0, "%s partition %u offset %" PRIu64 " is not in the log",
                             stage->spec.retry_topic, lane->pub.partition, offset);
    }
    return mr_ok();
}

struct mr_error mr_park_head_value(struct mr_stage *stage, struct lane *lane, struct mr_bytes *ret_value)
{
    if (lane->park.kept <= lane->park.active) {
        MR_TRY(fetch(stage, lane));
    }
    const struct mr_parked *const head = mr_park_head(&lane->park);
    *ret_value = mr_bytes_of(head->value, head->value_size);
    return mr_ok();
}

void mr_park_resolved(struct mr_stage *stage, struct lane *lane, uint64_t origin)
{
    const uint64_t before = lane->park.kept_bytes;
    mr_park_resolve(&lane->park, origin);
    stage->kept_bytes -= before - lane->park.kept_bytes;
}
