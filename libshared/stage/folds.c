/* Keeping the cache of a stage's fold: what changed, what is acknowledged, and the snapshot under way. */
#include "folds.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LANE_BYTES_LEAST = 256 }; /* what a record takes besides its state, and that of a lane not written yet */

/* ---- What is folded --------------------------------------------------------------------------------------------- */

bool mr_stage_folds_topic(const struct mr_stage *stage, const char *output)
{
    bool wanted = stage->spec.ops->fold != NULL;
    for (size_t i = 0; i < stage->spec.input_count; i++) {
        const char *const from = stage->spec.inputs[i].marks_from;
        wanted = wanted || (from != NULL && strcmp(from, output) == 0);
    }
    return wanted;
}

static void add_topic(struct folds *folds, const char *topic, bool shared)
{
    folds->topics[folds->topic_count++] = (struct fold_topic){.topic = topic, .shared = shared};
}

struct mr_error mr_folds_open(struct mr_stage *stage, uint32_t partition)
{
    const struct mr_stage_ops *const ops = stage->spec.ops;
    if (stage->env.fold_every == 0 || (ops->fold != NULL && ops->fold_save == NULL)) {
        return mr_ok();
    }
    struct folds *const folds = calloc(1, sizeof *folds);
    if (folds == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a partition");
    }
    folds->partition = partition;
    folds->phase = FOLDS_IDLE;
    for (size_t i = 0; i < stage->spec.output_count; i++) {
        if (mr_stage_folds_topic(stage, stage->spec.outputs[i])) {
            add_topic(folds, stage->spec.outputs[i], false);
        }
    }
    if (folds->topic_count == 0) { /* its marks come from elsewhere */
        free(folds);
        return mr_ok();
    }
    if (stage->spec.retry_topic != NULL) {
        add_topic(folds, MR_TOPIC_DEADLETTERS, true);
    }
    folds->after = stage->folds;
    stage->folds = folds;
    return mr_folds_load(stage, folds);
}

struct folds *mr_folds_find(struct mr_stage *stage, uint32_t partition)
{
    struct folds *folds = stage->folds;
    while (folds != NULL && folds->partition != partition) {
        folds = folds->after;
    }
    return folds;
}

void mr_folds_close(struct mr_stage *stage)
{
    while (stage->folds != NULL) {
        struct folds *const folds = stage->folds;
        stage->folds = folds->after;
        mr_buffer_deinit(&folds->batch);
        mr_buffer_deinit(&folds->state);
        free(folds);
    }
}

struct fold_topic *mr_folds_topic(struct folds *folds, const char *topic)
{
    for (size_t i = 0; folds != NULL && i < folds->topic_count; i++) {
        if (strcmp(folds->topics[i].topic, topic) == 0) {
            return &folds->topics[i];
        }
    }
    return NULL;
}

uint64_t mr_folds_next(const struct fold_topic *topic)
{
    return topic == NULL ? 0 : topic->next;
}

void mr_folds_folded(struct folds *folds, const struct mr_log_record *record)
{
    if (folds != NULL) {
        folds->since_records++;
        folds->since_bytes += record->value.size;
    }
}

void mr_folds_reached(struct fold_topic *topic, uint64_t next)
{
    if (topic != NULL) {
        topic->next = next;
    }
}

struct mr_error mr_folds_pass(struct mr_stage *stage, struct folds *folds)
{
    struct mr_log *const log = stage->env.log;
    for (size_t i = 0; folds != NULL && i < folds->topic_count; i++) {
        uint64_t low;
        MR_TRY(log->ops->watermarks(log, folds->topics[i].topic, folds->partition, &low, &folds->topics[i].next));
    }
    return mr_ok();
}

/* ---- What changes ----------------------------------------------------------------------------------------------- */

void mr_folds_touch(struct lane *lane)
{
    struct folds *const folds = lane->folds;
    if (folds == NULL || lane->dirty) {
        return;
    }
    lane->dirty = true;
    lane->dirty_next = folds->dirty;
    folds->dirty = lane;
    folds->dirty_bytes += lane->saved_bytes > LANE_BYTES_LEAST ? lane->saved_bytes : LANE_BYTES_LEAST;
}

void mr_folds_sent(struct mr_stage *stage, const struct mr_log_output *output, struct delivery *delivery)
{
    if (delivery->item != NULL) {
        struct folds *const folds = lane_of(delivery->item->pub.lane)->folds;
        delivery->fold_topic = mr_folds_topic(folds, output->topic);
        delivery->folds = delivery->fold_topic == NULL ? NULL : folds;
        delivery->bytes = output->value.size;
    } else if (strcmp(output->topic, MR_TOPIC_FOLDS) == 0) {
        delivery->folds = mr_folds_find(stage, output->partition);
    }
}

void mr_folds_acknowledged(struct mr_stage *stage, const struct delivery *delivery, uint64_t offset)
{
    struct folds *const folds = delivery->folds;
    struct fold_topic *const topic = delivery->fold_topic;
    if (folds == NULL) {
        return;
    }
    if (topic == NULL) {
        folds->waiting--; /* a record of the cache itself */
        return;
    }
    folds->since_records++;
    folds->since_bytes += delivery->bytes;
    if (!topic->shared && offset != topic->next && !folds->halted) {
        folds->halted = true;
        MR_TRACE(stage->env.trace, MR_TRACE_WARN, "FoldCacheHalted", mr_count("partition", folds->partition),
                 mr_text("topic", topic->topic), mr_count("expected", topic->next), mr_count("offset", offset));
        mr_stage_count(stage, "FoldCacheHalted");
    }
    if (topic->shared || offset == topic->next) {
        topic->next = offset + 1;
    }
}

void mr_folds_resolved(struct item *item)
{
    if (item->in_barrier) {
        item->in_barrier = false;
        lane_of(item->pub.lane)->folds->waiting--;
    }
}

/* ---- A snapshot ---------------------------------------------------------------------------------------------------
 */

/* The last one is taken when a stop has let everything end. */
static bool due(const struct mr_stage *stage, const struct folds *folds)
{
    const bool quiet = stage->jobs == 0 && stage->deliveries.after == &stage->deliveries;
    const bool enough = stage->stopping
                            ? quiet && folds->since_records > 0
                            : folds->since_records >= stage->env.fold_every || folds->since_bytes >= FOLD_BYTES;
    return enough && folds->dirty != NULL && !folds->halted && !stage->broker_down &&
           folds->since_bytes >= stage->env.fold_share * folds->dirty_bytes;
}

static struct fold_entry entry_of(const struct mr_stage *stage, const struct folds *folds, enum fold_entry_kind kind)
{
    struct fold_entry entry;
    memset(&entry, 0, sizeof entry);
    entry.kind = kind;
    entry.log_id = stage->env.deployment->log_id;
    entry.epoch = folds->epoch;
    entry.snapshot = folds->snapshot;
    return entry;
}

/* The service's state is ahead of the lane by a verdict that is held back. */
static void marks_of(const struct mr_stage *stage, const struct lane *lane, struct fold_lane *ret_lane)
{
    ret_lane->mark = lane->folded;
    ret_lane->last_out = lane->last_out;
    if (lane->held == NULL) {
        return;
    }
    const struct mr_mark held = {true, lane->held->pub.origin};
    const char *const from = stage->spec.inputs[lane->pub.input].marks_from;
    for (size_t i = 0; lane->verdict.kind == MR_VERDICT_EMIT && i < lane->verdict.output_count; i++) {
        if (from != NULL && strcmp(from, lane->verdict.outputs[i].topic) == 0 &&
            (!ret_lane->last_out.some || ret_lane->last_out.origin < held.origin)) {
            ret_lane->last_out = held;
            ret_lane->mark = ret_lane->mark.some && ret_lane->mark.origin > held.origin ? ret_lane->mark : held;
        }
    }
}

static struct mr_error append_parts(struct folds *folds, const char *lane_key, const struct fold_entry *like,
                                    struct mr_bytes state, uint32_t turn, uint32_t *ret_parts)
{
    uint32_t index = 0;
    for (size_t at = 0; at < state.size; at += FOLD_PART_BYTES, index++) {
        const size_t rest = state.size - at;
        char key[FOLD_KEY_SIZE];
        struct fold_entry part = *like;
        memset(&part.of, 0, sizeof part.of);
        part.kind = FOLD_ENTRY_PART;
        part.of.part.index = index;
        part.of.part.state = mr_bytes_of(state.data + at, rest < FOLD_PART_BYTES ? rest : FOLD_PART_BYTES);
        mr_folds_part_key(lane_key, turn, index, key);
        MR_TRY(mr_folds_append(&folds->batch, key, &part));
    }
    *ret_parts = index;
    return mr_ok();
}

static struct mr_error save_lane(struct mr_stage *stage, struct folds *folds, struct lane *lane)
{
    const struct mr_stage_ops *const ops = stage->spec.ops;
    struct fold_entry entry = entry_of(stage, folds, FOLD_ENTRY_LANE);
    struct fold_lane *const to = &entry.of.lane;
    char key[FOLD_KEY_SIZE];
    const size_t before = folds->batch.size;
    folds->state.size = 0;
    if (ops->fold_save != NULL) {
        MR_TRY(ops->fold_save(stage->spec.self, &lane->pub, &folds->state));
    }
    if (lane->saved_since == 0) {
        lane->saved_since = folds->snapshot;
        folds->lanes++;
    }
    marks_of(stage, lane, to);
    to->input = stage->spec.inputs[lane->pub.input].topic;
    to->model_id = lane->pub.model_id;
    to->since = lane->saved_since;
    to->state_version = stage->spec.fold_version;
    to->state = mr_buffer_view(&folds->state);
    mr_folds_lane_key(stage, folds->slot, to->input, to->model_id, key);
    if (to->state.size > FOLD_PART_BYTES) {
        lane->saved_turn = 1 - lane->saved_turn;
        to->turn = lane->saved_turn;
        MR_TRY(append_parts(folds, key, &entry, to->state, to->turn, &to->parts));
        to->state = mr_bytes_of(NULL, 0);
    }
    MR_TRY(mr_folds_append(&folds->batch, key, &entry));
    lane->dirty = false;
    lane->saved_bytes = (uint32_t)(folds->batch.size - before);
    return mr_ok();
}

/* What the service's memory holds of it may not be in the log yet. */
static bool is_ahead(const struct item *item, const struct folds *folds)
{
    const struct lane *const lane = lane_of(item->pub.lane);
    return lane->folds == folds && (item->phase == ITEM_SENT || lane->held == item);
}

static void raise_barrier(struct mr_stage *stage, struct folds *folds)
{
    folds->waiting = 0;
    for (size_t i = 0; i < MR_ITEM_BUCKETS; i++) {
        for (struct item *item = stage->items[i]; item != NULL; item = item->hash_next) {
            if (is_ahead(item, folds)) {
                item->in_barrier = true;
                folds->waiting++;
            }
        }
    }
}

static struct mr_error take_batch(struct mr_stage *stage, struct folds *folds)
{
    folds->batch.size = 0;
    while (folds->saving != NULL && folds->batch.size < FOLD_BATCH_BYTES) {
        struct lane *const lane = folds->saving;
        folds->saving = lane->dirty_next;
        MR_TRY(save_lane(stage, folds, lane));
    }
    raise_barrier(stage, folds);
    folds->phase = FOLDS_AWAITING;
    return mr_ok();
}

static struct mr_error begin(struct mr_stage *stage, struct folds *folds)
{
    for (size_t i = 0; i < folds->topic_count; i++) {
        folds->next[i] = folds->topics[i].next;
    }
    folds->snapshot++;
    folds->saving = folds->dirty;
    folds->dirty = NULL;
    folds->dirty_bytes = 0;
    folds->since_records = folds->since_bytes = 0;
    return take_batch(stage, folds);
}

static struct mr_error write_batch(struct mr_stage *stage, struct folds *folds, enum folds_phase phase)
{
    struct mr_bytes key, value;
    folds->phase = phase;
    for (size_t at = 0; mr_folds_take(&folds->batch, &at, &key, &value);) {
        const struct mr_log_output output = {
            .topic = MR_TOPIC_FOLDS,
            .partition = folds->partition,
            .has_key = true,
            .key = key,
            .has_value = true,
            .value = value,
        };
        MR_TRY(mr_stage_produce(stage, SENDING_NOTHING, &output, NULL, NULL, 0));
        folds->waiting++;
    }
    return mr_ok();
}

static struct mr_error write_mark(struct mr_stage *stage, struct folds *folds)
{
    struct fold_entry entry = entry_of(stage, folds, FOLD_ENTRY_MARK);
    struct fold_mark *const mark = &entry.of.mark;
    char key[FOLD_KEY_SIZE];
    mark->slot = folds->slot;
    mark->lanes = folds->lanes;
    mark->topic_count = folds->topic_count;
    for (size_t i = 0; i < folds->topic_count; i++) {
        mark->topics[i] = folds->topics[i];
        mark->topics[i].next = folds->next[i];
    }
    mr_folds_mark_key(stage, key);
    folds->batch.size = 0;
    MR_TRY(mr_folds_append(&folds->batch, key, &entry));
    return write_batch(stage, folds, FOLDS_MARKING);
}

static struct mr_error go_on(struct mr_stage *stage, struct folds *folds)
{
    if (folds->waiting > 0) {
        return mr_ok();
    }
    switch (folds->phase) {
    case FOLDS_IDLE: return due(stage, folds) ? begin(stage, folds) : mr_ok();
    case FOLDS_AWAITING: return write_batch(stage, folds, FOLDS_WRITING);
    case FOLDS_WRITING: return folds->saving != NULL ? take_batch(stage, folds) : write_mark(stage, folds);
    case FOLDS_MARKING:
        folds->phase = FOLDS_IDLE;
        mr_buffer_deinit(&folds->batch);
        mr_buffer_deinit(&folds->state);
        mr_stage_count(stage, "FoldCached");
        MR_TRACE(stage->env.trace, MR_TRACE_DEBUG, "FoldCached", mr_count("partition", folds->partition),
                 mr_count("snapshot", folds->snapshot), mr_count("lanes", folds->lanes));
        return mr_ok();
    }
    mr_unreachable(__func__);
}

struct mr_error mr_folds_turn(struct mr_stage *stage)
{
    for (struct folds *folds = stage->folds; folds != NULL; folds = folds->after) {
        do {
            MR_TRY(go_on(stage, folds));
        } while (folds->phase != FOLDS_IDLE && folds->waiting == 0);
    }
    return mr_ok();
}

bool mr_folds_finished(const struct mr_stage *stage)
{
    for (const struct folds *folds = stage->folds; folds != NULL; folds = folds->after) {
        if (folds->phase != FOLDS_IDLE || due(stage, folds)) {
            return false;
        }
    }
    return true;
}
