#include "version_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_file(const struct version_maker *maker, const char *version_id, const char *file, struct mr_bytes body)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_version(maker->model, version_id, file, key);
    maker->put(maker->self, key, body);
}

/* Different for every counter, and not compressible to nothing. */
static struct mr_buffer payload_of(const struct version_maker *maker, uint64_t counter)
{
    struct mr_buffer payload = {0};
    MR_ASSERT(!mr_failed(mr_buffer_reserve(&payload, maker->payload_bytes + 8)));
    for (size_t i = 0; i < maker->payload_bytes; i += 8) {
        const uint64_t word = mr_mix64(counter << 32 | i);
        MR_ASSERT(!mr_failed(mr_buffer_append(&payload, &word, sizeof word)));
    }
    payload.size = maker->payload_bytes;
    return payload;
}

static void put_audit(const struct version_maker *maker, const struct mr_version_entry *entry)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer json = {0};
    const struct mr_version *version = &entry->version;
    struct mr_audit audit = {
        .counter = version->counter,
        .content_hash = version->content_hash,
        .record_hash = entry->record_hash,
        .commit_id = version->commit_id,
        .observed_ms = version->event_time_ms + 7,
        .writer = "persist maker:1",
        .build = "millrace 0.1.0",
    };
    memcpy(audit.model_id, version->model_id, sizeof audit.model_id);
    memcpy(audit.version_id, version->version_id, sizeof audit.version_id);
    MR_ASSERT(!mr_failed(mr_audit_encode(&audit, &json)));
    mr_key_audit(&audit, key);
    maker->put(maker->self, key, mr_buffer_view(&json));
    mr_buffer_deinit(&json);
}

static void name_parent(struct mr_version *version, const struct mr_version_entry *parent)
{
    if (parent != NULL) {
        version->has_parent = true;
        version->counter = parent->version.counter + 1;
        version->semantic_version = mr_semver_bump(parent->version.semantic_version, MR_BUMP_PATCH);
        version->parent_record_hash = parent->record_hash;
        memcpy(version->parent_version_id, parent->version.version_id, sizeof version->parent_version_id);
    }
}

struct mr_version_entry version_maker_add(const struct version_maker *maker, const struct mr_version_entry *parent)
{
    struct mr_version_entry entry = {.version = {.semantic_version = mr_semver_genesis(),
                                                 .run_id = "made",
                                                 .message = "Training checkpoint",
                                                 .gradient_norm = 0.5f,
                                                 .arithmetic_profile = "mr-f32-v1"}};
    struct mr_version *version = &entry.version;
    struct mr_buffer payload, json = {0};
    char text[MR_SHA256_TEXT_SIZE];
    name_parent(version, parent);
    (void)snprintf(version->model_id, sizeof version->model_id, "%s", maker->model);
    payload = payload_of(maker, version->counter);
    version->content_hash = mr_sha256_of(mr_buffer_view(&payload));
    version->size = payload.size;
    version->step = 10 * (version->counter + 1);
    version->samples = 32 * version->step;
    version->applied = version->step + 1;
    version->loss = 1.0f / (float)(version->counter + 1);
    version->event_time_ms = 1777982400123 + (int64_t)version->counter * 60000; /* a minute apart */
    version->position = (struct mr_position){.partition = 2, .offset = 100 + version->applied};
    memset(version->position.log_id, 0xab, sizeof version->position.log_id);
    mr_version_id(version->counter, &version->content_hash, version->version_id);
    MR_ASSERT(!mr_failed(mr_commit_id(version, &version->commit_id)));
    MR_ASSERT(!mr_failed(mr_version_encode(version, &json)));
    entry.record_hash = mr_sha256_of(mr_buffer_view(&json));
    mr_sha256_text(&version->content_hash, text);
    put_file(maker, version->version_id, "checkpoint.pb", mr_buffer_view(&payload));
    put_file(maker, version->version_id, "content_hash.txt", mr_bytes_of_text(text));
    put_file(maker, version->version_id, "metadata.json", mr_buffer_view(&json));
    put_audit(maker, &entry);
    mr_buffer_deinit(&payload);
    mr_buffer_deinit(&json);
    return entry;
}

void version_maker_set_head(const struct version_maker *maker, const struct mr_version_entry *entry)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer json = {0};
    const struct mr_head head = mr_head_of(&entry->version, &entry->record_hash);
    MR_ASSERT(!mr_failed(mr_head_encode(&head, &json)));
    mr_key_head(maker->model, key);
    maker->put(maker->self, key, mr_buffer_view(&json));
    mr_buffer_deinit(&json);
}

static void put_in_store(void *self, const char *key, struct mr_bytes body)
{
    const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
    const struct mr_store_result result = mr_store_put(self, key, body, always);
    if (result.outcome != MR_STORE_DONE) {
        (void)fprintf(stderr, "put %s: %s\n", key, result.detail);
        abort();
    }
}

struct mr_version_entry version_maker_fill(struct mr_store *store, const char *model, uint64_t count,
                                           size_t payload_bytes)
{
    const struct version_maker maker = {
        .model = model, .payload_bytes = payload_bytes, .put = put_in_store, .self = store};
    struct mr_version_entry last = version_maker_add(&maker, NULL);
    for (uint64_t i = 1; i < count; i++) {
        last = version_maker_add(&maker, &last);
    }
    version_maker_set_head(&maker, &last);
    return last;
}
