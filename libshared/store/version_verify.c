/*
 * Verification of a chain: head, then all audit entries, then the versions from genesis up. Whatever head names when it
 * is read was stored before it, so what is committed meanwhile takes nothing away.
 */
#include "version_check.h"
#include "version_pipeline.h"

#include <stdio.h>
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
    case MR_CORRUPTION_AUDIT_CORRUPT: return "audit_corrupt";
    }
    mr_unreachable(__func__);
}

struct verification {
    struct mr_verification_scope scope;
    const struct mr_verify_options *options;
    struct mr_verify_result *result;
    struct mr_verify_progress progress;
    struct mr_audit_set audits;
    struct mr_chain chain;
    struct mr_pipeline *pipeline;
    struct mr_version_seen *filling; /* the folder whose keys are being listed */
    char prefix[MR_VERSION_KEY_SIZE];
    struct mr_error undecided; /* the first */
};

static void could_not_tell(struct verification *v, struct mr_error error)
{
    if (!mr_failed(v->undecided)) {
        v->undecided = error;
    }
}

static bool has_code(struct mr_error error, const char *code)
{
    return mr_failed(error) && strcmp(error.code, code) == 0;
}

static void find_head(struct verification *v, enum mr_corruption corruption, const char *detail)
{
    v->result->corruption = corruption;
    (void)snprintf(v->result->detail, sizeof v->result->detail, "%s", detail);
}

static void tell(struct verification *v)
{
    if (v->options->progress != NULL) {
        v->options->progress(v->options->self, &v->progress);
    }
}

/* ---- Without head ---------------------------------------------------------------------------------------- */

static struct mr_error stop_at_first(void *self, const struct mr_store_entry *entry)
{
    bool *some = self;
    (void)entry;
    *some = true;
    return mr_error_make(MR_ERROR_REJECT, "enough", 0, "one is enough");
}

/* Is there anything that ought to have one? */
static void without_head(struct verification *v)
{
    bool some = false;
    const struct mr_error error = mr_version_each_key(v->scope.store, v->prefix, stop_at_first, &some);
    if (some) {
        find_head(v, MR_CORRUPTION_HEAD_MISSING, "versions are stored, but head.json is missing");
    } else if (mr_failed(error)) {
        could_not_tell(v, error);
    } else {
        v->result->verdict = MR_VERIFY_NO_MODEL;
        (void)snprintf(v->result->detail, sizeof v->result->detail, "nothing is stored under model \"%.63s\"",
                       v->scope.model_id);
    }
}

/* ---- Audit entries --------------------------------------------------------------------------------------- */

static void count_audit(void *self)
{
    struct verification *v = self;
    v->progress.audits++;
    tell(v);
}

static void read_audits(struct verification *v)
{
    const struct mr_error error =
        mr_audit_set_read(v->scope.store, v->scope.model_id, v->options->threads, count_audit, v, &v->audits);
    v->chain.audits = &v->audits;
    if (mr_failed(error)) {
        could_not_tell(v, error);
    }
}

/* ---- Versions -------------------------------------------------------------------------------------------- */

static void check_version(void *self, void *item)
{
    const struct verification *v = self;
    mr_version_check(&v->scope, item);
}

static void take_version(void *self, void *item)
{
    struct verification *v = self;
    const struct mr_version_seen *seen = item;
    const struct mr_error error = mr_chain_add(&v->chain, seen);
    if (mr_failed(error)) {
        could_not_tell(v, error);
    }
    v->progress.versions++;
    v->progress.hashed_bytes += seen->hashed_bytes;
    tell(v);
}

static struct mr_error list_key(void *self, const struct mr_store_entry *listed)
{
    struct verification *v = self;
    char version_id[MR_VERSION_ID_SIZE];
    uint64_t counter = 0;
    const char *name = listed->key + strlen(v->prefix);
    const char *slash = strchr(name, '/');
    if (slash == NULL || slash - name >= MR_VERSION_ID_SIZE) {
        return mr_ok();
    }
    (void)snprintf(version_id, sizeof version_id, "%.*s", (int)(slash - name), name);
    if (!mr_version_id_parse(version_id, &counter)) {
        return mr_ok(); /* no version's: what the chain names and is not there will be missed */
    }
    if (counter > v->result->head.counter) {
        return mr_error_make(MR_ERROR_REJECT, "enough", 0, "beyond head");
    }
    if (v->filling == NULL || strcmp(v->filling->version_id, version_id) != 0) {
        v->filling = mr_pipeline_next(v->pipeline);
        v->filling->counter = counter;
        memcpy(v->filling->version_id, version_id, sizeof version_id);
    }
    v->filling->lists_checkpoint = v->filling->lists_checkpoint || strcmp(slash, "/checkpoint.pb") == 0;
    v->filling->lists_hash_file = v->filling->lists_hash_file || strcmp(slash, "/content_hash.txt") == 0;
    v->filling->lists_metadata = v->filling->lists_metadata || strcmp(slash, "/metadata.json") == 0;
    return mr_ok();
}

/* Byte order is the order of counters as long as they have ten digits. */
static void read_versions(struct verification *v)
{
    static const uint64_t counter_max = 9999999999;
    const struct mr_pipeline_kind kind = {
        .item_size = sizeof(struct mr_version_seen), .run = check_version, .consume = take_version, .self = v};
    struct mr_error error = v->result->head.counter > counter_max
                                ? mr_error_make(MR_ERROR_FATAL, "out_of_range", 0, "the counter has over ten digits")
                                : mr_pipeline_open(v->options->threads, &kind, &v->pipeline);
    if (!mr_failed(error)) {
        error = mr_version_each_key(v->scope.store, v->prefix, list_key, v);
        mr_pipeline_close(v->pipeline);
        error = has_code(error, "enough") ? mr_ok() : error;
    }
    if (mr_failed(error)) {
        could_not_tell(v, error);
    } else {
        mr_chain_settle(&v->chain, &v->result->head, v->result, &v->undecided);
    }
}

static void find_stray_audit(struct verification *v)
{
    if (v->result->corruption == MR_CORRUPTION_NONE && v->audits.bad_count > 0) {
        find_head(v, MR_CORRUPTION_AUDIT_CORRUPT, v->audits.bad[0].detail);
    }
}

static void verify_from_head(struct verification *v)
{
    const struct mr_head *head = &v->result->head;
    char own_id[MR_VERSION_ID_SIZE];
    mr_version_id(head->counter, &head->content_hash, own_id);
    if (strcmp(own_id, head->version_id) != 0) {
        find_head(v, MR_CORRUPTION_HEAD_MISMATCH, "head.json: its version id is not what its other fields give");
        return;
    }
    v->progress.versions_expected = head->counter + 1;
    read_audits(v);
    read_versions(v);
    find_stray_audit(v);
}

struct mr_verify_result mr_versions_verify_with(struct mr_store *store, const char *model_id,
                                                const struct mr_verify_options *options)
{
    struct mr_verify_result result = {
        .verdict = MR_VERIFY_GOOD, .corruption = MR_CORRUPTION_NONE, .metadata_only = options->metadata_only};
    struct verification v = {
        .scope = {.store = store, .model_id = model_id, .metadata_only = options->metadata_only},
        .options = options,
        .result = &result,
        .undecided = mr_ok(),
    };
    const struct mr_error error = mr_head_read(store, model_id, &result.has_head, &result.head, NULL);
    if (has_code(error, "not_found")) {
        result.verdict = MR_VERIFY_NO_MODEL;
        memcpy(result.detail, error.detail, sizeof result.detail);
        return result;
    }
    mr_key_versions(model_id, v.prefix);
    if (has_code(error, "corrupt")) {
        find_head(&v, MR_CORRUPTION_HEAD_MALFORMED, error.detail);
    } else if (mr_failed(error)) {
        could_not_tell(&v, error);
    } else if (!result.has_head) {
        without_head(&v);
    } else {
        verify_from_head(&v);
    }
    if (result.corruption != MR_CORRUPTION_NONE) {
        result.verdict = MR_VERIFY_CORRUPT;
    } else if (mr_failed(v.undecided)) {
        result.verdict = MR_VERIFY_UNDECIDED;
        memcpy(result.detail, v.undecided.detail, sizeof result.detail);
    }
    result.hashed_bytes = v.progress.hashed_bytes;
    result.audits = v.progress.audits;
    mr_chain_deinit(&v.chain);
    mr_audit_set_deinit(&v.audits);
    return result;
}

struct mr_verify_result mr_versions_verify(struct mr_store *store, const char *model_id)
{
    const struct mr_verify_options options = {0};
    return mr_versions_verify_with(store, model_id, &options);
}
