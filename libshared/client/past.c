/* What was head at a time: the chain from head down, until an audit entry of that time or before names a version. */
#include "client_internal.h"

#include <stdlib.h>
#include <string.h>

static const char basis[] = "the writer's own clock, read just before it moved head; no other time is kept";

enum { TAIL_SIZE = 13 };

struct names {
    char **keys; /* by the commit in the name, then by time */
    size_t count, capacity;
};

static void names_deinit(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->keys[i]);
    }
    free(names->keys);
}

static struct mr_error names_add(struct names *names, const char *key)
{
    if (names->count == names->capacity) {
        const size_t capacity = names->capacity * 2 + 64;
        char **keys = realloc(names->keys, capacity * sizeof *keys);
        if (keys == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "names of audit entries");
        }
        names->keys = keys;
        names->capacity = capacity;
    }
    names->keys[names->count] = strdup(key);
    return names->keys[names->count++] != NULL
               ? mr_ok()
               : mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "names of audit entries");
}

static struct mr_error read_error(const struct mr_store_result *result)
{
    return mr_error_make(result->outcome == MR_STORE_DENIED ? MR_ERROR_FATAL : MR_ERROR_TRANSIENT,
                         result->outcome == MR_STORE_DENIED ? "denied" : "unavailable", result->native, "%s",
                         result->detail);
}

/* The names of entries observed before the millisecond behind time_ms. */
static struct mr_error names_read(struct mr_store *store, const char *model_id, int64_t time_ms, struct names *names)
{
    char prefix[MR_VERSION_KEY_SIZE], end[MR_VERSION_KEY_SIZE], after[MR_VERSION_KEY_SIZE] = "";
    struct mr_audit behind = {.observed_ms = time_ms + 1};
    memcpy(behind.model_id, model_id, strlen(model_id) + 1);
    mr_key_audits(model_id, prefix);
    mr_key_audit(&behind, end);
    for (bool more = true; more;) {
        struct mr_store_page page = {0};
        struct mr_error error = mr_ok();
        const struct mr_store_result got = mr_store_list(store, prefix, after, 1000, &page);
        if (got.outcome != MR_STORE_DONE) {
            return read_error(&got);
        }
        more = page.more && page.count > 0;
        for (size_t i = 0; i < page.count && !mr_failed(error); i++) {
            const char *key = page.entries[i].key;
            more = more && strcmp(key, end) < 0;
            if (strcmp(key, end) < 0 && strlen(key) < sizeof after) {
                error = names_add(names, key);
                memcpy(after, key, strlen(key) + 1);
            }
        }
        mr_store_page_deinit(&page);
        MR_TRY(error);
    }
    return mr_ok();
}

static struct mr_error read_entry(struct mr_store *store, const char *key, bool *ret_some, struct mr_audit *ret_audit)
{
    struct mr_buffer body = {0};
    const struct mr_store_result got = mr_store_get(store, key, &body);
    const bool missing = got.outcome == MR_STORE_MISSING;
    *ret_some = got.outcome == MR_STORE_DONE && !mr_failed(mr_audit_decode(mr_buffer_view(&body), ret_audit));
    mr_buffer_deinit(&body);
    return got.outcome == MR_STORE_DONE || missing ? mr_ok() : read_error(&got);
}

/* <commit8>.json */
static const char *tail(const char *key)
{
    const size_t size = strlen(key);
    return key + (size > TAIL_SIZE ? size - TAIL_SIZE : 0);
}

static int by_tail(const void *a, const void *b)
{
    const char *left = *(char *const *)a, *right = *(char *const *)b;
    const int order = strcmp(tail(left), tail(right));
    return order != 0 ? order : strcmp(left, right);
}

static size_t first_with_tail(const struct names *names, const char *wanted)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(tail(names->keys[middle]), wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The first attempt at the version, among those names. */
static struct mr_error first_attempt(struct mr_store *store, const struct names *names,
                                     const struct mr_version_entry *entry, int64_t time_ms, bool *ret_some,
                                     struct mr_audit *ret_audit)
{
    char wanted[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&entry->version.commit_id, wanted);
    memcpy(wanted + 8, ".json", sizeof ".json");
    *ret_some = false;
    for (size_t i = first_with_tail(names, wanted); i < names->count && strcmp(tail(names->keys[i]), wanted) == 0;
         i++) {
        bool some = false;
        MR_TRY(read_entry(store, names->keys[i], &some, ret_audit));
        *ret_some = some && ret_audit->observed_ms <= time_ms &&
                    strcmp(ret_audit->version_id, entry->version.version_id) == 0 &&
                    mr_sha256_equal(&ret_audit->record_hash, &entry->record_hash);
        if (*ret_some) {
            return mr_ok();
        }
    }
    return mr_ok();
}

static struct mr_error find(struct mr_store *store, const char *model_id, int64_t time_ms, const struct names *names,
                            struct mr_version_entry *ret_entry, struct mr_audit *ret_audit)
{
    struct mr_version_walk walk;
    MR_TRY(mr_version_walk_begin(store, model_id, &walk, NULL));
    for (bool some = true, found = false; some;) {
        MR_TRY(mr_version_walk_next(&walk, &some, ret_entry));
        if (some) {
            MR_TRY(first_attempt(store, names, ret_entry, time_ms, &found, ret_audit));
        }
        if (found) {
            return mr_ok();
        }
    }
    return mr_error_make(MR_ERROR_REJECT, "not_found", 0, "model \"%s\" had no version then", model_id);
}

struct mr_error client_head_at(struct mr_store *store, const char *model_id, int64_t time_ms,
                               struct mr_head_at *ret_head)
{
    struct names names = {0};
    struct mr_version_entry entry;
    struct mr_audit audit;
    struct mr_error error = names_read(store, model_id, time_ms, &names);
    if (!mr_failed(error)) {
        if (names.count > 1) {
            qsort(names.keys, names.count, sizeof *names.keys, by_tail);
        }
        error = find(store, model_id, time_ms, &names, &entry, &audit);
    }
    names_deinit(&names);
    MR_TRY(error);
    *ret_head = (struct mr_head_at){.counter = entry.version.counter, .observed_ms = audit.observed_ms, .basis = basis};
    memcpy(ret_head->version_id, entry.version.version_id, strlen(entry.version.version_id) + 1);
    memcpy(ret_head->writer, audit.writer, strlen(audit.writer) + 1);
    mr_sha256_text(&entry.version.content_hash, ret_head->content_hash);
    return mr_ok();
}
