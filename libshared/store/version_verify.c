/*
 * Verification of a chain. The walk down from head reads and checks the records; then every version is checked from
 * the lowest that was reached upwards, so that the first bad one is named.
 */
#include "version_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *mr_verify_verdict_text(enum mr_verify_verdict verdict)
{
    switch (verdict) {
    case MR_VERIFY_GOOD: return "good";
    case MR_VERIFY_CORRUPT: return "corrupt";
    case MR_VERIFY_UNDECIDED: return "undecided";
    case MR_VERIFY_NO_MODEL: return "no_model";
    }
    mr_unreachable(__func__);
}

const char *mr_corruption_text(enum mr_corruption corruption)
{
    switch (corruption) {
    case MR_CORRUPTION_NONE: return "none";
    case MR_CORRUPTION_HEAD_MISSING: return "head_missing";
    case MR_CORRUPTION_HEAD_MALFORMED: return "head_malformed";
    case MR_CORRUPTION_HEAD_MISMATCH: return "head_mismatch";
    case MR_CORRUPTION_METADATA_MISSING: return "metadata_missing";
    case MR_CORRUPTION_RECORD_HASH: return "record_hash";
    case MR_CORRUPTION_METADATA_MALFORMED: return "metadata_malformed";
    case MR_CORRUPTION_IDENTITY: return "identity";
    case MR_CORRUPTION_GENESIS: return "genesis";
    case MR_CORRUPTION_COUNTER: return "counter";
    case MR_CORRUPTION_SEMANTIC_VERSION: return "semantic_version";
    case MR_CORRUPTION_POSITION: return "position";
    case MR_CORRUPTION_PAYLOAD_MISSING: return "payload_missing";
    case MR_CORRUPTION_PAYLOAD_HASH: return "payload_hash";
    case MR_CORRUPTION_PAYLOAD_SIZE: return "payload_size";
    case MR_CORRUPTION_HASH_FILE: return "hash_file";
    case MR_CORRUPTION_AUDIT_MISSING: return "audit_missing";
    }
    mr_unreachable(__func__);
}

/* What the checks share. Each check gives false when it has ended the verification of what it looks at: by a finding
 * (found) or because it could not tell (undecided). */
struct verification {
    struct mr_store *store;
    const char *model_id;
    struct mr_verify_result *result;
    struct mr_version_entry *entries; /* head first */
    size_t count, capacity;
    struct mr_audit_index audits;
    bool found;
    struct mr_error undecided; /* the first */
};

static bool found(struct verification *v, enum mr_corruption corruption, const char *version_id, uint64_t counter,
                  const char *format, ...) MR_PRINTF(5, 6);
static bool found(struct verification *v, enum mr_corruption corruption, const char *version_id, uint64_t counter,
                  const char *format, ...)
{
    struct mr_verify_result *result = v->result;
    va_list arguments;
    v->found = true;
    result->corruption = corruption;
    result->has_version = version_id != NULL;
    result->counter = counter;
    (void)snprintf(result->version_id, sizeof result->version_id, "%s", version_id == NULL ? "" : version_id);
    va_start(arguments, format);
    (void)vsnprintf(result->detail, sizeof result->detail, format, arguments);
    va_end(arguments);
    return false;
}

static bool could_not_tell(struct verification *v, struct mr_error error)
{
    if (!mr_failed(v->undecided)) {
        v->undecided = error;
    }
    return false;
}

static bool is_missing(struct mr_error error)
{
    return mr_failed(error) && strcmp(error.code, "not_found") == 0;
}

static bool is_corrupt(struct mr_error error)
{
    return mr_failed(error) && strcmp(error.code, "corrupt") == 0;
}

/* ---- Down the chain -------------------------------------------------------------------------------------- */

static struct mr_error stop_at_first(void *self, const struct mr_store_entry *entry)
{
    bool *some = self;
    (void)entry;
    *some = true;
    return mr_error_make(MR_ERROR_REJECT, "enough", 0, "one is enough");
}

/* No head: is there anything that ought to have one? */
static void without_head(struct verification *v)
{
    char prefix[MR_VERSION_KEY_SIZE];
    bool some = false;
    mr_key_versions(v->model_id, prefix);
    const struct mr_error error = mr_version_each_key(v->store, prefix, stop_at_first, &some);
    if (some) {
        (void)found(v, MR_CORRUPTION_HEAD_MISSING, NULL, 0, "%s holds versions, but head.json is missing", prefix);
    } else if (mr_failed(error)) {
        (void)could_not_tell(v, error);
    } else {
        v->result->verdict = MR_VERIFY_NO_MODEL;
        (void)snprintf(v->result->detail, sizeof v->result->detail, "nothing is stored under model \"%.63s\"",
                       v->model_id);
    }
}

static bool add(struct verification *v, const struct mr_version_entry *entry)
{
    if (v->count == v->capacity) {
        const size_t capacity = v->capacity == 0 ? 64 : v->capacity * 2;
        struct mr_version_entry *entries = realloc(v->entries, capacity * sizeof *entries);
        if (entries == NULL) {
            return could_not_tell(v, mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "verifying versions"));
        }
        v->entries = entries;
        v->capacity = capacity;
    }
    v->entries[v->count++] = *entry;
    return true;
}

/* One record by the name and hash that its child (or head) gives. */
static bool read_record(struct verification *v, const char *version_id, const struct mr_sha256 *record_hash,
                        struct mr_version_entry *ret_entry)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    uint64_t counter = 0;
    if (!mr_version_id_parse(version_id, &counter)) {
        return found(v, MR_CORRUPTION_IDENTITY, version_id, 0, "%s is no version id", version_id);
    }
    mr_key_version(v->model_id, version_id, "metadata.json", key);
    const struct mr_error error = mr_version_read_object(v->store, key, &body, &ret_entry->record_hash);
    const struct mr_error decoded =
        mr_failed(error) ? error : mr_version_decode(mr_buffer_view(&body), &ret_entry->version);
    mr_buffer_deinit(&body);
    if (is_missing(error)) {
        return found(v, MR_CORRUPTION_METADATA_MISSING, version_id, counter, "%s is missing", key);
    }
    if (mr_failed(error)) {
        return could_not_tell(v, error);
    }
    if (!mr_sha256_equal(&ret_entry->record_hash, record_hash)) {
        return found(v, MR_CORRUPTION_RECORD_HASH, version_id, counter,
                     "%s: its SHA-256 is not the record hash that the next version or head names", key);
    }
    if (mr_failed(decoded)) {
        return found(v, MR_CORRUPTION_METADATA_MALFORMED, version_id, counter, "%s: %s", key, decoded.detail);
    }
    return true;
}

static bool check_identity(struct verification *v, const struct mr_version *version, const char *version_id)
{
    char own_id[MR_VERSION_ID_SIZE];
    struct mr_sha256 commit_id;
    mr_version_id(version->counter, &version->content_hash, own_id);
    const struct mr_error error = mr_commit_id(version, &commit_id);
    if (mr_failed(error)) {
        return could_not_tell(v, error);
    }
    if (strcmp(version->version_id, version_id) != 0 || strcmp(version->version_id, own_id) != 0 ||
        strcmp(version->model_id, v->model_id) != 0 || !mr_sha256_equal(&commit_id, &version->commit_id)) {
        return found(v, MR_CORRUPTION_IDENTITY, version_id, version->counter,
                     "metadata.json of %s: version id, model id or commit id is not what its other fields give",
                     version_id);
    }
    const struct mr_semver genesis = mr_semver_genesis();
    const bool is_genesis = version->counter == 0 && version->semantic_version.major == genesis.major &&
                            version->semantic_version.minor == genesis.minor &&
                            version->semantic_version.patch == genesis.patch;
    if (version->has_parent ? version->counter == 0 : !is_genesis) {
        return found(
            v, MR_CORRUPTION_GENESIS, version_id, version->counter,
            "%s: genesis is counter 0, 1.0.0 and without parent; this is not it, but ends the chain or joins it",
            version_id);
    }
    return true;
}

/* Ends, because a version after the first must have a counter below the one before. */
static void walk(struct verification *v, const struct mr_head *head)
{
    const char *version_id = head->version_id;
    const struct mr_sha256 *record_hash = &head->record_hash;
    for (;;) {
        struct mr_version_entry entry;
        if (!read_record(v, version_id, record_hash, &entry) || !check_identity(v, &entry.version, version_id)) {
            return;
        }
        if (v->count > 0 && entry.version.counter + 1 != v->entries[v->count - 1].version.counter) {
            const struct mr_version *child = &v->entries[v->count - 1].version;
            (void)found(v, MR_CORRUPTION_COUNTER, child->version_id, child->counter,
                        "%s follows %s: a counter must be its parent's plus one", child->version_id, version_id);
            return;
        }
        if (!add(v, &entry) || !entry.version.has_parent) {
            return;
        }
        version_id = v->entries[v->count - 1].version.parent_version_id;
        record_hash = &v->entries[v->count - 1].version.parent_record_hash;
    }
}

/* ---- Each version ---------------------------------------------------------------------------------------- */

static bool check_progress(struct verification *v, const struct mr_version *parent, const struct mr_version *version)
{
    if (!mr_semver_follows(parent->semantic_version, version->semantic_version)) {
        char from[MR_SEMVER_SIZE], to[MR_SEMVER_SIZE];
        mr_semver_text(parent->semantic_version, from);
        mr_semver_text(version->semantic_version, to);
        return found(v, MR_CORRUPTION_SEMANTIC_VERSION, version->version_id, version->counter,
                     "%s: %s does not follow %s by a patch, minor or major step", version->version_id, to, from);
    }
    const struct mr_position *a = &parent->position, *b = &version->position;
    if (memcmp(a->log_id, b->log_id, sizeof a->log_id) == 0 && a->partition == b->partition && a->offset >= b->offset) {
        return found(v, MR_CORRUPTION_POSITION, version->version_id, version->counter,
                     "%s: its position in the log is not behind its parent's", version->version_id);
    }
    return true;
}

static bool payload_missing(struct verification *v, const struct mr_version *version)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_version(version->model_id, version->version_id, "collected.json", key);
    const struct mr_store_result got = mr_store_head(v->store, key);
    if (got.outcome == MR_STORE_DONE) {
        v->result->collected++;
        return true;
    }
    if (got.outcome == MR_STORE_MISSING) {
        return found(v, MR_CORRUPTION_PAYLOAD_MISSING, version->version_id, version->counter,
                     "%s/checkpoint.pb is missing, and was not collected", version->version_id);
    }
    return could_not_tell(v, mr_version_error(&got));
}

static bool check_payload(struct verification *v, const struct mr_version *version)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    struct mr_sha256 hash;
    mr_key_version(version->model_id, version->version_id, "checkpoint.pb", key);
    const struct mr_error error = mr_version_read_object(v->store, key, &body, &hash);
    const size_t size = body.size;
    mr_buffer_deinit(&body);
    if (is_missing(error)) {
        return payload_missing(v, version);
    }
    if (mr_failed(error)) {
        return could_not_tell(v, error);
    }
    if (!mr_sha256_equal(&hash, &version->content_hash)) {
        return found(v, MR_CORRUPTION_PAYLOAD_HASH, version->version_id, version->counter,
                     "%s: its SHA-256 is not the content hash", key);
    }
    if (size != version->size) {
        return found(v, MR_CORRUPTION_PAYLOAD_SIZE, version->version_id, version->counter,
                     "%s: its size is not the one in metadata.json", key);
    }
    return true;
}

static bool check_hash_file(struct verification *v, const struct mr_version *version)
{
    char key[MR_VERSION_KEY_SIZE], text[MR_SHA256_TEXT_SIZE];
    struct mr_buffer body = {0};
    struct mr_sha256 hash;
    mr_key_version(version->model_id, version->version_id, "content_hash.txt", key);
    mr_sha256_text(&version->content_hash, text);
    const struct mr_error error = mr_version_read_object(v->store, key, &body, &hash);
    const bool good = !mr_failed(error) && mr_bytes_equal(mr_buffer_view(&body), mr_bytes_of_text(text));
    mr_buffer_deinit(&body);
    if (mr_failed(error) && !is_missing(error)) {
        return could_not_tell(v, error);
    }
    return good || found(v, MR_CORRUPTION_HASH_FILE, version->version_id, version->counter, "%s %s", key,
                         mr_failed(error) ? "is missing" : "is not the content hash in metadata.json");
}

static bool check_audit(struct verification *v, const struct mr_version_entry *entry)
{
    uint64_t count = 0;
    const struct mr_error error = mr_audit_count(v->store, &v->audits, entry, true, &count);
    if (mr_failed(error)) {
        return could_not_tell(v, error);
    }
    return count > 0 || found(v, MR_CORRUPTION_AUDIT_MISSING, entry->version.version_id, entry->version.counter,
                              "%s: no audit entry names it", entry->version.version_id);
}

/* From the lowest version up; the first finding ends it. What could not be read is passed over: it may be followed by a
 * finding, which says more. */
static void check_versions(struct verification *v)
{
    for (size_t i = v->count; i-- > 0;) {
        const struct mr_version *version = &v->entries[i].version;
        if (i + 1 < v->count) {
            (void)check_progress(v, &v->entries[i + 1].version, version);
        }
        if (!v->found) {
            (void)check_payload(v, version);
        }
        if (!v->found) {
            (void)check_hash_file(v, version);
        }
        if (!v->found) {
            (void)check_audit(v, &v->entries[i]);
        }
        if (v->found) {
            return;
        }
    }
}

static void check_head(struct verification *v, const struct mr_head *head)
{
    const struct mr_version *version = &v->entries[0].version;
    const bool same = head->counter == version->counter && head->step == version->step &&
                      strcmp(head->version_id, version->version_id) == 0 &&
                      strcmp(head->run_id, version->run_id) == 0 &&
                      memcmp(&head->semantic_version, &version->semantic_version, sizeof head->semantic_version) == 0 &&
                      mr_sha256_equal(&head->content_hash, &version->content_hash) &&
                      mr_sha256_equal(&head->commit_id, &version->commit_id) &&
                      mr_position_equal(&head->position, &version->position);
    if (!same) {
        (void)found(v, MR_CORRUPTION_HEAD_MISMATCH, head->version_id, version->counter,
                    "head.json and metadata.json of %s, which it names, differ", head->version_id);
    }
}

static void verify_from(struct verification *v, const struct mr_head *head)
{
    walk(v, head);
    v->result->versions = v->count;
    if (v->found) {
        return; /* the lowest that could be reached */
    }
    const struct mr_error error = mr_audit_index_read(v->store, v->model_id, &v->audits);
    if (mr_failed(error)) {
        (void)could_not_tell(v, error);
        return;
    }
    check_versions(v);
    if (!v->found && v->count > 0) {
        check_head(v, head);
    }
}

struct mr_verify_result mr_versions_verify(struct mr_store *store, const char *model_id)
{
    struct mr_verify_result result = {.verdict = MR_VERIFY_GOOD, .corruption = MR_CORRUPTION_NONE};
    struct verification v = {.store = store, .model_id = model_id, .result = &result, .undecided = mr_ok()};
    const struct mr_error error = mr_head_read(store, model_id, &result.has_head, &result.head, NULL);
    if (is_missing(error)) {
        result.verdict = MR_VERIFY_NO_MODEL;
        memcpy(result.detail, error.detail, sizeof result.detail);
    } else if (is_corrupt(error)) {
        (void)found(&v, MR_CORRUPTION_HEAD_MALFORMED, NULL, 0, "%s", error.detail);
    } else if (mr_failed(error)) {
        (void)could_not_tell(&v, error);
    } else if (!result.has_head) {
        without_head(&v);
    } else {
        verify_from(&v, &result.head);
    }
    if (v.found) {
        result.verdict = MR_VERIFY_CORRUPT;
    } else if (mr_failed(v.undecided)) {
        result.verdict = MR_VERIFY_UNDECIDED;
        memcpy(result.detail, v.undecided.detail, sizeof result.detail);
    }
    free(v.entries);
    mr_audit_index_deinit(&v.audits);
    return result;
}
