#include "chain.h"

#include <stdio.h>
#include <string.h>

static void put(struct chain *chain, const char *key, struct mr_bytes body)
{
    const struct mr_store_result got =
        mr_store_put(chain->store, key, body, (struct mr_store_condition){.kind = MR_STORE_ALWAYS});
    MR_ASSERT(got.outcome == MR_STORE_DONE);
}

static void put_buffer(struct chain *chain, const char *key, struct mr_error error, struct mr_buffer *body)
{
    MR_ASSERT(!mr_failed(error));
    put(chain, key, mr_buffer_view(body));
    mr_buffer_deinit(body);
}

static void fill_ids(struct mr_version_entry *entry, const char *payload)
{
    struct mr_version *version = &entry->version;
    struct mr_buffer json = {0};
    version->content_hash = mr_sha256_of(mr_bytes_of_text(payload));
    version->size = strlen(payload);
    mr_version_id(version->counter, &version->content_hash, version->version_id);
    MR_ASSERT(!mr_failed(mr_commit_id(version, &version->commit_id)));
    MR_ASSERT(!mr_failed(mr_version_encode(version, &json)));
    entry->record_hash = mr_sha256_of(mr_buffer_view(&json));
    mr_buffer_deinit(&json);
}

struct mr_version_entry chain_next(const struct chain *chain, const char *payload, const struct mr_version *source)
{
    const uint64_t counter = chain->some ? chain->head.version.counter + 1 : 0;
    struct mr_version_entry entry = {.version = {
                                         .counter = counter,
                                         .semantic_version = {1, 0, counter},
                                         .run_id = "run",
                                         .step = counter,
                                         .applied = 10 * counter,
                                         .position = {.offset = 10 * counter},
                                         .message = "Checkpoint",
                                         .arithmetic_profile = "mr-f32-v1",
                                         .has_parent = chain->some,
                                         .has_restarted_from = source != NULL,
                                     }};
    (void)snprintf(entry.version.model_id, sizeof entry.version.model_id, "%s", chain->model);
    memset(entry.version.position.log_id, 0xab, sizeof entry.version.position.log_id);
    if (chain->some) {
        memcpy(entry.version.parent_version_id, chain->head.version.version_id, MR_VERSION_ID_SIZE);
        entry.version.parent_record_hash = chain->head.record_hash;
    }
    if (source != NULL) {
        memcpy(entry.version.restarted_version_id, source->version_id, MR_VERSION_ID_SIZE);
        entry.version.restarted_content_hash = source->content_hash;
    }
    fill_ids(&entry, payload);
    return entry;
}

static void put_audit(struct chain *chain, const struct mr_version_entry *entry)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer json = {0};
    const struct mr_version *version = &entry->version;
    struct mr_audit audit = {
        .counter = version->counter,
        .content_hash = version->content_hash,
        .record_hash = entry->record_hash,
        .commit_id = version->commit_id,
        .observed_ms = 1777982400123,
        .writer = "test",
        .build = "test",
    };
    memcpy(audit.model_id, version->model_id, sizeof audit.model_id);
    memcpy(audit.version_id, version->version_id, sizeof audit.version_id);
    mr_key_audit(&audit, key);
    put_buffer(chain, key, mr_audit_encode(&audit, &json), &json);
}

void chain_upload(struct chain *chain, const struct mr_version_entry *entry, const char *payload)
{
    char key[MR_VERSION_KEY_SIZE], text[MR_SHA256_TEXT_SIZE];
    struct mr_buffer json = {0};
    const struct mr_version *version = &entry->version;
    mr_key_version(chain->model, version->version_id, "checkpoint.pb", key);
    put(chain, key, mr_bytes_of_text(payload));
    mr_sha256_text(&version->content_hash, text);
    mr_key_version(chain->model, version->version_id, "content_hash.txt", key);
    put(chain, key, mr_bytes_of_text(text));
    mr_key_version(chain->model, version->version_id, "metadata.json", key);
    put_buffer(chain, key, mr_version_encode(version, &json), &json);
    put_audit(chain, entry);
}

void chain_put_head(struct chain *chain, const struct mr_version_entry *entry)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer json = {0};
    const struct mr_head head = mr_head_of(&entry->version, &entry->record_hash);
    mr_key_head(chain->model, key);
    put_buffer(chain, key, mr_head_encode(&head, &json), &json);
    chain->head = *entry;
    chain->some = true;
}

struct mr_version_entry chain_commit(struct chain *chain, const char *payload, const struct mr_version *source)
{
    const struct mr_version_entry entry = chain_next(chain, payload, source);
    chain_upload(chain, &entry, payload);
    chain_put_head(chain, &entry);
    return entry;
}

uint64_t chain_spool(struct chain *chain, uint64_t applied, const char *rest, struct mr_sha256 *ret_hash)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    static const uint8_t begin[] = {0x0a, 2, 'm', 'r', 0x30, 5, 0x38}; /* profile, step, the tag of applied */
    MR_ASSERT(!mr_failed(mr_buffer_append(&body, begin, sizeof begin)));
    for (; applied >= 0x80; applied >>= 7) {
        MR_ASSERT(!mr_failed(mr_buffer_append(&body, &(uint8_t){(uint8_t)(applied | 0x80)}, 1)));
    }
    MR_ASSERT(!mr_failed(mr_buffer_append(&body, &(uint8_t){(uint8_t)applied}, 1)));
    MR_ASSERT(!mr_failed(mr_buffer_append(&body, rest, strlen(rest))));
    const uint64_t size = body.size;
    *ret_hash = mr_sha256_of(mr_buffer_view(&body));
    mr_key_spool(chain->model, ret_hash, key);
    put_buffer(chain, key, mr_ok(), &body);
    return size;
}
