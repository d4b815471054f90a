/* Taking partitions over and giving them up: a stage's state is the fold of its own output (rules O4, O5). */
#include "stage_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_WAIT_MS = 5000 };

struct partition *mr_partition_find(struct mr_stage *stage, uint32_t input, uint32_t index)
{
    struct partition *partition = stage->partitions;
    while (partition != NULL && (partition->input != input || partition->index != index)) {
        partition = partition->next;
    }
    return partition;
}

static struct mr_error advance(struct mr_stage *stage, uint32_t input, uint32_t index, struct mr_bytes model,
                               uint64_t origin, struct lane **ret_lane)
{
    struct lane *lane = mr_lane_get(stage, input, index, model);
    if (lane == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a lane");
    }
    if (!lane->pub.has_mark || lane->pub.mark < origin) {
        lane->pub.has_mark = true;
        lane->pub.mark = origin;
    }
    mr_lane_folded(lane, origin);
    *ret_lane = lane;
    return mr_ok();
}

struct fold {
    struct mr_stage *stage;
    uint32_t partition;
    const char *topic;
    struct folds *cache;
};

static struct mr_error fold_output(void *self, const struct mr_log_record *record)
{
    const struct fold *fold = self;
    struct mr_stage *stage = fold->stage;
    struct stamp stamp;
    bool repeated = false;
    mr_folds_folded(fold->cache, record);
    MR_TRY(mr_stamp_read(record, &stamp));
    if (memcmp(stamp.log_id.bytes, stage->env.deployment->log_id.bytes, MR_LOG_ID_SIZE) != 0) {
        return mr_error_make(MR_ERROR_FATAL, "log_discontinuity", 0, "%s partition %u holds records of another log",
                             record->topic, record->partition);
    }
    for (uint32_t i = 0; i < stage->spec.input_count; i++) {
        const char *from = stage->spec.inputs[i].marks_from;
        if (from != NULL && strcmp(from, fold->topic) == 0) {
            struct lane *lane;
            MR_TRY(advance(stage, i, fold->partition, mr_bytes_of_text(stamp.model_text), stamp.origin, &lane));
            repeated = lane->last_out.some && lane->last_out.origin >= stamp.origin;
            lane->last_out = repeated ? lane->last_out : (struct mr_mark){true, stamp.origin};
        }
    }
    return stage->spec.ops->fold == NULL || repeated ? mr_ok() : stage->spec.ops->fold(stage->spec.self, record);
}

static bool decimal(struct mr_bytes text, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || number > (UINT64_MAX - 9) / 10) {
            return false;
        }
        number = 10 * number + (uint64_t)(text.data[i] - '0');
    }
    *ret_number = number;
    return text.size > 0;
}

/* Own dead letters are resolved records too. */
static struct mr_error fold_dead_letter(void *self, const struct mr_log_record *record)
{
    const struct fold *fold = self;
    struct lane *lane;
    struct mr_bytes name, origin_text, model;
    uint64_t origin;
    if (!mr_log_header_find(record, "mr_dlq_stage", &name) ||
        !mr_bytes_equal(name, mr_bytes_of_text(fold->stage->spec.name))) {
        return mr_ok();
    }
    if (!mr_log_header_find(record, "mr_dlq_origin", &origin_text) || !decimal(origin_text, &origin) ||
        !mr_log_header_find(record, "mr_dlq_model", &model) || model.size > MR_ID_MAX) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt_record", 0, "%s partition %u offset %" PRIu64 ": bad headers",
                             record->topic, record->partition, record->offset);
    }
    mr_folds_folded(fold->cache, record);
    return advance(fold->stage, 0, fold->partition, model, origin, &lane);
}

struct mr_error mr_stage_scan(struct mr_stage *stage, const char *topic, uint32_t partition, uint64_t from,
                              uint64_t *ret_end, struct mr_error (*one)(void *self, const struct mr_log_record *record),
                              void *self)
{
    struct mr_log *log = stage->env.log;
    uint64_t low, high;
    MR_TRY(log->ops->watermarks(log, topic, partition, &low, &high));
    uint64_t next = from > low ? from : low;
    if (ret_end != NULL) {
        *ret_end = high;
    }
    if (next >= high) {
        return mr_ok();
    }
    struct mr_log_reader *reader;
    MR_TRY(log->ops->reader_open(log, topic, partition, next, &reader));
    struct mr_error error = mr_ok();
    while (next < high && !mr_failed(error)) {
        struct mr_log_record record;
        bool some;
        error = log->ops->reader_next(log, reader, READ_WAIT_MS, &some, &record);
        if (!mr_failed(error) && !some) {
            error = mr_error_make(MR_ERROR_TRANSIENT, "read_timeout", 0, "%s partition %u at %" PRIu64, topic,
                                  partition, next);
        }
        if (!mr_failed(error)) {
            next = record.offset + 1;
            error = one(self, &record);
        }
        mr_stage_alive(stage);
    }
    log->ops->reader_close(log, reader);
    return error;
}

/* What is not cached of it. */
static struct mr_error fold_topic(struct fold *fold, const char *topic,
                                  struct mr_error (*one)(void *self, const struct mr_log_record *record))
{
    struct fold_topic *cached = mr_folds_topic(fold->cache, topic);
    uint64_t end;
    fold->topic = topic;
    MR_TRY(mr_stage_scan(fold->stage, topic, fold->partition, mr_folds_next(cached), &end, one, fold));
    mr_folds_reached(cached, end);
    return mr_ok();
}

/* Whether the topics, or the cache for them, still hold all that this stage wrote there. */
static struct mr_error is_whole(const struct fold *fold, bool *ret_whole, char detail[MR_ERROR_DETAIL_MAX])
{
    const struct mr_stage *const stage = fold->stage;
    struct mr_log *const log = stage->env.log;
    *ret_whole = true;
    for (size_t i = 0; i < stage->spec.output_count; i++) {
        const char *const topic = stage->spec.outputs[i];
        uint64_t low, high;
        if (!mr_stage_folds_topic(stage, topic)) {
            continue;
        }
        MR_TRY(log->ops->watermarks(log, topic, fold->partition, &low, &high));
        if (low > mr_folds_next(mr_folds_topic(fold->cache, topic))) {
            *ret_whole = false;
            (void)snprintf(detail, MR_ERROR_DETAIL_MAX,
                           "%s partition %" PRIu32 " begins at %" PRIu64 ", and what %s knew stood before it", topic,
                           fold->partition, low, stage->spec.name);
        }
    }
    return mr_ok();
}

/* A stage that may reject needs all of its memory: with a part of it, it would reject what is good. Without any, the
 * next record of a model names one that is not known, and the input is read again from the model's first; at the entry
 * nothing is named. The others need no more than the marks that are left. */
static struct mr_error may_fold(const struct fold *fold, bool *ret_may)
{
    struct mr_stage *const stage = fold->stage;
    char detail[MR_ERROR_DETAIL_MAX] = "";
    *ret_may = true;
    if (stage->spec.retry_topic == NULL) {
        return mr_ok();
    }
    MR_TRY(is_whole(fold, ret_may, detail));
    if (*ret_may) {
        return mr_ok();
    }
    if (stage->spec.inputs[0].entry) {
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0, "%s", detail);
    }
    MR_TRACE(stage->env.trace, MR_TRACE_WARN, "FoldIncomplete", mr_count("partition", fold->partition),
             mr_text("detail", detail));
    mr_stage_count(stage, "FoldIncomplete");
    return mr_ok();
}

static struct mr_error fold_all(struct mr_stage *stage, uint32_t index)
{
    struct fold fold = {.stage = stage, .partition = index, .cache = mr_folds_find(stage, index)};
    bool may = true;
    MR_TRY(may_fold(&fold, &may));
    if (!may) {
        return mr_folds_pass(stage, fold.cache);
    }
    for (size_t i = 0; i < stage->spec.output_count; i++) {
        if (mr_stage_folds_topic(stage, stage->spec.outputs[i])) {
            MR_TRY(fold_topic(&fold, stage->spec.outputs[i], fold_output));
        }
    }
    return stage->spec.retry_topic == NULL ? mr_ok() : fold_topic(&fold, MR_TOPIC_DEADLETTERS, fold_dead_letter);
}

static struct mr_error partition_new(struct mr_stage *stage, uint32_t input, uint32_t index)
{
    struct partition *partition = calloc(1, sizeof *partition);
    if (partition == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a partition");
    }
    partition->input = input;
    partition->index = index;
    partition->next = stage->partitions;
    stage->partitions = partition;
    return mr_ok();
}

/* The entry's offsets are the origins: one beyond the end is of another log, in which new records would look like
 * duplicates (rule O1). */
static struct mr_error check_origins(const struct mr_stage *stage, uint32_t input, uint32_t index, uint64_t high)
{
    for (size_t i = 0; i < MR_LANE_BUCKETS; i++) {
        for (const struct lane *lane = stage->lanes[i]; lane != NULL; lane = lane->hash_next) {
            if (lane->pub.input == input && lane->pub.partition == index && lane->pub.has_mark &&
                lane->pub.mark >= high) {
                return mr_error_make(MR_ERROR_FATAL, "log_discontinuity", 0,
                                     "%s partition %u ends at %" PRIu64 ", but record %" PRIu64 " of it was handled: "
                                     "made anew? then all topics have to be, and `millrace log adopt` goes on",
                                     stage->spec.inputs[input].topic, index, high, lane->pub.mark);
            }
        }
    }
    return mr_ok();
}

/* A committed offset beyond the end means that the log is not the one it was committed in (rule O1). */
static struct mr_error start_input(struct mr_stage *stage, uint32_t input, uint32_t index)
{
    struct mr_log *log = stage->env.log;
    const char *topic = stage->spec.inputs[input].topic;
    uint64_t low, high, from;
    bool some;
    MR_TRY(log->ops->watermarks(log, topic, index, &low, &high));
    if (stage->spec.inputs[input].side != NULL) {
        return log->ops->fetch(log, topic, index, high);
    }
    MR_TRY(log->ops->committed(log, topic, index, &some, &from));
    if (some && from > high) {
        return mr_error_make(MR_ERROR_FATAL, "log_discontinuity", 0,
                             "%s partition %u ends at %" PRIu64 " but %" PRIu64
                             " is committed: another log? `millrace log adopt` starts a new epoch",
                             topic, index, high, from);
    }
    /* Behind the entry, the next record of a model names the one that is missing; here only the offsets tell. */
    if (stage->spec.inputs[input].entry && !some && low > 0) {
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0,
                             "%s partition %u begins at %" PRIu64
                             ", and no offset is committed: records were removed that may not have been read",
                             topic, index, low);
    }
    if (stage->spec.inputs[input].entry) {
        MR_TRY(check_origins(stage, input, index, high));
    }
    struct partition *partition = mr_partition_find(stage, input, index);
    partition->window.position = some ? from : low;
    partition->committed = some ? from : 0;
    partition->has_committed = some;
    return log->ops->fetch(log, topic, index, some ? from : low);
}

static struct mr_error open_one(struct mr_stage *stage, uint32_t index)
{
    const struct mr_stage_ops *ops = stage->spec.ops;
    for (uint32_t i = 0; i < stage->spec.input_count; i++) {
        if (stage->spec.inputs[i].side == NULL) {
            MR_TRY(partition_new(stage, i, index));
        }
    }
    if (ops->partition_open != NULL) {
        MR_TRY(ops->partition_open(stage->spec.self, index));
    }
    MR_TRY(mr_folds_open(stage, index));
    MR_TRY(fold_all(stage, index));
    if (stage->spec.retry_topic != NULL) {
        MR_TRY(mr_park_fold(stage, mr_partition_find(stage, 0, index)));
    }
    for (struct lane *lane = stage->parked_first; lane != NULL; lane = lane->parked_next) {
        if (!lane->asked) {
            mr_lane_open(stage, lane);
        }
    }
    for (uint32_t i = 0; i < stage->spec.input_count; i++) {
        MR_TRY(start_input(stage, i, index));
    }
    return mr_ok();
}

struct mr_error mr_stage_assign(struct mr_stage *stage, const uint32_t *partitions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        MR_TRY(open_one(stage, partitions[i]));
    }
    return mr_ok();
}

void mr_stage_revoke(struct mr_stage *stage)
{
    for (struct delivery *d = stage->deliveries.after; d != &stage->deliveries; d = d->after) {
        d->item = NULL;
        d->lane = NULL;
        d->folds = NULL;
    }
    mr_lanes_close(stage);
    mr_folds_close(stage);
    for (size_t i = 0; i < MR_ITEM_BUCKETS; i++) {
        while (stage->items[i] != NULL) {
            mr_item_free(stage, stage->items[i]);
        }
    }
    stage->down = NULL;
    stage->is_down = false;
    while (stage->partitions != NULL) {
        struct partition *partition = stage->partitions;
        stage->partitions = partition->next;
        if (stage->spec.ops->partition_close != NULL && partition->input == 0) {
            stage->spec.ops->partition_close(stage->spec.self, partition->index);
        }
        mr_stage_forget_lag(stage, partition);
        mr_window_deinit(&partition->window);
        free(partition);
    }
}
