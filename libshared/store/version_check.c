/* Verification of one version by itself. */
#include "version_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_SIZE = 4 << 20 }; /* of a payload in memory, for each worker */

void mr_finding_set(struct mr_finding *ret_finding, enum mr_corruption corruption, uint64_t counter,
                    const char *version_id, const char *format, ...)
{
    va_list arguments;
    ret_finding->corruption = corruption;
    ret_finding->counter = counter;
    (void)snprintf(ret_finding->version_id, sizeof ret_finding->version_id, "%s", version_id);
    va_start(arguments, format);
    (void)vsnprintf(ret_finding->detail, sizeof ret_finding->detail, format, arguments);
    va_end(arguments);
}

static bool is_missing(struct mr_error error)
{
    return mr_failed(error) && strcmp(error.code, "not_found") == 0;
}

/* Every check gives false when it ended the check of the version: by a finding, or because it could not tell. */
#define FOUND(seen, corruption, ...) \
    (mr_finding_set(&(seen)->finding, corruption, (seen)->counter, (seen)->version_id, __VA_ARGS__), false)

static bool could_not_tell(struct mr_version_seen *seen, struct mr_error error)
{
    seen->undecided = error;
    return false;
}

/* ---- The record ------------------------------------------------------------------------------------------ */

static bool check_record(const struct mr_verification_scope *scope, struct mr_version_seen *seen)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    mr_key_version(scope->model_id, seen->version_id, "metadata.json", key);
    const struct mr_error error = seen->lists_metadata
                                      ? mr_version_read_object(scope->store, key, &body, &seen->entry.record_hash)
                                      : mr_error_make(MR_ERROR_REJECT, "not_found", 0, "not listed");
    const struct mr_error decoded =
        mr_failed(error) ? error : mr_version_decode(mr_buffer_view(&body), &seen->entry.version);
    mr_buffer_deinit(&body);
    if (is_missing(error)) {
        return FOUND(seen, MR_CORRUPTION_METADATA_MISSING, "%s is missing", key);
    }
    if (mr_failed(error)) {
        return could_not_tell(seen, error);
    }
    seen->has_record = true;
    if (mr_failed(decoded)) {
        return FOUND(seen, MR_CORRUPTION_METADATA_MALFORMED, "%s: %s", key, decoded.detail);
    }
    seen->has_version = true;
    seen->audit_tag = mr_audit_tag(&seen->entry.version, &seen->entry.record_hash);
    return true;
}

static bool is_genesis(const struct mr_version *version)
{
    const struct mr_semver genesis = mr_semver_genesis();
    return version->counter == 0 && version->semantic_version.major == genesis.major &&
           version->semantic_version.minor == genesis.minor && version->semantic_version.patch == genesis.patch;
}

static bool check_identity(const struct mr_verification_scope *scope, struct mr_version_seen *seen)
{
    const struct mr_version *version = &seen->entry.version;
    char own_id[MR_VERSION_ID_SIZE];
    struct mr_sha256 commit_id;
    mr_version_id(version->counter, &version->content_hash, own_id);
    const struct mr_error error = mr_commit_id(version, &commit_id);
    if (mr_failed(error)) {
        return could_not_tell(seen, error);
    }
    if (strcmp(version->version_id, seen->version_id) != 0 || strcmp(version->version_id, own_id) != 0 ||
        strcmp(version->model_id, scope->model_id) != 0 || !mr_sha256_equal(&commit_id, &version->commit_id)) {
        return FOUND(seen, MR_CORRUPTION_IDENTITY,
                     "metadata.json of %s: version id, model id or commit id is not what its other fields give",
                     seen->version_id);
    }
    if (version->has_parent ? version->counter == 0 : !is_genesis(version)) {
        return FOUND(seen, MR_CORRUPTION_GENESIS,
                     "%s: genesis is counter 0, 1.0.0 and without parent; this is not it, but ends the chain or "
                     "joins it",
                     seen->version_id);
    }
    return true;
}

/* ---- The payload ----------------------------------------------------------------------------------------- */

static bool payload_missing(const struct mr_verification_scope *scope, struct mr_version_seen *seen)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_version(scope->model_id, seen->version_id, "collected.json", key);
    const struct mr_store_result got = mr_store_head(scope->store, key);
    if (got.outcome == MR_STORE_DONE) {
        seen->collected = true;
        return true;
    }
    if (got.outcome == MR_STORE_MISSING) {
        return FOUND(seen, MR_CORRUPTION_PAYLOAD_MISSING, "%s/checkpoint.pb is missing, and was not collected",
                     seen->version_id);
    }
    return could_not_tell(seen, mr_version_error(&got));
}

static bool check_payload(const struct mr_verification_scope *scope, struct mr_version_seen *seen)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_sha256 hash;
    uint64_t size = 0;
    if (!seen->lists_checkpoint) {
        return payload_missing(scope, seen);
    }
    if (scope->metadata_only) {
        return true;
    }
    mr_key_version(scope->model_id, seen->version_id, "checkpoint.pb", key);
    const struct mr_error error = mr_version_hash_object(scope->store, key, &hash, &size);
    if (is_missing(error)) {
        return payload_missing(scope, seen); /* collected since it was listed */
    }
    if (mr_failed(error)) {
        return could_not_tell(seen, error);
    }
    seen->hashed_bytes = size;
    if (!mr_sha256_equal(&hash, &seen->entry.version.content_hash)) {
        return FOUND(seen, MR_CORRUPTION_PAYLOAD_HASH, "%s: its SHA-256 is not the content hash", key);
    }
    if (size != seen->entry.version.size) {
        return FOUND(seen, MR_CORRUPTION_PAYLOAD_SIZE, "%s: its size is not the one in metadata.json", key);
    }
    return true;
}

static bool check_hash_file(const struct mr_verification_scope *scope, struct mr_version_seen *seen)
{
    char key[MR_VERSION_KEY_SIZE], text[MR_SHA256_TEXT_SIZE];
    struct mr_buffer body = {0};
    struct mr_sha256 hash;
    mr_key_version(scope->model_id, seen->version_id, "content_hash.txt", key);
    if (!seen->lists_hash_file) {
        return FOUND(seen, MR_CORRUPTION_HASH_FILE, "%s is missing", key);
    }
    if (scope->metadata_only) {
        return true;
    }
    mr_sha256_text(&seen->entry.version.content_hash, text);
    const struct mr_error error = mr_version_read_object(scope->store, key, &body, &hash);
    const bool good = !mr_failed(error) && mr_bytes_equal(mr_buffer_view(&body), mr_bytes_of_text(text));
    mr_buffer_deinit(&body);
    if (mr_failed(error) && !is_missing(error)) {
        return could_not_tell(seen, error);
    }
    return good || FOUND(seen, MR_CORRUPTION_HASH_FILE, "%s %s", key,
                         mr_failed(error) ? "is missing" : "is not the content hash in metadata.json");
}

void mr_version_check(const struct mr_verification_scope *scope, struct mr_version_seen *seen)
{
    seen->undecided = mr_ok();
    if (!check_record(scope, seen) || !check_identity(scope, seen)) {
        return;
    }
    /* A payload that cannot be read does not keep the hash file from being looked at. */
    (void)check_payload(scope, seen);
    if (!mr_finding_some(&seen->finding)) {
        const struct mr_error before = seen->undecided;
        (void)check_hash_file(scope, seen);
        seen->undecided = mr_failed(before) ? before : seen->undecided;
    }
}

struct mr_error mr_version_hash_object(struct mr_store *store, const char *key, struct mr_sha256 *ret_hash,
                                       uint64_t *ret_size)
{
    struct mr_sha256_stream *stream = mr_sha256_begin();
    struct mr_buffer chunk = {0};
    struct mr_error error = mr_ok();
    uint64_t at = 0;
    for (bool more = true; more && !mr_failed(error);) {
        const struct mr_store_range range = {.first = at, .count = CHUNK_SIZE};
        chunk.size = 0;
        const struct mr_store_result got = store->ops->get(store, key, range, &chunk);
        error = mr_version_error(&got);
        mr_sha256_update(stream, mr_buffer_view(&chunk));
        at += chunk.size;
        more = chunk.size > 0 && at < got.size;
    }
    mr_buffer_deinit(&chunk);
    const struct mr_sha256 hash = mr_sha256_end(stream);
    MR_TRY(error);
    *ret_hash = hash;
    *ret_size = at;
    return mr_ok();
}
