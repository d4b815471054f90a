/* Audit entries: the commit's first digits are in the key, the truth is in the content. */
#include "version_internal.h"
#include "version_pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMIT8_SIZE = 8, TAIL_SIZE = COMMIT8_SIZE + 5 }; /* <commit8>.json */

static const char *tail_of(const char *key)
{
    const size_t size = strlen(key);
    return size > TAIL_SIZE ? key + size - TAIL_SIZE : "";
}

struct mr_error mr_audit_read(struct mr_store *store, const char *model_id, const char *key, struct mr_audit *ret_audit)
{
    char own_key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    struct mr_audit audit;
    const struct mr_store_result got = mr_store_get(store, key, &body);
    struct mr_error error = mr_version_error(&got);
    if (!mr_failed(error)) {
        error = mr_audit_decode(mr_buffer_view(&body), &audit);
    }
    mr_buffer_deinit(&body);
    MR_TRY(error);
    mr_key_audit(&audit, own_key);
    if (strcmp(audit.model_id, model_id) != 0 || strcmp(own_key, key) != 0) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "its model, time or commit id is not what its key says");
    }
    *ret_audit = audit;
    return mr_ok();
}

/* ---- The set ----------------------------------------------------------------------------------------------- */

static uint64_t tag_of(const char *model_id, const char *version_id, uint64_t counter,
                       const struct mr_sha256 *content_hash, const struct mr_sha256 *record_hash,
                       const struct mr_sha256 *commit_id)
{
    char text[MR_ID_SIZE + MR_VERSION_ID_SIZE + 3 * MR_SHA256_TEXT_SIZE + 32];
    char content[MR_SHA256_TEXT_SIZE], record[MR_SHA256_TEXT_SIZE], commit[MR_SHA256_TEXT_SIZE];
    uint64_t tag = 0;
    mr_sha256_text(content_hash, content);
    mr_sha256_text(record_hash, record);
    mr_sha256_text(commit_id, commit);
    (void)snprintf(text, sizeof text, "%s %s %llu %s %s %s", model_id, version_id, (unsigned long long)counter, content,
                   record, commit);
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of_text(text));
    memcpy(&tag, hash.bytes, sizeof tag);
    return tag;
}

uint64_t mr_audit_tag(const struct mr_version *version, const struct mr_sha256 *record_hash)
{
    return tag_of(version->model_id, version->version_id, version->counter, &version->content_hash, record_hash,
                  &version->commit_id);
}

struct entry {
    char key[MR_VERSION_KEY_SIZE];
    uint64_t tag;
    struct mr_error error;
};

struct reading {
    struct mr_store *store;
    const char *model_id;
    void (*each)(void *self);
    void *self;
    struct mr_pipeline *pipeline;
    struct mr_audit_set *set;
    struct mr_error error;
};

static void read_entry(void *self, void *item)
{
    const struct reading *reading = self;
    struct entry *entry = item;
    struct mr_audit audit;
    entry->error = mr_audit_read(reading->store, reading->model_id, entry->key, &audit);
    if (!mr_failed(entry->error)) {
        entry->tag = tag_of(audit.model_id, audit.version_id, audit.counter, &audit.content_hash, &audit.record_hash,
                            &audit.commit_id);
    }
}

static struct mr_error add_tag(struct mr_audit_set *set, uint64_t tag)
{
    if (set->count == set->capacity) {
        const size_t capacity = set->capacity == 0 ? 64 : set->capacity * 2;
        uint64_t *tags = realloc(set->tags, capacity * sizeof *tags);
        if (tags == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "reading audit entries");
        }
        set->tags = tags;
        set->capacity = capacity;
    }
    set->tags[set->count++] = tag;
    return mr_ok();
}

static void add_bad(struct mr_audit_set *set, const struct entry *entry)
{
    if (set->bad_count < MR_AUDIT_BAD_MAX) {
        struct mr_audit_bad *bad = &set->bad[set->bad_count];
        (void)snprintf(bad->commit8, sizeof bad->commit8, "%.*s", COMMIT8_SIZE, tail_of(entry->key));
        (void)snprintf(bad->detail, sizeof bad->detail, "%.110s: %.70s", entry->key, entry->error.detail);
    }
    set->bad_count++;
}

static void take_entry(void *self, void *item)
{
    struct reading *reading = self;
    const struct entry *entry = item;
    struct mr_error error = mr_ok();
    if (!mr_failed(entry->error)) {
        error = add_tag(reading->set, entry->tag);
    } else if (strcmp(entry->error.code, "corrupt") == 0) {
        add_bad(reading->set, entry);
    } else {
        error = entry->error;
    }
    reading->error = mr_failed(reading->error) ? reading->error : error;
    if (reading->each != NULL) {
        reading->each(reading->self);
    }
}

static struct mr_error ask_for(void *self, const struct mr_store_entry *listed)
{
    const struct reading *reading = self;
    if (strlen(listed->key) >= MR_VERSION_KEY_SIZE) {
        return mr_ok(); /* none of ours is that long */
    }
    struct entry *entry = mr_pipeline_next(reading->pipeline);
    memcpy(entry->key, listed->key, strlen(listed->key) + 1);
    return mr_ok();
}

static int by_tag(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

struct mr_error mr_audit_set_read(struct mr_store *store, const char *model_id, uint32_t threads,
                                  void (*each)(void *self), void *self, struct mr_audit_set *ret_set)
{
    char prefix[MR_VERSION_KEY_SIZE];
    struct reading reading = {
        .store = store, .model_id = model_id, .each = each, .self = self, .set = ret_set, .error = mr_ok()};
    const struct mr_pipeline_kind kind = {
        .item_size = sizeof(struct entry), .run = read_entry, .consume = take_entry, .self = &reading};
    MR_TRY(mr_pipeline_open(threads, &kind, &reading.pipeline));
    mr_key_audits(model_id, prefix);
    const struct mr_error listed = mr_version_each_key(store, prefix, ask_for, &reading);
    mr_pipeline_close(reading.pipeline);
    if (ret_set->count > 1) {
        qsort(ret_set->tags, ret_set->count, sizeof *ret_set->tags, by_tag);
    }
    MR_TRY(listed);
    MR_TRY(reading.error);
    ret_set->complete = true;
    return mr_ok();
}

bool mr_audit_set_has(const struct mr_audit_set *set, uint64_t tag)
{
    return set->count > 0 && bsearch(&tag, set->tags, set->count, sizeof tag, by_tag) != NULL;
}

const struct mr_audit_bad *mr_audit_set_bad(const struct mr_audit_set *set, const struct mr_sha256 *commit_id)
{
    char commit[MR_SHA256_TEXT_SIZE];
    const size_t kept = set->bad_count < MR_AUDIT_BAD_MAX ? set->bad_count : MR_AUDIT_BAD_MAX;
    mr_sha256_text(commit_id, commit);
    for (size_t i = 0; i < kept; i++) {
        if (strncmp(set->bad[i].commit8, commit, COMMIT8_SIZE) == 0) {
            return &set->bad[i];
        }
    }
    return NULL;
}

void mr_audit_set_deinit(struct mr_audit_set *set)
{
    free(set->tags);
    *set = (struct mr_audit_set){0};
}

/* ---- Of one version ------------------------------------------------------------------------------------------ */

struct counting {
    struct mr_store *store;
    const struct mr_version_entry *entry;
    char wanted[TAIL_SIZE + 1];
    uint64_t tag, count, bad;
};

static struct mr_error count_entry(void *self, const struct mr_store_entry *listed)
{
    struct counting *counting = self;
    struct mr_audit audit;
    if (strcmp(tail_of(listed->key), counting->wanted) != 0) {
        return mr_ok();
    }
    const struct mr_error error =
        mr_audit_read(counting->store, counting->entry->version.model_id, listed->key, &audit);
    if (mr_failed(error)) {
        const bool corrupt = strcmp(error.code, "corrupt") == 0;
        counting->bad += corrupt;
        return corrupt ? mr_ok() : error;
    }
    counting->count += tag_of(audit.model_id, audit.version_id, audit.counter, &audit.content_hash, &audit.record_hash,
                              &audit.commit_id) == counting->tag;
    return mr_ok();
}

struct mr_error mr_audit_count(struct mr_store *store, const struct mr_version_entry *entry, uint64_t *ret_count,
                               uint64_t *ret_bad)
{
    char prefix[MR_VERSION_KEY_SIZE], commit[MR_SHA256_TEXT_SIZE];
    struct counting counting = {
        .store = store, .entry = entry, .tag = mr_audit_tag(&entry->version, &entry->record_hash)};
    mr_sha256_text(&entry->version.commit_id, commit);
    (void)snprintf(counting.wanted, sizeof counting.wanted, "%.*s.json", COMMIT8_SIZE, commit);
    mr_key_audits(entry->version.model_id, prefix);
    MR_TRY(mr_version_each_key(store, prefix, count_entry, &counting));
    *ret_count = counting.count;
    *ret_bad = counting.bad;
    return mr_ok();
}
