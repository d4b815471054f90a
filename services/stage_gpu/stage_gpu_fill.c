#include "stage_gpu_fill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct stage_gpu_filled outcome(enum stage_gpu_event_kind event)
{
    return (struct stage_gpu_filled){.event = event, .fault = mr_ok()};
}

/* Packs and publishes; whatever does not come to a lease gives the block back. */
static struct stage_gpu_filled fill(struct mr_arena_owner *owner, const struct mr_arena_block *block,
                                    const struct stage_gpu_record *record,
                                    const struct mr_bytes payloads[MR_BATCH_TENSORS_MAX])
{
    struct stage_gpu_filled filled = {.event = STAGE_GPU_EVENT_FILLED};
    filled.fault = mr_batch_pack(&record->shape, record->precision, payloads, block->data);
    if (!mr_failed(filled.fault)) {
        filled.fault = mr_arena_owner_publish(owner, block, record->shape.packed_bytes, &filled.lease);
    }
    if (mr_failed(filled.fault)) {
        mr_arena_owner_withdraw(owner, block->block, block->generation);
    }
    return filled;
}

struct stage_gpu_filled stage_gpu_fill_now(struct mr_arena_owner *owner, const struct mr_arena_block *block,
                                           const struct stage_gpu_record *record)
{
    struct mr_bytes payloads[MR_BATCH_TENSORS_MAX] = {{0}};
    for (uint32_t i = 0; i < record->shape.tensors; i++) {
        payloads[i] = record->source[i].inline_bytes;
    }
    return fill(owner, block, record, payloads);
}

/* ---- On a worker --------------------------------------------------------------------------------------- */

static struct stage_gpu_filled answer_of(const struct mr_store_result *result, const char *key)
{
    const bool missing = result->outcome == MR_STORE_MISSING;
    struct stage_gpu_filled filled =
        outcome(missing ? STAGE_GPU_EVENT_PAYLOAD_MISSING : STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE);
    (void)snprintf(filled.detail, sizeof filled.detail, "%.100s: %s: %.60s", key,
                   mr_store_outcome_text(result->outcome), result->detail);
    return filled;
}

/* FILLED: the bytes are those of the record. */
static struct stage_gpu_filled fetch_one(struct mr_store *store, const struct stage_gpu_source *source,
                                         struct mr_buffer *bytes)
{
    /* One byte more than there should be shows a longer object without reading it all. */
    const struct mr_store_range range = {.first = 0, .count = source->size + 1};
    const struct mr_store_result result = store->ops->get(store, source->key, range, bytes);
    if (result.outcome != MR_STORE_DONE) {
        return answer_of(&result, source->key);
    }
    const struct mr_sha256 found = mr_sha256_of(mr_buffer_view(bytes));
    if (bytes->size == source->size && mr_sha256_equal(&found, &source->sha256)) {
        return outcome(STAGE_GPU_EVENT_FILLED);
    }
    char found_text[MR_SHA256_TEXT_SIZE];
    struct stage_gpu_filled filled = outcome(STAGE_GPU_EVENT_PAYLOAD_DIFFERS);
    mr_sha256_text(&found, found_text);
    (void)snprintf(filled.detail, sizeof filled.detail,
                   "%.100s: %zu bytes, sha256 %.12s...; %" PRIu64 " bytes expected", source->key, bytes->size,
                   found_text, source->size);
    return filled;
}

static struct stage_gpu_filled fetch_all(struct stage_gpu_fetch *fetch, struct mr_buffer fetched[MR_BATCH_TENSORS_MAX])
{
    struct mr_bytes payloads[MR_BATCH_TENSORS_MAX] = {{0}};
    for (uint32_t i = 0; i < fetch->record.shape.tensors; i++) {
        const struct stage_gpu_source *source = &fetch->record.source[i];
        if (!source->in_store) {
            payloads[i] = source->inline_bytes;
            continue;
        }
        const struct stage_gpu_filled one = fetch_one(fetch->store, source, &fetched[i]);
        if (one.event != STAGE_GPU_EVENT_FILLED) {
            mr_arena_owner_withdraw(fetch->owner, fetch->block.block, fetch->block.generation);
            return one;
        }
        payloads[i] = mr_buffer_view(&fetched[i]);
    }
    return fill(fetch->owner, &fetch->block, &fetch->record, payloads);
}

static void run(struct mr_job *job)
{
    struct stage_gpu_fetch *fetch =
        (struct stage_gpu_fetch *)(void *)((uint8_t *)job - offsetof(struct stage_gpu_fetch, job.job));
    struct mr_buffer fetched[MR_BATCH_TENSORS_MAX] = {{0}};
    fetch->filled = fetch_all(fetch, fetched);
    for (uint32_t i = 0; i < MR_BATCH_TENSORS_MAX; i++) {
        mr_buffer_deinit(&fetched[i]);
    }
}

/* The job outlives the record: it takes along what it needs of it. */
static bool take_along(struct stage_gpu_fetch *fetch)
{
    fetch->record.run_id = fetch->record.batch_id = NULL; /* not needed, and not ours */
    for (uint32_t i = 0; i < fetch->record.shape.tensors; i++) {
        struct stage_gpu_source *source = &fetch->record.source[i];
        if (source->in_store) {
            fetch->keys[i] = strdup(source->key);
            source->key = fetch->keys[i];
        } else if (mr_failed(mr_buffer_append(&fetch->inline_bytes[i], source->inline_bytes.data,
                                              source->inline_bytes.size))) {
            return false;
        }
        if (source->in_store && source->key == NULL) {
            return false;
        }
        source->inline_bytes = mr_buffer_view(&fetch->inline_bytes[i]);
    }
    return true;
}

struct stage_gpu_fetch *stage_gpu_fetch_new(struct mr_store *store, struct mr_arena_owner *owner,
                                            const struct mr_arena_block *block, const struct stage_gpu_record *record)
{
    struct stage_gpu_fetch *fetch = calloc(1, sizeof *fetch);
    if (fetch == NULL) {
        return NULL;
    }
    fetch->job.job.run = run;
    fetch->store = store;
    fetch->owner = owner;
    fetch->block = *block;
    fetch->record = *record;
    if (!take_along(fetch)) {
        stage_gpu_fetch_free(fetch);
        return NULL;
    }
    return fetch;
}

void stage_gpu_fetch_free(struct stage_gpu_fetch *fetch)
{
    if (fetch == NULL) {
        return;
    }
    for (uint32_t i = 0; i < MR_BATCH_TENSORS_MAX; i++) {
        mr_buffer_deinit(&fetch->inline_bytes[i]);
        free(fetch->keys[i]);
    }
    free(fetch);
}
