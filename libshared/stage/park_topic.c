/* The stage's retry topic (rule R3): read when a partition is assigned, read by offset when a parked record is due. */
#include "stage_internal.h"

#include "millrace/retry/v1/retry.pb-c.h"
#include "millrace/wire.h"

#include <inttypes.h>
#include <string.h>

enum { READ_WAIT_MS = 5000 };

static struct mr_error undecodable(const char *topic, uint32_t partition, uint64_t offset)
{
    return mr_error_make(MR_ERROR_REJECT, "corrupt_record", 0, "%s partition %u offset %" PRIu64 ": not a RetryEntry",
                         topic, partition, offset);
}

int64_t mr_park_due_ticks(const struct mr_stage *stage, uint32_t partition, uint64_t origin, uint32_t attempt,
                          int64_t due_ms)
{
    if (attempt == 0) {
        return 0;
    }
    const struct mr_retry retry = mr_retry_decide(stage->env.retry, attempt - 1, mr_retry_event(partition, origin));
    const int64_t longest_ms = retry.kind == MR_RETRY_SCHEDULED ? retry.wait_ms : 0;
    const int64_t wait_ms = due_ms - mr_stage_now_ms(stage);
    return mr_stage_ticks_ms(stage) + (wait_ms < longest_ms ? wait_ms : longest_ms);
}

static struct mr_error fold_entry(struct mr_stage *stage, struct partition *partition,
                                  const struct mr_log_record *record, const Millrace__Retry__V1__RetryEntry *entry)
{
    struct stamp stamp;
    MR_TRY(mr_stamp_read(record, &stamp));
    struct lane *lane = mr_lane_get(stage, partition->input, partition->index, mr_bytes_of_text(stamp.model_text));
    if (lane == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a lane");
    }
    struct mr_parked *known = mr_park_find(&lane->park, stamp.origin);
    const int64_t due_ticks_ms =
        mr_park_due_ticks(stage, partition->index, stamp.origin, entry->attempt, entry->due_ms);
    if (known != NULL) {
        known->attempt = entry->attempt;
        known->due_ticks_ms = due_ticks_ms;
        return mr_ok();
    }
    /* Resolved already: everything of a model up to its mark is, or stands among the parked. A write that an earlier
     * owner had under way comes as late as it likes. */
    if (lane->pub.has_mark && stamp.origin <= lane->pub.mark) {
        return mr_ok();
    }
    if (entry->body_case != MILLRACE__RETRY__V1__RETRY_ENTRY__BODY_PARKED) {
        return mr_ok();
    }
    const struct mr_parked parked = {.origin = stamp.origin,
                                     .written = true,
                                     .retry_offset = record->offset,
                                     .attempt = entry->attempt,
                                     .due_ticks_ms = due_ticks_ms};
    MR_TRY(mr_park_add(&lane->park, parked));
    lane->pub.has_mark = true;
    lane->pub.mark = stamp.origin;
    partition->parked++;
    mr_lane_list_parked(stage, lane);
    return mr_park_offer(stage, lane, stamp.origin, record->value);
}

struct mr_error mr_park_fold(struct mr_stage *stage, struct partition *partition)
{
    struct mr_log *log = stage->env.log;
    uint64_t low, high, from;
    bool some;
    MR_TRY(log->ops->watermarks(log, stage->spec.retry_topic, partition->index, &low, &high));
    MR_TRY(log->ops->committed(log, stage->spec.retry_topic, partition->index, &some, &from));
    if (some && from > high) {
        return mr_error_make(MR_ERROR_FATAL, "log_discontinuity", 0,
                             "%s partition %u ends at %" PRIu64 " but %" PRIu64
                             " is committed: another log? `millrace log adopt` starts a new epoch",
                             stage->spec.retry_topic, partition->index, high, from);
    }
    from = some && from > low ? from : low;
    partition->retry_next = high;
    if (from >= high) {
        return mr_ok();
    }
    struct mr_log_reader *reader;
    MR_TRY(log->ops->reader_open(log, stage->spec.retry_topic, partition->index, from, &reader));
    struct mr_error error = mr_ok();
    for (uint64_t next = from; next < high && !mr_failed(error);) {
        struct mr_log_record record;
        error = log->ops->reader_next(log, reader, READ_WAIT_MS, &some, &record);
        if (mr_failed(error)) {
            break;
        }
        if (!some) {
            error = mr_error_make(MR_ERROR_TRANSIENT, "read_timeout", 0, "%s partition %u at %" PRIu64,
                                  stage->spec.retry_topic, partition->index, next);
            break;
        }
        next = record.offset + 1;
        Millrace__Retry__V1__RetryEntry *entry =
            millrace__retry__v1__retry_entry__unpack(NULL, record.value.size, record.value.data);
        error = entry == NULL ? undecodable(record.topic, record.partition, record.offset)
                              : fold_entry(stage, partition, &record, entry);
        if (entry != NULL) {
            millrace__retry__v1__retry_entry__free_unpacked(entry, NULL);
        }
        mr_stage_alive(stage);
    }
    log->ops->reader_close(log, reader);
    return error;
}

struct mr_error mr_park_load(struct mr_stage *stage, struct lane *lane, struct item **ret_item)
{
    struct mr_bytes value;
    MR_TRY(mr_park_head_value(stage, lane, &value));
    const struct mr_parked *const parked = mr_park_head(&lane->park);
    Millrace__Retry__V1__RetryEntry *entry = millrace__retry__v1__retry_entry__unpack(NULL, value.size, value.data);
    if (entry == NULL || entry->body_case != MILLRACE__RETRY__V1__RETRY_ENTRY__BODY_PARKED) {
        if (entry != NULL) {
            millrace__retry__v1__retry_entry__free_unpacked(entry, NULL);
        }
        return undecodable(stage->spec.retry_topic, lane->pub.partition, parked->retry_offset);
    }
    const Millrace__Retry__V1__Parked *body = entry->parked;
    struct mr_log_header *headers = mr_arena_alloc(&stage->arena, (body->n_headers + 1) * sizeof *headers);
    struct item *item = NULL;
    if (headers != NULL) {
        for (size_t i = 0; i < body->n_headers; i++) {
            headers[i] = (struct mr_log_header){body->headers[i]->name, mr_wire_view(body->headers[i]->value)};
        }
        const struct mr_log_record original = {
            .topic = stage->spec.inputs[lane->pub.input].topic,
            .partition = lane->pub.partition,
            .offset = body->input_offset,
            .timestamp_ms = body->timestamp_ms,
            .has_key = body->has_key,
            .has_value = body->has_value,
            .key = mr_wire_view(body->key),
            .value = mr_wire_view(body->value),
            .headers = headers,
            .header_count = body->n_headers,
        };
        item = mr_item_copy(stage, &original);
    }
    millrace__retry__v1__retry_entry__free_unpacked(entry, NULL);
    if (item == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a parked record");
    }
    item->from_park = true;
    item->unparked_of = mr_partition_find(stage, lane->pub.input, lane->pub.partition);
    item->unparked_of->unparked++;
    item->pub.lane = &lane->pub;
    item->pub.origin = parked->origin;
    item->pub.attempt = parked->attempt;
    item->pub.time_ms = mr_record_time_ms(&item->record);
    *ret_item = item;
    return mr_ok();
}

struct mr_error mr_park_commit(struct mr_stage *stage, struct partition *partition)
{
    uint64_t low = partition->retry_next;
    for (struct lane *lane = stage->parked_first; lane != NULL; lane = lane->parked_next) {
        if (lane->pub.partition != partition->index || lane->park.count == 0) {
            continue;
        }
        const struct mr_parked *first = &lane->park.entries[lane->park.first];
        if (!first->written) {
            return mr_ok(); /* not known yet; the next time */
        }
        low = first->retry_offset < low ? first->retry_offset : low;
    }
    if (low == partition->retry_committed) {
        return mr_ok();
    }
    partition->retry_committed = low;
    return stage->env.log->ops->commit(stage->env.log, stage->spec.retry_topic, partition->index, low);
}
