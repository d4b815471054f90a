#include "persist_commit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mr_store_condition if_absent = {.kind = MR_STORE_IF_ABSENT};

static void answer(struct persist_commit *commit, const struct mr_store_result *result, enum persist_finding finding)
{
    commit->event.kind = PERSIST_EVENT_ANSWERED;
    commit->event.of.answered.outcome = result->outcome;
    commit->event.of.answered.finding = finding;
    if (result->outcome != MR_STORE_DONE) {
        memcpy(commit->detail, result->detail, sizeof commit->detail);
    }
}

/* What is decoded could not be built for want of memory: nothing was asked, nothing is there yet. */
static void answer_error(struct persist_commit *commit, struct mr_error error)
{
    struct mr_store_result result = {.outcome = MR_STORE_UNAVAILABLE, .native = error.native};
    memcpy(result.detail, error.detail, sizeof result.detail);
    answer(commit, &result, PERSIST_FINDING_NONE);
}

static struct mr_sha256 hash_of(const struct mr_buffer *buffer)
{
    return mr_sha256_of(mr_buffer_view(buffer));
}

static void key_of(const struct persist_commit *commit, const char *file, char ret_key[MR_VERSION_KEY_SIZE])
{
    mr_key_version(commit->version.model_id, commit->version.version_id, file, ret_key);
}

static struct persist_record *record_of(struct persist_commit *commit)
{
    return &commit->event.of.answered.record;
}

/* ---- Head and chain ----------------------------------------------------------------------------------------- */

static enum persist_finding find_head(struct persist_commit *commit, struct mr_bytes body)
{
    struct mr_error error = mr_head_decode(body, &commit->head);
    if (!mr_failed(error) && strcmp(commit->head.model_id, commit->produced.model_id) != 0) {
        error = mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "head.json is of model \"%s\"", commit->head.model_id);
    }
    if (mr_failed(error)) {
        memcpy(commit->detail, error.detail, sizeof commit->detail);
        return PERSIST_FINDING_BROKEN;
    }
    commit->has_head = true;
    return persist_record_of_head(&commit->head, commit->deployment, record_of(commit)) ? PERSIST_FINDING_RECORD
                                                                                        : PERSIST_FINDING_FOREIGN_LOG;
}

static void read_head(struct persist_commit *commit)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    mr_key_head(commit->produced.model_id, key);
    const struct mr_store_result result = mr_store_get(commit->store, key, &body);
    commit->has_head = false;
    commit->head_etag = result.etag;
    answer(commit, &result,
           result.outcome == MR_STORE_DONE ? find_head(commit, mr_buffer_view(&body)) : PERSIST_FINDING_NONE);
    mr_buffer_deinit(&body);
}

static void list_versions(struct persist_commit *commit)
{
    char prefix[MR_VERSION_KEY_SIZE], after[MR_VERSION_KEY_SIZE + 16];
    struct mr_store_page page = {0};
    mr_key_versions(commit->produced.model_id, prefix);
    (void)snprintf(after, sizeof after, "%sv0000000000~", prefix); /* behind every directory of counter 0 */
    const struct mr_store_result result = mr_store_list(commit->store, prefix, after, 1, &page);
    const enum persist_finding finding = page.count > 0 ? PERSIST_FINDING_VERSIONS : PERSIST_FINDING_NO_VERSIONS;
    answer(commit, &result, result.outcome == MR_STORE_DONE ? finding : PERSIST_FINDING_NONE);
    mr_store_page_deinit(&page);
}

static enum persist_finding find_metadata(struct persist_commit *commit, const struct mr_buffer *body)
{
    const char *version_id = commit->decision.of.read_metadata.version_id;
    const struct mr_sha256 hash = hash_of(body);
    if (!mr_sha256_equal(&hash, &commit->decision.of.read_metadata.record_hash) ||
        mr_failed(mr_version_decode(mr_buffer_view(body), &commit->read)) ||
        strcmp(commit->read.version_id, version_id) != 0 ||
        strcmp(commit->read.model_id, commit->produced.model_id) != 0) {
        (void)snprintf(commit->detail, sizeof commit->detail, "metadata.json of %s is not what its child or head names",
                       version_id);
        return PERSIST_FINDING_BROKEN;
    }
    commit->read_hash = hash;
    return persist_record_of_version(&commit->read, &hash, commit->deployment, record_of(commit))
               ? PERSIST_FINDING_RECORD
               : PERSIST_FINDING_FOREIGN_LOG;
}

static void read_metadata(struct persist_commit *commit)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    mr_key_version(commit->produced.model_id, commit->decision.of.read_metadata.version_id, "metadata.json", key);
    const struct mr_store_result result = mr_store_get(commit->store, key, &body);
    answer(commit, &result, result.outcome == MR_STORE_DONE ? find_metadata(commit, &body) : PERSIST_FINDING_NONE);
    mr_buffer_deinit(&body);
}

/* ---- Payload and records ------------------------------------------------------------------------------------ */

static struct mr_error build(struct persist_commit *commit)
{
    const struct mr_head *base = commit->has_head ? &commit->head : NULL;
    commit->metadata.size = 0;
    commit->audit.size = 0;
    commit->head_json.size = 0;
    MR_TRY(persist_version_build(&commit->produced, base, &commit->version));
    MR_TRY(mr_version_encode(&commit->version, &commit->metadata));
    commit->record_hash = hash_of(&commit->metadata);
    commit->swap =
        base == NULL ? if_absent : (struct mr_store_condition){.kind = MR_STORE_IF_MATCH, .etag = commit->head_etag};
    record_of(commit)->counter = commit->version.counter;
    record_of(commit)->record_hash = commit->record_hash;
    return mr_ok();
}

static void read_spool(struct persist_commit *commit)
{
    char key[MR_VERSION_KEY_SIZE];
    commit->payload.size = 0;
    mr_key_spool(commit->produced.model_id, &commit->produced.content_hash, key);
    const struct mr_store_result result = mr_store_get(commit->store, key, &commit->payload);
    if (result.outcome != MR_STORE_DONE) {
        answer(commit, &result, PERSIST_FINDING_NONE);
        return;
    }
    const struct mr_sha256 hash = hash_of(&commit->payload);
    if (!mr_sha256_equal(&hash, &commit->produced.content_hash) || commit->payload.size != commit->produced.size) {
        (void)snprintf(commit->detail, sizeof commit->detail, "%.150s: not the bytes that its event names", key);
        answer(commit, &result, PERSIST_FINDING_DIFFERENT);
        return;
    }
    const struct mr_error error = build(commit);
    if (mr_failed(error)) {
        answer_error(commit, error);
        return;
    }
    answer(commit, &result, PERSIST_FINDING_SAME);
}

static void put(struct persist_commit *commit, const char *key, struct mr_bytes body,
                struct mr_store_condition condition)
{
    const struct mr_store_result result = mr_store_put(commit->store, key, body, condition);
    answer(commit, &result, PERSIST_FINDING_NONE);
}

static void put_file(struct persist_commit *commit, const char *file, struct mr_bytes body)
{
    char key[MR_VERSION_KEY_SIZE];
    key_of(commit, file, key);
    put(commit, key, body, if_absent);
}

static void compare(struct persist_commit *commit, const char *key, struct mr_bytes ours)
{
    struct mr_buffer body = {0};
    const struct mr_store_result result = mr_store_get(commit->store, key, &body);
    const bool same = mr_bytes_equal(mr_buffer_view(&body), ours);
    if (result.outcome == MR_STORE_DONE && !same) {
        (void)snprintf(commit->detail, sizeof commit->detail, "%.120s holds other bytes than this version's", key);
    }
    answer(commit, &result,
           result.outcome != MR_STORE_DONE ? PERSIST_FINDING_NONE
           : same                          ? PERSIST_FINDING_SAME
                                           : PERSIST_FINDING_DIFFERENT);
    mr_buffer_deinit(&body);
}

static void compare_file(struct persist_commit *commit, const char *file, struct mr_bytes ours)
{
    char key[MR_VERSION_KEY_SIZE];
    key_of(commit, file, key);
    compare(commit, key, ours);
}

static enum persist_finding find_own_metadata(struct persist_commit *commit, const struct mr_buffer *body)
{
    struct mr_version stored;
    if (mr_bytes_equal(mr_buffer_view(body), mr_buffer_view(&commit->metadata))) {
        return PERSIST_FINDING_SAME;
    }
    const struct mr_error error = mr_version_decode(mr_buffer_view(body), &stored);
    if (mr_failed(error)) {
        memcpy(commit->detail, error.detail, sizeof commit->detail);
        return PERSIST_FINDING_BROKEN;
    }
    if (!persist_version_adoptable(&commit->version, &stored)) {
        (void)snprintf(commit->detail, sizeof commit->detail, "metadata.json of %s is another version's",
                       commit->version.version_id);
        return PERSIST_FINDING_DIFFERENT;
    }
    commit->version = stored;
    commit->record_hash = hash_of(body);
    record_of(commit)->record_hash = commit->record_hash;
    return PERSIST_FINDING_ADOPTED;
}

static void compare_metadata(struct persist_commit *commit)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    key_of(commit, "metadata.json", key);
    const struct mr_store_result result = mr_store_get(commit->store, key, &body);
    answer(commit, &result, result.outcome == MR_STORE_DONE ? find_own_metadata(commit, &body) : PERSIST_FINDING_NONE);
    mr_buffer_deinit(&body);
}

static struct mr_error build_audit(struct persist_commit *commit)
{
    struct mr_audit audit = {
        .counter = commit->version.counter,
        .content_hash = commit->version.content_hash,
        .record_hash = commit->record_hash,
        .commit_id = commit->version.commit_id,
        .observed_ms = mr_clock_wall_ms(&commit->clock),
    };
    memcpy(audit.model_id, commit->version.model_id, sizeof audit.model_id);
    memcpy(audit.version_id, commit->version.version_id, sizeof audit.version_id);
    mr_text_clean(commit->writer, audit.writer, sizeof audit.writer);
    mr_text_clean(commit->build, audit.build, sizeof audit.build);
    mr_key_audit(&audit, commit->audit_key);
    return mr_audit_encode(&audit, &commit->audit);
}

static void put_audit(struct persist_commit *commit)
{
    const struct mr_error error = commit->audit.size == 0 ? build_audit(commit) : mr_ok();
    if (mr_failed(error)) {
        answer_error(commit, error);
        return;
    }
    put(commit, commit->audit_key, mr_buffer_view(&commit->audit), if_absent);
}

static void swap_head(struct persist_commit *commit)
{
    char key[MR_VERSION_KEY_SIZE];
    const struct mr_head head = persist_head_of(&commit->version, &commit->record_hash);
    const struct mr_error error = commit->head_json.size == 0 ? mr_head_encode(&head, &commit->head_json) : mr_ok();
    if (mr_failed(error)) {
        answer_error(commit, error);
        return;
    }
    mr_key_head(commit->version.model_id, key);
    put(commit, key, mr_buffer_view(&commit->head_json), commit->swap);
}

/* ---- All ------------------------------------------------------------------------------------------------------ */

void persist_commit_perform(struct persist_commit *commit)
{
    char hash_text[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&commit->produced.content_hash, hash_text);
    memset(&commit->event, 0, sizeof commit->event);
    switch (commit->decision.kind) {
    case PERSIST_DECISION_READ_HEAD: read_head(commit); return;
    case PERSIST_DECISION_LIST_VERSIONS: list_versions(commit); return;
    case PERSIST_DECISION_READ_METADATA: read_metadata(commit); return;
    case PERSIST_DECISION_READ_SPOOL: read_spool(commit); return;
    case PERSIST_DECISION_PUT_CHECKPOINT: put_file(commit, "checkpoint.pb", mr_buffer_view(&commit->payload)); return;
    case PERSIST_DECISION_COMPARE_CHECKPOINT:
        compare_file(commit, "checkpoint.pb", mr_buffer_view(&commit->payload));
        return;
    case PERSIST_DECISION_PUT_HASH:
        mr_buffer_deinit(&commit->payload); /* it is stored */
        put_file(commit, "content_hash.txt", mr_bytes_of_text(hash_text));
        return;
    case PERSIST_DECISION_COMPARE_HASH: compare_file(commit, "content_hash.txt", mr_bytes_of_text(hash_text)); return;
    case PERSIST_DECISION_PUT_METADATA: put_file(commit, "metadata.json", mr_buffer_view(&commit->metadata)); return;
    case PERSIST_DECISION_COMPARE_METADATA: compare_metadata(commit); return;
    case PERSIST_DECISION_PUT_AUDIT: put_audit(commit); return;
    case PERSIST_DECISION_COMPARE_AUDIT: compare(commit, commit->audit_key, mr_buffer_view(&commit->audit)); return;
    case PERSIST_DECISION_SWAP_HEAD: swap_head(commit); return;
    case PERSIST_DECISION_WAIT:
    case PERSIST_DECISION_EMIT:
    case PERSIST_DECISION_ABANDON:
    case PERSIST_DECISION_STOP:
    case PERSIST_DECISION_REFUSE:
    case PERSIST_DECISION_FAULT: break;
    }
    mr_unreachable(__func__);
}

void persist_commit_remove_spool(struct persist_commit *commit)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_spool(commit->produced.model_id, &commit->produced.content_hash, key);
    const struct mr_store_result result = mr_store_remove(commit->store, key);
    answer(commit, &result, PERSIST_FINDING_NONE);
}

void persist_commit_free(struct persist_commit *commit)
{
    if (commit == NULL) {
        return;
    }
    mr_buffer_deinit(&commit->payload);
    mr_buffer_deinit(&commit->metadata);
    mr_buffer_deinit(&commit->audit);
    mr_buffer_deinit(&commit->head_json);
    free(commit);
}
