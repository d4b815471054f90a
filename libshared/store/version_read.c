/* Reading versions: head, one record, the walk to genesis, payloads checked against their hash. */
#include "version_internal.h"

#include <stdlib.h>
#include <string.h>

struct mr_error mr_version_error(const struct mr_store_result *result)
{
    switch (result->outcome) {
    case MR_STORE_DONE: return mr_ok();
    case MR_STORE_MISSING: return mr_error_make(MR_ERROR_REJECT, "not_found", result->native, "%s", result->detail);
    case MR_STORE_DENIED: return mr_error_make(MR_ERROR_FATAL, "denied", result->native, "%s", result->detail);
    case MR_STORE_PRECONDITION_FAILED:
    case MR_STORE_CONFLICT:
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE:
    case MR_STORE_UNKNOWN:
        return mr_error_make(MR_ERROR_TRANSIENT, "unavailable", result->native, "%s", result->detail);
    }
    mr_unreachable(__func__);
}

struct each_key {
    struct mr_error (*each)(void *self, const struct mr_store_entry *entry);
    void *self;
    struct mr_error error;
};

static bool call_each(void *self, const struct mr_store_entry *entry)
{
    struct each_key *call = self;
    call->error = call->each(call->self, entry);
    return !mr_failed(call->error);
}

struct mr_error mr_version_each_key(struct mr_store *store, const char *prefix,
                                    struct mr_error (*each)(void *self, const struct mr_store_entry *entry), void *self)
{
    struct each_key call = {.each = each, .self = self, .error = mr_ok()};
    const struct mr_store_result result = mr_store_each(store, prefix, call_each, &call);
    MR_TRY(call.error);
    return mr_version_error(&result);
}

struct mr_error mr_version_read_object(struct mr_store *store, const char *key, struct mr_buffer *ret_body,
                                       struct mr_sha256 *ret_hash)
{
    const size_t before = ret_body->size;
    const struct mr_store_result got = mr_store_get(store, key, ret_body);
    MR_TRY(mr_version_error(&got));
    *ret_hash = mr_sha256_of(mr_bytes_of(ret_body->data + before, ret_body->size - before));
    return mr_ok();
}

static struct mr_error check_model(const char *model_id)
{
    return mr_id_valid(mr_bytes_of_text(model_id))
               ? mr_ok()
               : mr_error_make(MR_ERROR_REJECT, "not_found", 0, "\"%.80s\" is no model id (1 to 63 of a-z 0-9 . _ -)",
                               model_id);
}

struct mr_error mr_head_read(struct mr_store *store, const char *model_id, bool *ret_some, struct mr_head *ret_head,
                             struct mr_etag *ret_etag)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    struct mr_head head;
    MR_TRY(check_model(model_id));
    mr_key_head(model_id, key);
    const struct mr_store_result got = mr_store_get(store, key, &body);
    if (got.outcome == MR_STORE_MISSING) {
        *ret_some = false;
        return mr_ok();
    }
    struct mr_error error = mr_version_error(&got);
    if (!mr_failed(error)) {
        error = mr_head_decode(mr_buffer_view(&body), &head);
    }
    mr_buffer_deinit(&body);
    MR_TRY(error);
    if (strcmp(head.model_id, model_id) != 0) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%s is of model \"%s\"", key, head.model_id);
    }
    *ret_some = true;
    *ret_head = head;
    if (ret_etag != NULL) {
        *ret_etag = got.etag;
    }
    return mr_ok();
}

struct mr_error mr_version_read(struct mr_store *store, const char *model_id, const char *version_id,
                                const struct mr_sha256 *record_hash, struct mr_version *ret_version,
                                struct mr_sha256 *ret_record_hash)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    struct mr_sha256 hash;
    struct mr_version version;
    MR_TRY(check_model(model_id));
    mr_key_version(model_id, version_id, "metadata.json", key);
    struct mr_error error = mr_version_read_object(store, key, &body, &hash);
    if (!mr_failed(error) && record_hash != NULL && !mr_sha256_equal(&hash, record_hash)) {
        error =
            mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%s: its SHA-256 is not the record hash that names it", key);
    }
    if (!mr_failed(error)) {
        error = mr_version_decode(mr_buffer_view(&body), &version);
    }
    mr_buffer_deinit(&body);
    MR_TRY(error);
    if (strcmp(version.version_id, version_id) != 0 || strcmp(version.model_id, model_id) != 0) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%s is of version %s of model \"%s\"", key,
                             version.version_id, version.model_id);
    }
    *ret_version = version;
    *ret_record_hash = hash;
    return mr_ok();
}

/* ---- The walk ------------------------------------------------------------------------------------------ */

static struct mr_error no_such(const char *model_id, const char *what)
{
    return mr_error_make(MR_ERROR_REJECT, "not_found", 0, "model \"%s\" has no %s", model_id, what);
}

struct mr_error mr_version_walk_begin(struct mr_store *store, const char *model_id, struct mr_version_walk *ret_walk,
                                      struct mr_head *ret_head)
{
    bool some = false;
    struct mr_head head;
    MR_TRY(mr_head_read(store, model_id, &some, &head, NULL));
    if (!some) {
        return no_such(model_id, "head: nothing was committed under this name");
    }
    struct mr_version_walk walk = {.store = store, .has_next = true, .record_hash = head.record_hash};
    memcpy(walk.model_id, head.model_id, sizeof walk.model_id);
    memcpy(walk.version_id, head.version_id, sizeof walk.version_id);
    *ret_walk = walk;
    if (ret_head != NULL) {
        *ret_head = head;
    }
    return mr_ok();
}

struct mr_error mr_version_walk_next(struct mr_version_walk *walk, bool *ret_some, struct mr_version_entry *ret_entry)
{
    struct mr_version_entry entry;
    if (!walk->has_next) {
        *ret_some = false;
        return mr_ok();
    }
    struct mr_error error = mr_version_read(walk->store, walk->model_id, walk->version_id, &walk->record_hash,
                                            &entry.version, &entry.record_hash);
    if (mr_failed(error) && strcmp(error.code, "not_found") == 0) {
        /* Metadata is never deleted: the chain names it, so it must be there. */
        error = mr_error_make(MR_ERROR_REJECT, "corrupt", 0,
                              "model \"%s\": metadata.json of %s, which the chain names, "
                              "is missing",
                              walk->model_id, walk->version_id);
    }
    MR_TRY(error);
    if (entry.version.has_parent && entry.version.counter == 0) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "version %s has counter 0 and a parent",
                             entry.version.version_id);
    }
    walk->has_next = entry.version.has_parent;
    memcpy(walk->version_id, entry.version.parent_version_id, sizeof walk->version_id);
    walk->record_hash = entry.version.parent_record_hash;
    *ret_some = true;
    *ret_entry = entry;
    return mr_ok();
}

static bool chosen(const struct mr_version_choice *choice, const struct mr_version *version)
{
    switch (choice->kind) {
    case MR_VERSION_HEAD: return true;
    case MR_VERSION_COUNTER: return version->counter == choice->counter;
    case MR_VERSION_ID: return strcmp(version->version_id, choice->version_id) == 0;
    }
    mr_unreachable(__func__);
}

struct mr_error mr_version_find(struct mr_store *store, const char *model_id, struct mr_version_choice choice,
                                struct mr_version_entry *ret_entry)
{
    struct mr_version_walk walk;
    MR_TRY(mr_version_walk_begin(store, model_id, &walk, NULL));
    for (;;) {
        bool some = false;
        struct mr_version_entry entry;
        MR_TRY(mr_version_walk_next(&walk, &some, &entry));
        if (some && chosen(&choice, &entry.version)) {
            *ret_entry = entry;
            return mr_ok();
        }
        /* Counters fall along the walk: past the one that is asked for there is nothing to find. */
        if (!some || (choice.kind != MR_VERSION_HEAD && entry.version.counter < choice.counter)) {
            return no_such(model_id, "such version in its chain");
        }
    }
}

static struct mr_error exists(struct mr_store *store, const struct mr_version *version, const char *file,
                              bool *ret_exists)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_version(version->model_id, version->version_id, file, key);
    const struct mr_store_result got = mr_store_head(store, key);
    *ret_exists = got.outcome == MR_STORE_DONE;
    return got.outcome == MR_STORE_MISSING ? mr_ok() : mr_version_error(&got);
}

/* Rule C11: GC says that it collects a payload before it removes it. */
static struct mr_error without_payload(struct mr_store *store, const struct mr_version *version)
{
    bool collected = false;
    MR_TRY(exists(store, version, "collected.json", &collected));
    return collected ? mr_error_make(MR_ERROR_REJECT, "version_gone", 0,
                                     "the payload of version %s of model \"%s\" was collected", version->version_id,
                                     version->model_id)
                     : mr_error_make(MR_ERROR_REJECT, "corrupt", 0,
                                     "model \"%s\": checkpoint.pb of %s is missing, and was not collected",
                                     version->model_id, version->version_id);
}

struct mr_error mr_version_payload(struct mr_store *store, const struct mr_version *version, struct mr_buffer *ret_body)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_sha256 hash;
    mr_key_version(version->model_id, version->version_id, "checkpoint.pb", key);
    const struct mr_error error = mr_version_read_object(store, key, ret_body, &hash);
    if (mr_failed(error)) {
        return strcmp(error.code, "not_found") == 0 ? without_payload(store, version) : error;
    }
    if (!mr_sha256_equal(&hash, &version->content_hash)) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%s: its SHA-256 is not the content hash", key);
    }
    return mr_ok();
}

/* Between the reading of head and of its payload, others may have committed and collected. */
static struct mr_error head_gone(struct mr_store *store, const struct mr_version_entry *entry, struct mr_error gone)
{
    bool some = false;
    struct mr_head head;
    MR_TRY(mr_head_read(store, entry->version.model_id, &some, &head, NULL));
    return some && mr_sha256_equal(&head.record_hash, &entry->record_hash)
               ? gone
               : mr_error_make(MR_ERROR_TRANSIENT, "head_moved", 0, "%s was head, and was collected meanwhile",
                               entry->version.version_id);
}

struct mr_error mr_version_load(struct mr_store *store, const char *model_id, struct mr_version_choice choice,
                                struct mr_buffer *ret_checkpoint, struct mr_version_entry *ret_entry)
{
    struct mr_version_entry entry;
    struct mr_buffer body = {0};
    MR_TRY(mr_version_find(store, model_id, choice, &entry));
    struct mr_error error = mr_version_payload(store, &entry.version, &body);
    if (!mr_failed(error)) {
        error = mr_buffer_append(ret_checkpoint, body.data, body.size);
    }
    mr_buffer_deinit(&body);
    if (choice.kind == MR_VERSION_HEAD && strcmp(error.code, "version_gone") == 0) {
        error = head_gone(store, &entry, error);
    }
    MR_TRY(error);
    *ret_entry = entry;
    return mr_ok();
}

/* ---- Lists and inspection -------------------------------------------------------------------------------- */

static struct mr_error list_add(struct mr_version_list *list, size_t *capacity, const struct mr_version_entry *entry)
{
    if (list->count == *capacity) {
        const size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
        struct mr_version_entry *entries = realloc(list->entries, wanted * sizeof *entries);
        if (entries == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "listing versions");
        }
        list->entries = entries;
        *capacity = wanted;
    }
    list->entries[list->count++] = *entry;
    return mr_ok();
}

struct mr_error mr_versions_list(struct mr_store *store, const char *model_id, struct mr_version_list *ret_list)
{
    struct mr_version_walk walk;
    struct mr_version_list list = {0};
    size_t capacity = 0;
    MR_TRY(mr_version_walk_begin(store, model_id, &walk, NULL));
    for (bool some = true; some;) {
        struct mr_version_entry entry;
        struct mr_error error = mr_version_walk_next(&walk, &some, &entry);
        if (!mr_failed(error) && some) {
            error = list_add(&list, &capacity, &entry);
        }
        if (mr_failed(error)) {
            mr_version_list_deinit(&list);
            return error;
        }
    }
    for (size_t i = 0; i < list.count / 2; i++) {
        const struct mr_version_entry entry = list.entries[i];
        list.entries[i] = list.entries[list.count - 1 - i];
        list.entries[list.count - 1 - i] = entry;
    }
    *ret_list = list;
    return mr_ok();
}

void mr_version_list_deinit(struct mr_version_list *list)
{
    free(list->entries);
    *list = (struct mr_version_list){0};
}

struct mr_error mr_versions_inspect(struct mr_store *store, const char *model_id, struct mr_version_choice choice,
                                    struct mr_version_inspection *ret_inspection)
{
    struct mr_version_inspection found = {0};
    struct mr_version_entry head;
    struct mr_buffer body = {0};
    MR_TRY(mr_version_find(store, model_id, (struct mr_version_choice){.kind = MR_VERSION_HEAD}, &head));
    MR_TRY(mr_version_find(store, model_id, choice, &found.entry));
    found.is_head = mr_sha256_equal(&head.record_hash, &found.entry.record_hash);
    MR_TRY(exists(store, &found.entry.version, "collected.json", &found.collected));
    const struct mr_error loaded = mr_version_payload(store, &found.entry.version, &body);
    mr_buffer_deinit(&body);
    if (mr_failed(loaded) && loaded.kind != MR_ERROR_REJECT) {
        return loaded;
    }
    MR_TRY(exists(store, &found.entry.version, "checkpoint.pb", &found.has_payload));
    found.payload_good = !mr_failed(loaded);
    MR_TRY(mr_audit_count(store, &found.entry, &found.audit_count, &found.audit_bad));
    *ret_inspection = found;
    return mr_ok();
}
