/* Taking a stage's state from its cache, at the beginning of an assignment. */
#include "folds.h"

#include "millrace/hash.h"

#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last record of a key. */
struct cached {
    struct cached *after;
    char key[FOLD_KEY_SIZE];
    struct mr_buffer value;
};

struct cache {
    struct mr_stage *stage;
    struct folds *folds;
    void *tree; /* by key: tsearch(3) */
    struct cached *first;
    struct mr_arena arena;
    struct mr_buffer state;
    struct fold_entry mark; /* its texts are not used */
    const char *reason;     /* why it is ignored; NULL: it is not */
    char detail[MR_ERROR_DETAIL_MAX];
};

static struct mr_error out_of_memory(void)
{
    return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the cache of the fold");
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct cached *)a)->key, ((const struct cached *)b)->key);
}

static const struct cached *find(const struct cache *cache, const char *key)
{
    struct cached wanted;
    (void)snprintf(wanted.key, sizeof wanted.key, "%s", key);
    struct cached *const *const node = tfind(&wanted, &cache->tree, by_key);
    return node == NULL || (*node)->value.size == 0 ? NULL : *node;
}

/* ---- Reading -------------------------------------------------------------------------------------------------------
 */

/* The mark's key is the stage's name, all others begin with it and a slash. */
static bool is_own(const struct mr_stage *stage, const struct mr_log_record *record)
{
    const size_t size = strlen(stage->spec.name);
    return record->has_key && record->key.size >= size && record->key.size < FOLD_KEY_SIZE &&
           memcmp(record->key.data, stage->spec.name, size) == 0 &&
           (record->key.size == size || record->key.data[size] == '/') &&
           memchr(record->key.data, '\0', record->key.size) == NULL;
}

static struct mr_error find_or_add(struct cache *cache, struct mr_bytes key, struct cached **ret_cached)
{
    struct cached *const made = calloc(1, sizeof *made);
    if (made == NULL) {
        return out_of_memory();
    }
    memcpy(made->key, key.data, key.size);
    struct cached **const node = tsearch(made, &cache->tree, by_key);
    if (node == NULL || *node != made) {
        free(made);
        if (node == NULL) {
            return out_of_memory();
        }
    } else {
        made->after = cache->first;
        cache->first = made;
    }
    *ret_cached = *node;
    return mr_ok();
}

static struct mr_error keep(void *self, const struct mr_log_record *record)
{
    struct cache *const cache = self;
    struct cached *cached = NULL;
    if (!is_own(cache->stage, record)) {
        return mr_ok();
    }
    MR_TRY(find_or_add(cache, record->key, &cached));
    cached->value.size = 0;
    return mr_buffer_append(&cached->value, record->value.data, record->value.size);
}

static void cache_deinit(struct cache *cache)
{
    while (cache->first != NULL) {
        struct cached *const cached = cache->first;
        cache->first = cached->after;
        (void)tdelete(cached, &cache->tree, by_key);
        mr_buffer_deinit(&cached->value);
        free(cached);
    }
    mr_arena_deinit(&cache->arena);
    mr_buffer_deinit(&cache->state);
}

/* ---- Judging -------------------------------------------------------------------------------------------------------
 */

static void ignore(struct cache *cache, const char *reason, const char *detail)
{
    if (cache->reason == NULL) {
        cache->reason = reason;
        (void)snprintf(cache->detail, sizeof cache->detail, "%.*s", (int)sizeof cache->detail - 1, detail);
    }
}

/* Takes an offset of the mark over, if the topic still has everything from there on. */
static struct mr_error check_topic(struct cache *cache, struct fold_topic *topic)
{
    struct mr_log *const log = cache->stage->env.log;
    const struct fold_mark *const mark = &cache->mark.of.mark;
    uint64_t low, high;
    char detail[MR_ERROR_DETAIL_MAX];
    size_t i = 0;
    while (i < mark->topic_count && strcmp(mark->topics[i].topic, topic->topic) != 0) {
        i++;
    }
    if (i == mark->topic_count) {
        ignore(cache, "unreadable", topic->topic);
        return mr_ok();
    }
    MR_TRY(log->ops->watermarks(log, topic->topic, cache->folds->partition, &low, &high));
    topic->next = mark->topics[i].next;
    (void)snprintf(detail, sizeof detail, "%s at %" PRIu64 ", but it has %" PRIu64 " to %" PRIu64, topic->topic,
                   topic->next, low, high);
    if (topic->next > high) {
        ignore(cache, "beyond_end", detail);
    } else if (topic->next < low) {
        ignore(cache, "expired", detail);
    }
    return mr_ok();
}

/* *ret_some false: nothing was ever cached. */
static struct mr_error check_mark(struct cache *cache, bool *ret_some)
{
    char key[FOLD_KEY_SIZE];
    mr_folds_mark_key(cache->stage, key);
    const struct cached *const cached = find(cache, key);
    *ret_some = cached != NULL;
    if (cached == NULL) {
        return mr_ok();
    }
    const char *const fault = mr_folds_decode(mr_buffer_view(&cached->value), &cache->arena, &cache->mark);
    if (fault != NULL || cache->mark.kind != FOLD_ENTRY_MARK) {
        ignore(cache, fault != NULL ? fault : "unreadable", "the mark");
        return mr_ok();
    }
    if (memcmp(cache->mark.log_id.bytes, cache->stage->env.deployment->log_id.bytes, MR_LOG_ID_SIZE) != 0) {
        ignore(cache, "other_log", "the mark has another log id");
        return mr_ok();
    }
    for (size_t i = 0; i < cache->folds->topic_count; i++) {
        MR_TRY(check_topic(cache, &cache->folds->topics[i]));
    }
    return mr_ok();
}

/* NULL: not a lane of the mark's epoch. */
static const struct fold_lane *lane_of_epoch(struct cache *cache, const struct cached *cached, struct fold_entry *entry)
{
    mr_arena_reset(&cache->arena);
    if (mr_folds_decode(mr_buffer_view(&cached->value), &cache->arena, entry) != NULL ||
        entry->kind != FOLD_ENTRY_LANE || entry->epoch != cache->mark.epoch) {
        return NULL;
    }
    return &entry->of.lane;
}

/* Every lane that the mark knows of must be there; newer ones may. */
static void check_lanes(struct cache *cache)
{
    const struct fold_mark *const mark = &cache->mark.of.mark;
    uint64_t known = 0;
    char detail[MR_ERROR_DETAIL_MAX];
    for (const struct cached *cached = cache->first; cached != NULL; cached = cached->after) {
        struct fold_entry entry;
        const struct fold_lane *const lane = lane_of_epoch(cache, cached, &entry);
        if (lane == NULL) {
            continue;
        }
        known += lane->since <= cache->mark.snapshot ? 1 : 0;
        if (lane->state_version != cache->stage->spec.fold_version) {
            (void)snprintf(detail, sizeof detail, "states are of version %u, this service's are %u",
                           (unsigned)lane->state_version, (unsigned)cache->stage->spec.fold_version);
            ignore(cache, "other_version", detail);
        }
    }
    if (known != mark->lanes) {
        (void)snprintf(detail, sizeof detail, "%" PRIu64 " lanes of %" PRIu64, known, mark->lanes);
        ignore(cache, "incomplete", detail);
    }
}

/* ---- Taking --------------------------------------------------------------------------------------------------------
 */

static struct mr_error join_parts(struct cache *cache, const struct cached *cached, const struct fold_entry *entry,
                                  struct mr_bytes *ret_state)
{
    const uint32_t parts = entry->of.lane.parts;
    char key[FOLD_KEY_SIZE];
    cache->state.size = 0;
    for (uint32_t i = 0; i < parts && cache->reason == NULL; i++) {
        struct fold_entry part;
        mr_folds_part_key(cached->key, entry->of.lane.turn, i, key);
        const struct cached *const found = find(cache, key);
        if (found == NULL || mr_folds_decode(mr_buffer_view(&found->value), &cache->arena, &part) != NULL ||
            part.kind != FOLD_ENTRY_PART || part.epoch != entry->epoch || part.snapshot != entry->snapshot ||
            part.of.part.index != i) {
            ignore(cache, "incomplete", key);
            return mr_ok();
        }
        MR_TRY(mr_buffer_append(&cache->state, part.of.part.state.data, part.of.part.state.size));
    }
    *ret_state = mr_buffer_view(&cache->state);
    return mr_ok();
}

static struct mr_error take_lane(struct cache *cache, const struct cached *cached, const struct fold_entry *entry)
{
    struct mr_stage *const stage = cache->stage;
    const struct fold_lane *const from = &entry->of.lane;
    struct mr_bytes state = from->state;
    uint32_t input = 0;
    while (input < stage->spec.input_count && strcmp(stage->spec.inputs[input].topic, from->input) != 0) {
        input++;
    }
    if (input == stage->spec.input_count) {
        ignore(cache, "unreadable", from->input);
        return mr_ok();
    }
    if (from->parts > 0) {
        MR_TRY(join_parts(cache, cached, entry, &state));
    }
    struct lane *const lane =
        cache->reason != NULL ? NULL
                              : mr_lane_get(stage, input, cache->folds->partition, mr_bytes_of_text(from->model_id));
    if (lane == NULL) {
        return cache->reason != NULL ? mr_ok() : out_of_memory();
    }
    lane->pub.has_mark = from->mark.some;
    lane->pub.mark = from->mark.origin;
    lane->folded = from->mark;
    lane->last_out = from->last_out;
    lane->saved_bytes = (uint32_t)(cached->value.size + state.size);
    mr_folds_touch(lane);
    if (stage->spec.ops->fold_load == NULL) {
        return mr_ok();
    }
    const struct mr_error error = stage->spec.ops->fold_load(stage->spec.self, &lane->pub, state);
    if (error.kind == MR_ERROR_REJECT) {
        ignore(cache, "unreadable", error.detail);
        return mr_ok();
    }
    return error;
}

/* Leaves things as they were when the partition was opened. */
static struct mr_error take_back(struct cache *cache)
{
    const struct mr_stage_ops *const ops = cache->stage->spec.ops;
    struct folds *const folds = cache->folds;
    mr_lanes_close_partition(cache->stage, folds->partition);
    folds->dirty = NULL;
    folds->dirty_bytes = 0;
    if (ops->partition_close != NULL) {
        ops->partition_close(cache->stage->spec.self, folds->partition);
    }
    return ops->partition_open == NULL ? mr_ok() : ops->partition_open(cache->stage->spec.self, folds->partition);
}

static struct mr_error take_lanes(struct cache *cache)
{
    uint64_t lanes = 0;
    for (const struct cached *cached = cache->first; cached != NULL && cache->reason == NULL; cached = cached->after) {
        struct fold_entry entry;
        if (lane_of_epoch(cache, cached, &entry) != NULL) {
            MR_TRY(take_lane(cache, cached, &entry));
            lanes++;
        }
        mr_stage_alive(cache->stage);
    }
    if (cache->reason != NULL) {
        return take_back(cache);
    }
    cache->folds->slot = 1 - cache->mark.of.mark.slot % 2;
    MR_TRACE(cache->stage->env.trace, MR_TRACE_INFO, "FoldCacheTaken", mr_count("partition", cache->folds->partition),
             mr_count("lanes", lanes), mr_count("snapshot", cache->mark.snapshot));
    mr_stage_count(cache->stage, "FoldCacheTaken");
    return mr_ok();
}

static struct mr_error load(struct cache *cache)
{
    struct mr_stage *const stage = cache->stage;
    bool some = false;
    MR_TRY(mr_stage_scan(stage, MR_TOPIC_FOLDS, cache->folds->partition, 0, NULL, keep, cache));
    MR_TRY(check_mark(cache, &some));
    if (!some) {
        return mr_ok();
    }
    if (cache->reason == NULL) {
        check_lanes(cache);
    }
    if (cache->reason == NULL) {
        MR_TRY(take_lanes(cache));
    }
    if (cache->reason != NULL) {
        for (size_t i = 0; i < cache->folds->topic_count; i++) {
            cache->folds->topics[i].next = 0;
        }
        MR_TRACE(stage->env.trace, MR_TRACE_WARN, "FoldCacheIgnored", mr_count("partition", cache->folds->partition),
                 mr_text("reason", cache->reason), mr_text("detail", cache->detail));
        mr_stage_count(stage, "FoldCacheIgnored");
    }
    return mr_ok();
}

struct mr_error mr_folds_load(struct mr_stage *stage, struct folds *folds)
{
    const struct mr_stage_ops *const ops = stage->spec.ops;
    MR_TRY(mr_random(&folds->epoch, sizeof folds->epoch));
    if (ops->fold_whole != NULL && ops->fold_whole(stage->spec.self, folds->partition)) {
        MR_TRACE(stage->env.trace, MR_TRACE_INFO, "FoldCacheIgnored", mr_count("partition", folds->partition),
                 mr_text("reason", "whole_fold_wanted"));
        mr_stage_count(stage, "FoldCacheIgnored");
        return mr_ok();
    }
    struct cache cache = {.stage = stage, .folds = folds};
    const struct mr_error error = load(&cache);
    cache_deinit(&cache);
    return error;
}
