/* Finding a version's audit entries: the commit's first digits are in the name, the truth is in the content. */
#include "version_internal.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL_SIZE = 13 }; /* <commit8>.json */

static const char *tail(const char *key)
{
    const size_t size = strlen(key);
    return size > TAIL_SIZE ? key + size - TAIL_SIZE : "";
}

static int by_tail(const void *a, const void *b)
{
    return strcmp(tail(*(char *const *)a), tail(*(char *const *)b));
}

static struct mr_error add(void *self, const struct mr_store_entry *entry)
{
    struct mr_audit_index *index = self;
    if (index->count == index->capacity) {
        const size_t capacity = index->capacity == 0 ? 64 : index->capacity * 2;
        char **keys = realloc(index->keys, capacity * sizeof *keys);
        if (keys == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "listing audit entries");
        }
        index->keys = keys;
        index->capacity = capacity;
    }
    char *key = strdup(entry->key);
    if (key == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "listing audit entries");
    }
    index->keys[index->count++] = key;
    return mr_ok();
}

struct mr_error mr_audit_index_read(struct mr_store *store, const char *model_id, struct mr_audit_index *ret_index)
{
    char prefix[MR_VERSION_KEY_SIZE];
    struct mr_audit_index index = {0};
    mr_key_audits(model_id, prefix);
    const struct mr_error error = mr_version_each_key(store, prefix, add, &index);
    if (mr_failed(error)) {
        mr_audit_index_deinit(&index);
        return error;
    }
    if (index.count > 1) {
        qsort(index.keys, index.count, sizeof *index.keys, by_tail);
    }
    *ret_index = index;
    return mr_ok();
}

void mr_audit_index_deinit(struct mr_audit_index *index)
{
    for (size_t i = 0; i < index->count; i++) {
        free(index->keys[i]);
    }
    free(index->keys);
    *index = (struct mr_audit_index){0};
}

static size_t first_with_tail(const struct mr_audit_index *index, const char *wanted)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(tail(index->keys[middle]), wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool names(const struct mr_audit *audit, const struct mr_version_entry *entry)
{
    return audit->counter == entry->version.counter && strcmp(audit->model_id, entry->version.model_id) == 0 &&
           strcmp(audit->version_id, entry->version.version_id) == 0 &&
           mr_sha256_equal(&audit->commit_id, &entry->version.commit_id) &&
           mr_sha256_equal(&audit->content_hash, &entry->version.content_hash) &&
           mr_sha256_equal(&audit->record_hash, &entry->record_hash);
}

struct mr_error mr_audit_count(struct mr_store *store, const struct mr_audit_index *index,
                               const struct mr_version_entry *entry, bool stop_at_first, uint64_t *ret_count)
{
    char wanted[MR_SHA256_TEXT_SIZE];
    uint64_t count = 0;
    mr_sha256_text(&entry->version.commit_id, wanted);
    memcpy(wanted + 8, ".json", sizeof ".json");
    for (size_t i = first_with_tail(index, wanted); i < index->count && strcmp(tail(index->keys[i]), wanted) == 0;
         i++) {
        struct mr_buffer body = {0};
        struct mr_sha256 hash;
        struct mr_audit audit;
        struct mr_error error = mr_version_read_object(store, index->keys[i], &body, &hash);
        const bool good = !mr_failed(error) && !mr_failed(mr_audit_decode(mr_buffer_view(&body), &audit));
        mr_buffer_deinit(&body);
        if (mr_failed(error) && strcmp(error.code, "not_found") != 0) {
            return error;
        }
        count += good && names(&audit, entry);
        if (stop_at_first && count > 0) {
            break;
        }
    }
    *ret_count = count;
    return mr_ok();
}
