/* Records in memory, and who owns their bytes. */
#include "stage_internal.h"

#include <stdlib.h>
#include <string.h>

static uint64_t size_of(const struct mr_log_record *record)
{
    uint64_t size = sizeof(struct item) + record->key.size + record->value.size;
    for (size_t i = 0; i < record->header_count; i++) {
        size += sizeof *record->headers + strlen(record->headers[i].name) + 1 + record->headers[i].value.size;
    }
    return size;
}

struct item *mr_item_new(struct mr_stage *stage, const struct mr_log_record *record, void *held)
{
    struct item *item = calloc(1, sizeof *item);
    if (item == NULL) {
        mr_stage_fail(stage, MR_EXIT_FAILED, "OutOfMemory", "a record");
        return NULL;
    }
    item->record = *record;
    item->held = held;
    item->phase = ITEM_QUEUED;
    item->pub.id = ++stage->next_item_id;
    item->pub.record = &item->record;
    item->bytes = size_of(record);
    stage->bytes += item->bytes;
    struct item **bucket = &stage->items[item->pub.id % MR_ITEM_BUCKETS];
    item->hash_next = *bucket;
    *bucket = item;
    return item;
}

static struct mr_bytes moved(struct mr_buffer *copy, struct mr_bytes from)
{
    const size_t at = copy->size;
    if (from.size > 0) {
        memcpy(copy->data + at, from.data, from.size);
        copy->size += from.size;
    }
    return mr_bytes_of(copy->data + at, from.size);
}

struct item *mr_item_copy(struct mr_stage *stage, const struct mr_log_record *record)
{
    struct item *item = mr_item_new(stage, record, NULL);
    if (item == NULL) {
        return NULL;
    }
    item->record.headers = NULL;
    item->headers = calloc(record->header_count + 1, sizeof *item->headers);
    if (item->headers == NULL || mr_failed(mr_buffer_reserve(&item->copy, (size_t)item->bytes))) {
        mr_item_free(stage, item);
        mr_stage_fail(stage, MR_EXIT_FAILED, "OutOfMemory", "a record");
        return NULL;
    }
    item->record.key = moved(&item->copy, record->key);
    item->record.value = moved(&item->copy, record->value);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct mr_bytes name = mr_bytes_of(record->headers[i].name, strlen(record->headers[i].name) + 1);
        item->headers[i].name = (const char *)moved(&item->copy, name).data;
        item->headers[i].value = moved(&item->copy, record->headers[i].value);
    }
    item->record.headers = item->headers;
    return item;
}

void mr_item_free(struct mr_stage *stage, struct item *item)
{
    struct item **link = &stage->items[item->pub.id % MR_ITEM_BUCKETS];
    while (*link != item) {
        link = &(*link)->hash_next;
    }
    *link = item->hash_next;
    if (stage->spec.ops->item_free != NULL) {
        stage->spec.ops->item_free(stage->spec.self, &item->pub);
    }
    if (item->held != NULL) {
        stage->env.log->ops->record_free(stage->env.log, item->held);
    }
    if (item->unparked_of != NULL) {
        item->unparked_of->unparked--;
    }
    stage->bytes -= item->bytes;
    mr_buffer_deinit(&item->copy);
    free(item->headers);
    free(item);
}

struct item *mr_item_find(struct mr_stage *stage, uint64_t id)
{
    struct item *item = stage->items[id % MR_ITEM_BUCKETS];
    while (item != NULL && item->pub.id != id) {
        item = item->hash_next;
    }
    return item;
}
