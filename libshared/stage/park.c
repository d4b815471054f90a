#include "park.h"

#include <stdlib.h>
#include <string.h>

struct mr_error mr_park_add(struct mr_park *park, struct mr_parked entry)
{
    MR_ASSERT(park->count == 0 || park->entries[park->first + park->count - 1].origin < entry.origin);
    if (park->first + park->count == park->capacity) {
        if (park->first > park->capacity / 2) {
            memmove(park->entries, park->entries + park->first, park->count * sizeof *park->entries);
        } else {
            const size_t capacity = park->capacity == 0 ? 16 : 2 * park->capacity;
            struct mr_parked *entries = calloc(capacity, sizeof *entries);
            if (entries == NULL) {
                return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "%zu parked records", capacity);
            }
            if (park->count > 0) {
                memcpy(entries, park->entries + park->first, park->count * sizeof *entries);
            }
            free(park->entries);
            park->entries = entries;
            park->capacity = capacity;
        }
        park->first = 0;
    }
    park->entries[park->first + park->count] = entry;
    park->count++;
    return mr_ok();
}

struct mr_parked *mr_park_find(struct mr_park *park, uint64_t origin)
{
    for (size_t low = 0, high = park->count; low < high;) {
        const size_t middle = low + (high - low) / 2;
        struct mr_parked *entry = &park->entries[park->first + middle];
        if (entry->origin == origin) {
            return entry;
        }
        if (entry->origin < origin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

struct mr_parked *mr_park_head(struct mr_park *park)
{
    return park->active == park->count ? NULL : &park->entries[park->first + park->active];
}

void mr_park_begin(struct mr_park *park)
{
    struct mr_parked *head = mr_park_head(park);
    MR_ASSERT(head != NULL);
    head->active = true;
    park->active++;
}

void mr_park_again(struct mr_park *park, uint32_t attempt, int64_t due_ticks_ms)
{
    MR_ASSERT(park->active > 0);
    park->active--;
    struct mr_parked *head = mr_park_head(park);
    head->active = false;
    head->attempt = attempt;
    head->due_ticks_ms = due_ticks_ms;
}

static void drop_value(struct mr_park *park, struct mr_parked *entry)
{
    park->kept--;
    park->kept_bytes -= entry->value_size;
    free(entry->value);
    entry->value = NULL;
}

const struct mr_parked *mr_park_unkept(const struct mr_park *park)
{
    return park->kept == park->count ? NULL : &park->entries[park->first + park->kept];
}

struct mr_error mr_park_keep(struct mr_park *park, struct mr_bytes value)
{
    MR_ASSERT(park->kept < park->count);
    struct mr_parked *const entry = &park->entries[park->first + park->kept];
    entry->value = malloc(value.size + 1);
    if (entry->value == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a parked record of %zu bytes", value.size);
    }
    if (value.size > 0) {
        memcpy(entry->value, value.data, value.size);
    }
    entry->value_size = value.size;
    park->kept++;
    park->kept_bytes += value.size;
    return mr_ok();
}

void mr_park_forget(struct mr_park *park)
{
    MR_ASSERT(park->kept > 0);
    drop_value(park, &park->entries[park->first + park->kept - 1]);
}

void mr_park_resolve(struct mr_park *park, uint64_t origin)
{
    struct mr_parked *entry = mr_park_find(park, origin);
    if (entry == NULL) {
        return;
    }
    entry->resolved = true;
    while (park->count > 0 && park->entries[park->first].resolved) {
        MR_ASSERT(park->active > 0);
        if (park->kept > 0) {
            drop_value(park, &park->entries[park->first]);
        }
        park->active--;
        park->first++;
        park->count--;
    }
}

void mr_park_deinit(struct mr_park *park)
{
    while (park->kept > 0) {
        mr_park_forget(park);
    }
    free(park->entries);
    *park = (struct mr_park){0};
}
