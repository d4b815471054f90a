/* Reading the log again by hand: one record by offset, or what a lane missed (LogGap, rule O3). */
#include "stage_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_WAIT_MS = 5000 };

static struct mr_error reader_of(struct mr_stage *stage, const char *topic, uint32_t partition, uint64_t offset,
                                 struct reader **ret_reader)
{
    struct reader *reader = stage->readers;
    while (reader != NULL && (strcmp(reader->topic, topic) != 0 || reader->partition != partition)) {
        reader = reader->after;
    }
    if (reader == NULL) {
        struct mr_log_reader *opened;
        MR_TRY(stage->env.log->ops->reader_open(stage->env.log, topic, partition, offset, &opened));
        reader = calloc(1, sizeof *reader);
        if (reader == NULL) {
            stage->env.log->ops->reader_close(stage->env.log, opened);
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a reader");
        }
        *reader = (struct reader){topic, partition, opened, offset, true, stage->readers};
        stage->readers = reader;
    } else if (!reader->some || reader->next != offset) {
        reader->some = false;
        MR_TRY(stage->env.log->ops->reader_seek(stage->env.log, reader->reader, offset));
        reader->next = offset;
        reader->some = true;
    }
    *ret_reader = reader;
    return mr_ok();
}

struct mr_error mr_stage_read(struct mr_stage *stage, const char *topic, uint32_t partition, uint64_t offset,
                              struct mr_log_record *ret_record)
{
    struct reader *reader = NULL;
    MR_TRY(reader_of(stage, topic, partition, offset, &reader));
    struct mr_log_record record;
    bool some;
    reader->some = false;
    MR_TRY(stage->env.log->ops->reader_next(stage->env.log, reader->reader, READ_WAIT_MS, &some, &record));
    if (!some) {
        return mr_error_make(MR_ERROR_TRANSIENT, "read_timeout", 0, "%s partition %u offset %" PRIu64, topic, partition,
                             offset);
    }
    reader->next = record.offset + 1;
    reader->some = true;
    if (record.offset != offset) {
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0,
                             "%s partition %u offset %" PRIu64 " is not in the log; the next is %" PRIu64, topic,
                             partition, offset, record.offset);
    }
    *ret_record = record;
    return mr_ok();
}

struct found {
    struct item *first, *last;
    size_t count;
};

/* One record of the scan: queued if it is this lane's and behind its mark. */
static struct mr_error consider(struct mr_stage *stage, struct lane *lane, uint64_t until,
                                const struct mr_log_record *record, struct found *found, bool *ret_over)
{
    struct stamp stamp;
    MR_TRY(mr_stamp_read(record, &stamp));
    if (strcmp(stamp.model_text, lane->pub.model_id) != 0 || (lane->pub.has_mark && stamp.origin <= lane->pub.mark)) {
        return mr_ok();
    }
    if (stamp.origin > until) {
        *ret_over = true;
        return mr_ok();
    }
    struct item *item = mr_item_copy(stage, record);
    if (item == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a record");
    }
    /* The reader's topic name lives as long as the stage's spec does. */
    item->record.topic = stage->spec.inputs[lane->pub.input].reread_from != NULL
                             ? stage->spec.inputs[lane->pub.input].reread_from
                             : stage->spec.inputs[lane->pub.input].topic;
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
    *ret_over = *ret_over || found->count == MR_REREAD_MAX;
    return mr_ok();
}

struct mr_error mr_stage_reread(struct mr_stage *stage, struct lane *lane, uint64_t until, bool *ret_found)
{
    struct mr_log *log = stage->env.log;
    const struct mr_stage_input *input = &stage->spec.inputs[lane->pub.input];
    const char *topic = input->reread_from != NULL ? input->reread_from : input->topic;
    uint64_t low, high;
    bool some;
    MR_TRY(log->ops->watermarks(log, topic, lane->pub.partition, &low, &high));
    /* From the log's beginning: no committed offset says from where a model that has been quiet for long needs it. A
     * pass that found as many as it may goes on where it ended. */
    const uint64_t from = lane->reread_next > low ? lane->reread_next : low;
    struct found found = {0};
    struct mr_error error = mr_ok();
    bool over = from >= high;
    struct mr_log_reader *reader = NULL;
    if (!over) {
        MR_TRY(log->ops->reader_open(log, topic, lane->pub.partition, from, &reader));
    }
    while (!over && !mr_failed(error)) {
        struct mr_log_record record;
        error = log->ops->reader_next(log, reader, READ_WAIT_MS, &some, &record);
        if (!mr_failed(error) && !some) {
            error = mr_error_make(MR_ERROR_TRANSIENT, "read_timeout", 0, "%s partition %u", topic, lane->pub.partition);
        }
        if (!mr_failed(error)) {
            over = record.offset + 1 >= high;
            error = consider(stage, lane, until, &record, &found, &over);
        }
        mr_stage_alive(stage);
    }
    if (reader != NULL) {
        log->ops->reader_close(log, reader);
    }
    if (mr_failed(error)) {
        while (found.first != NULL) {
            struct item *item = found.first;
            found.first = item->next;
            mr_item_free(stage, item);
        }
        return error;
    }
    const struct mr_mark mark = {lane->pub.has_mark, lane->pub.mark};
    *ret_found = found.first != NULL &&
                 mr_order_decide(mark, found.first->pub.origin,
                                 (struct mr_mark){found.first->pub.has_prev, found.first->pub.prev}) == MR_ORDER_NEXT;
    lane->reread_next = found.count == MR_REREAD_MAX ? found.last->record.offset + 1 : 0;
    if (found.first != NULL) {
        mr_lane_push_front(lane, found.first, found.last);
    }
    return mr_ok();
}
