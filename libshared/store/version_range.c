#include "version_range.h"

#include "version_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* False: the key is none of those. */
static bool parse(const char *prefix, const struct mr_store_entry *entry, struct mr_version_object *ret_object)
{
    const char *id = entry->key + strlen(prefix);
    const char *slash = strchr(id, '/');
    const size_t size = slash == NULL ? 0 : (size_t)(slash - id);
    if (size == 0 || size >= MR_VERSION_ID_SIZE || slash[1] == '\0') {
        return false;
    }
    *ret_object = (struct mr_version_object){.key = entry->key, .file = slash + 1, .size = entry->size};
    memcpy(ret_object->version_id, id, size);
    return mr_version_id_parse(ret_object->version_id, &ret_object->counter);
}

struct mr_error mr_version_each_object(struct mr_store *store, const char *prefix, uint64_t low, uint64_t high,
                                       struct mr_error (*each)(void *self, const struct mr_version_object *object),
                                       void *self)
{
    struct mr_buffer after = {0};
    struct mr_error error = mr_buffer_append_text(&after, "%sv%010" PRIu64, prefix, low);
    for (bool more = low <= high; more && !mr_failed(error);) {
        struct mr_store_page page = {0};
        const struct mr_store_result got = mr_store_list(store, prefix, (const char *)after.data, 1000, &page);
        error = mr_version_error(&got);
        more = page.more && page.count > 0;
        for (size_t i = 0; i < page.count && !mr_failed(error); i++) {
            struct mr_version_object object;
            if (!parse(prefix, &page.entries[i], &object) || object.counter < low) {
                continue;
            }
            if (object.counter > high) {
                more = false;
                break;
            }
            error = each(self, &object);
        }
        if (more && !mr_failed(error)) {
            after.size = 0;
            error = mr_buffer_append_text(&after, "%s", page.entries[page.count - 1].key);
        }
        mr_store_page_deinit(&page);
    }
    mr_buffer_deinit(&after);
    return error;
}
