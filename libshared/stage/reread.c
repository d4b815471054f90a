/* Reading again what a lane missed (LogGap, rule O3). */
#include "stage_internal.h"

#include <string.h>

enum { READ_WAIT_MS = 5000, SPAN_FIRST = 1024, SPAN_GROWTH = 4 };

struct found {
    struct item *first, *last;
    size_t count;
};

static void drop(struct mr_stage *stage, struct found *found)
{
    while (found->first != NULL) {
        struct item *item = found->first;
        found->first = item->next;
        mr_item_free(stage, item);
    }
    *found = (struct found){0};
}

static const char *topic_of(const struct mr_stage *stage, const struct lane *lane)
{
    const struct mr_stage_input *input = &stage->spec.inputs[lane->pub.input];
    return input->reread_from != NULL ? input->reread_from : input->topic;
}

/* One record of the scan: queued if it is this lane's and behind its mark. */
static struct mr_error consider(struct mr_stage *stage, struct lane *lane, uint64_t until,
                                const struct mr_log_record *record, struct found *found, bool *ret_over)
{
    struct stamp stamp;
    MR_TRY(mr_stamp_read(record, &stamp));
    const struct mr_mark mark = {lane->pub.has_mark, lane->pub.mark};
    if (strcmp(stamp.model_text, lane->pub.model_id) != 0 || (mark.some && stamp.origin <= mark.origin)) {
        return mr_ok();
    }
    const bool is_gap = found->first == NULL && mr_order_decide(mark, stamp.origin, stamp.prev) != MR_ORDER_NEXT;
    if (stamp.origin > until || is_gap) {
        *ret_over = true;
        return mr_ok();
    }
    struct item *item = mr_item_copy(stage, record);
    if (item == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a record");
    }
    item->record.topic = topic_of(stage, lane); /* the reader's name of it ends with the reader */
    item->pub.lane = &lane->pub;
    item->pub.origin = stamp.origin;
    item->pub.has_prev = stamp.prev.some;
    item->pub.prev = stamp.prev.origin;
    item->pub.time_ms = mr_record_time_ms(&item->record);
    if (found->last == NULL) {
        found->first = item;
    } else {
        found->last->next = item;
    }
    found->last = item;
    found->count++;
    *ret_over = found->count == MR_REREAD_MAX;
    return mr_ok();
}

/* What the lane needs of [from, high), as far as it hangs together with its mark. */
static struct mr_error scan(struct mr_stage *stage, struct lane *lane, uint64_t until, uint64_t from, uint64_t high,
                            struct found *found)
{
    struct mr_log *log = stage->env.log;
    const char *topic = topic_of(stage, lane);
    struct mr_log_reader *reader = NULL;
    bool over = from >= high;
    if (over) {
        return mr_ok();
    }
    MR_TRY(log->ops->reader_open(log, topic, lane->pub.partition, from, &reader));
    struct mr_error error = mr_ok();
    while (!over && !mr_failed(error)) {
        struct mr_log_record record;
        bool some;
        error = log->ops->reader_next(log, reader, READ_WAIT_MS, &some, &record);
        if (!mr_failed(error) && !some) {
            error = mr_error_make(MR_ERROR_TRANSIENT, "read_timeout", 0, "%s partition %u", topic, lane->pub.partition);
        }
        if (!mr_failed(error)) {
            bool enough = false;
            error = consider(stage, lane, until, &record, found, &enough);
            over = enough || record.offset + 1 >= high;
        }
        mr_stage_alive(stage);
    }
    log->ops->reader_close(log, reader);
    return error;
}

/* No committed offset says from where a model that has been quiet needs the log. It is looked for backwards, by spans
 * that grow, so that it costs what lies behind and not the log's length: that a record follows the mark is proof enough
 * (rule O3), wherever the look began. */
static struct mr_error search(struct mr_stage *stage, struct lane *lane, uint64_t until, uint64_t low, uint64_t high,
                              struct found *found)
{
    for (uint64_t span = SPAN_FIRST;; span *= SPAN_GROWTH) {
        const uint64_t from = high - low > span ? high - span : low;
        const struct mr_error error = scan(stage, lane, until, from, high, found);
        if (mr_failed(error) || found->first != NULL || from == low) {
            return error;
        }
    }
}

struct mr_error mr_stage_reread(struct mr_stage *stage, struct lane *lane, uint64_t until, bool *ret_found)
{
    uint64_t low, high;
    struct found found = {0};
    MR_TRY(stage->env.log->ops->watermarks(stage->env.log, topic_of(stage, lane), lane->pub.partition, &low, &high));
    /* A pass that found as many as it may goes on where it ended. */
    const struct mr_error error = lane->reread_next > low ? scan(stage, lane, until, lane->reread_next, high, &found)
                                                          : search(stage, lane, until, low, high, &found);
    if (mr_failed(error)) {
        drop(stage, &found);
        return error;
    }
    *ret_found = found.first != NULL;
    lane->reread_next = found.count == MR_REREAD_MAX ? found.last->record.offset + 1 : 0;
    if (found.first != NULL) {
        mr_lane_push_front(lane, found.first, found.last);
    }
    return mr_ok();
}
