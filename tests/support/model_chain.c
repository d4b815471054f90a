#include "model_chain.h"

#include "sample_spec.h"

#include "millrace/network.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

const char model_chain_flat_json[] =
    "{\"labelled\": {\"features\": 1, \"targets\": 64}, \"network\": {\"layers\": []},"
    "\"optimiser\": {\"beta1\": 0.9, \"beta2\": 0.999, \"epsilon\": 1e-8},"
    "\"schedule\": {\"constant\": {\"learning_rate\": 0.004}},"
    "\"commit_plan\": {\"interval_commit\": {\"every_steps\": 1}},"
    "\"init_seed\": 11, \"dtype_policy\": \"keep\", \"arithmetic_profile\": \"mr-f32-v1\"}";

void model_chain_begin(struct model_chain *chain, struct mr_store *store, const char *model_id, const char *spec_json)
{
    *chain = (struct model_chain){
        .store = store, .spec = sample_spec(spec_json), .run_id = "run-1", .event_time_ms = 1777982400123};
    (void)snprintf(chain->model_id, sizeof chain->model_id, "%s", model_id);
}

void model_chain_set(struct model_chain *chain, const char *key, struct mr_bytes body)
{
    const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
    const struct mr_store_result result =
        body.data == NULL ? mr_store_remove(chain->store, key) : mr_store_put(chain->store, key, body, always);
    ck_assert_msg(result.outcome == MR_STORE_DONE, "%s: %s", key, result.detail);
}

struct mr_buffer model_chain_get(struct model_chain *chain, const char *key)
{
    struct mr_buffer body = {0};
    const struct mr_store_result result = mr_store_get(chain->store, key, &body);
    ck_assert_msg(result.outcome == MR_STORE_DONE, "%s: %s", key, result.detail);
    return body;
}

static void put(struct model_chain *chain, const char *version_id, const char *file, struct mr_buffer *body)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_version(chain->model_id, version_id, file, key);
    model_chain_set(chain, key, mr_buffer_view(body));
    mr_buffer_deinit(body);
}

static struct mr_buffer payload_of(struct model_chain *chain, float bias)
{
    struct mr_checkpoint checkpoint;
    struct mr_network network;
    struct mr_buffer bytes = {0};
    ck_assert(!mr_failed(mr_checkpoint_init(&checkpoint, &chain->spec)));
    memcpy(checkpoint.model_id, chain->model_id, sizeof checkpoint.model_id);
    (void)snprintf(checkpoint.run_id, sizeof checkpoint.run_id, "%s", chain->run_id);
    checkpoint.step = chain->versions - chain->run_began;
    checkpoint.has_previous = chain->versions > 0;
    checkpoint.previous = chain->head.version.content_hash;
    if (chain->spec.job == MR_JOB_PRICING) {
        checkpoint.spec.init_seed += chain->versions;
        mr_checkpoint_begin(&checkpoint);
    } else {
        mr_network_plan(&chain->spec, &network);
        const struct mr_network_layer *last = &network.layer[network.layers - 1];
        for (uint32_t i = 0; i < network.outputs; i++) {
            checkpoint.weights[last->bias_re + i] = bias;
            checkpoint.weights[last->bias_im + i] = -bias;
        }
    }
    const struct mr_error error = mr_checkpoint_encode(&checkpoint, &bytes);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    mr_checkpoint_deinit(&checkpoint);
    return bytes;
}

struct mr_version_entry model_chain_make(struct model_chain *chain, float bias)
{
    struct mr_buffer payload = payload_of(chain, bias), json = {0}, hash = {0};
    const struct mr_version_entry *head = &chain->head;
    struct mr_version_entry entry = {.version = {
                                         .counter = chain->versions,
                                         .semantic_version = {1, 0, chain->versions},
                                         .content_hash = mr_sha256_of(mr_buffer_view(&payload)),
                                         .size = payload.size,
                                         .step = chain->versions - chain->run_began,
                                         .samples = 32 * chain->versions,
                                         .applied = chain->versions,
                                         .position = {.log_id = {1}, .partition = 2, .offset = 10 + chain->versions},
                                         .event_time_ms = chain->event_time_ms,
                                         .message = "Checkpoint",
                                         .loss = 0.25f,
                                         .gradient_norm = 2.0f,
                                         .arithmetic_profile = "mr-f32-v1",
                                         .has_parent = chain->versions > 0,
                                     }};
    struct mr_version *version = &entry.version;
    char text[MR_SHA256_TEXT_SIZE];
    memcpy(version->model_id, chain->model_id, sizeof version->model_id);
    (void)snprintf(version->run_id, sizeof version->run_id, "%s", chain->run_id);
    if (version->has_parent) {
        memcpy(version->parent_version_id, head->version.version_id, sizeof version->parent_version_id);
        version->parent_record_hash = head->record_hash;
    }
    mr_version_id(version->counter, &version->content_hash, version->version_id);
    ck_assert(!mr_failed(mr_commit_id(version, &version->commit_id)));
    ck_assert(!mr_failed(mr_version_encode(version, &json)));
    entry.record_hash = mr_sha256_of(mr_buffer_view(&json));
    mr_sha256_text(&version->content_hash, text);
    ck_assert(!mr_failed(mr_buffer_append(&hash, text, strlen(text))));
    put(chain, version->version_id, "checkpoint.pb", &payload);
    put(chain, version->version_id, "content_hash.txt", &hash);
    put(chain, version->version_id, "metadata.json", &json);
    return entry;
}

void model_chain_move_head(struct model_chain *chain, const struct mr_version_entry *entry)
{
    struct mr_buffer json = {0};
    char key[MR_VERSION_KEY_SIZE];
    const struct mr_head head = mr_head_of(&entry->version, &entry->record_hash);
    ck_assert(!mr_failed(mr_head_encode(&head, &json)));
    mr_key_head(chain->model_id, key);
    model_chain_set(chain, key, mr_buffer_view(&json));
    mr_buffer_deinit(&json);
    chain->head = *entry;
    chain->versions = entry->version.counter + 1;
}

struct mr_version_entry model_chain_commit(struct model_chain *chain, float bias)
{
    const struct mr_version_entry entry = model_chain_make(chain, bias);
    model_chain_move_head(chain, &entry);
    return entry;
}

void model_chain_audit(struct model_chain *chain, const struct mr_version_entry *entry, int64_t observed_ms)
{
    struct mr_buffer json = {0};
    char key[MR_VERSION_KEY_SIZE];
    struct mr_audit audit = {
        .counter = entry->version.counter,
        .content_hash = entry->version.content_hash,
        .record_hash = entry->record_hash,
        .commit_id = entry->version.commit_id,
        .observed_ms = observed_ms,
        .writer = "persist host:1",
        .build = "millrace 0.1.0",
    };
    memcpy(audit.model_id, entry->version.model_id, sizeof audit.model_id);
    memcpy(audit.version_id, entry->version.version_id, sizeof audit.version_id);
    ck_assert(!mr_failed(mr_audit_encode(&audit, &json)));
    mr_key_audit(&audit, key);
    model_chain_set(chain, key, mr_buffer_view(&json));
    mr_buffer_deinit(&json);
}
