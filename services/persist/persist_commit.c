#include "persist_commit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mr_store_condition if_absent = {.kind = MR_STORE_IF_ABSENT};

static void note(struct persist_part *part, const struct mr_store_result *result)
{
    if (result->outcome != MR_STORE_DONE) {
        memcpy(part->detail, result->detail, sizeof part->detail);
    }
}

static void answer(struct persist_commit *commit, const struct mr_store_result *result, enum persist_finding finding)
{
    note(&commit->parts[0], result);
    commit->event.kind = PERSIST_EVENT_ANSWERED;
    commit->event.of.answered.answer = (struct persist_answer){result->outcome, finding};
}

/* What could not be built for want of memory: nothing was asked, nothing is there yet. */
static struct mr_store_result not_asked(struct mr_error error)
{
    struct mr_store_result result = {.outcome = MR_STORE_UNAVAILABLE, .native = error.native};
    memcpy(result.detail, error.detail, sizeof result.detail);
    return result;
}

static void answer_error(struct persist_commit *commit, struct mr_error error)
{
    const struct mr_store_result result = not_asked(error);
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
        memcpy(commit->parts[0].detail, error.detail, sizeof commit->parts[0].detail);
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
        (void)snprintf(commit->parts[0].detail, sizeof commit->parts[0].detail,
                       "metadata.json of %s is not what its child or head names", version_id);
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

/* An answer that is not DONE is asked for again when the payload is needed. */
static struct mr_store_result fetch_spool(struct persist_commit *commit)
{
    char key[MR_VERSION_KEY_SIZE];
    commit->payload.size = 0;
    mr_key_spool(commit->produced.model_id, &commit->produced.content_hash, key);
    const struct mr_store_result result = mr_store_get(commit->store, key, &commit->payload);
    commit->has_payload = result.outcome == MR_STORE_DONE;
    return result;
}

static void read_spool(struct persist_commit *commit)
{
    const struct mr_store_result result =
        commit->has_payload ? (struct mr_store_result){.outcome = MR_STORE_DONE} : fetch_spool(commit);
    if (result.outcome != MR_STORE_DONE) {
        answer(commit, &result, PERSIST_FINDING_NONE);
        return;
    }
    const struct mr_sha256 hash = hash_of(&commit->payload);
    if (!mr_sha256_equal(&hash, &commit->produced.content_hash) || commit->payload.size != commit->produced.size) {
        char text[MR_SHA256_TEXT_SIZE];
        mr_sha256_text(&commit->produced.content_hash, text);
        (void)snprintf(commit->parts[0].detail, sizeof commit->parts[0].detail,
                       "spool/%s.pb: not the bytes that its event names", text);
        commit->has_payload = false;
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

/* ---- The objects of a version ---------------------------------------------------------------------------------- */

/* The name and bytes of one, which are built by now. */
struct object {
    char key[MR_VERSION_KEY_SIZE];
    struct mr_bytes body;
};

static void object_of(const struct persist_commit *commit, size_t index, char hash_text[MR_SHA256_TEXT_SIZE],
                      struct object *ret_object)
{
    switch (index) {
    case PERSIST_CHECKPOINT:
        key_of(commit, "checkpoint.pb", ret_object->key);
        ret_object->body = mr_buffer_view(&commit->payload);
        return;
    case PERSIST_HASH:
        key_of(commit, "content_hash.txt", ret_object->key);
        mr_sha256_text(&commit->produced.content_hash, hash_text);
        ret_object->body = mr_bytes_of_text(hash_text);
        return;
    case PERSIST_METADATA:
        key_of(commit, "metadata.json", ret_object->key);
        ret_object->body = mr_buffer_view(&commit->metadata);
        return;
    case PERSIST_AUDIT:
        memcpy(ret_object->key, commit->audit_key, sizeof ret_object->key);
        ret_object->body = mr_buffer_view(&commit->audit);
        return;
    default: mr_unreachable(__func__);
    }
}

static enum persist_finding find_metadata_of_ours(struct persist_commit *commit, struct mr_bytes body)
{
    struct persist_part *part = &commit->parts[PERSIST_METADATA];
    const struct mr_error error = mr_version_decode(body, &commit->stored);
    if (mr_failed(error)) {
        memcpy(part->detail, error.detail, sizeof part->detail);
        return PERSIST_FINDING_BROKEN;
    }
    if (!persist_version_adoptable(&commit->version, &commit->stored)) {
        (void)snprintf(part->detail, sizeof part->detail, "metadata.json of %s is another version's",
                       commit->version.version_id);
        return PERSIST_FINDING_DIFFERENT;
    }
    commit->event.of.stored.adopted = mr_sha256_of(body);
    return PERSIST_FINDING_ADOPTED;
}

static void compare_object(struct persist_commit *commit, size_t index, const struct object *ours)
{
    struct persist_part *part = &commit->parts[index];
    struct persist_answer *ret_answer = &commit->event.of.stored.answers[index];
    struct mr_buffer body = {0};
    const struct mr_store_result result = mr_store_get(commit->store, ours->key, &body);
    note(part, &result);
    *ret_answer = (struct persist_answer){result.outcome, PERSIST_FINDING_NONE};
    if (result.outcome == MR_STORE_DONE && mr_bytes_equal(mr_buffer_view(&body), ours->body)) {
        ret_answer->finding = PERSIST_FINDING_SAME;
    } else if (result.outcome == MR_STORE_DONE && index == PERSIST_METADATA) {
        ret_answer->finding = find_metadata_of_ours(commit, mr_buffer_view(&body));
    } else if (result.outcome == MR_STORE_DONE) {
        (void)snprintf(part->detail, sizeof part->detail, "%.120s holds other bytes than this version's", ours->key);
        ret_answer->finding = PERSIST_FINDING_DIFFERENT;
    }
    mr_buffer_deinit(&body);
}

static void store_object(struct persist_commit *commit, size_t index)
{
    char hash_text[MR_SHA256_TEXT_SIZE];
    struct object ours;
    object_of(commit, index, hash_text, &ours);
    if (commit->decision.of.store.tasks[index] == PERSIST_TASK_COMPARE) {
        compare_object(commit, index, &ours);
        return;
    }
    const bool unbuilt = index == PERSIST_AUDIT && mr_failed(commit->unbuilt);
    const struct mr_store_result result =
        unbuilt ? not_asked(commit->unbuilt) : mr_store_put(commit->store, ours.key, ours.body, if_absent);
    note(&commit->parts[index], &result);
    commit->event.of.stored.answers[index] = (struct persist_answer){result.outcome, PERSIST_FINDING_NONE};
}

/* An entry that is not put by then is of now, so that no other has its name. */
static struct mr_error build_audit(struct persist_commit *commit)
{
    const int64_t now_ms = mr_clock_wall_ms(&commit->clock);
    commit->audited_ms = now_ms > commit->audited_ms ? now_ms : commit->audited_ms + 1;
    struct mr_audit audit = {
        .counter = commit->version.counter,
        .content_hash = commit->version.content_hash,
        .record_hash = commit->record_hash,
        .commit_id = commit->version.commit_id,
        .observed_ms = commit->audited_ms,
    };
    memcpy(audit.model_id, commit->version.model_id, sizeof audit.model_id);
    memcpy(audit.version_id, commit->version.version_id, sizeof audit.version_id);
    mr_text_clean(commit->writer, audit.writer, sizeof audit.writer);
    mr_text_clean(commit->build, audit.build, sizeof audit.build);
    mr_key_audit(&audit, commit->audit_key);
    return mr_audit_encode(&audit, &commit->audit);
}

/* Of all parts. Another audit entry is needed when what it names was adopted, or when its name is taken. */
static void finish_store(struct persist_commit *commit)
{
    const enum persist_task *tasks = commit->decision.of.store.tasks;
    const struct persist_answer *answers = commit->event.of.stored.answers;
    const bool adopted =
        tasks[PERSIST_METADATA] == PERSIST_TASK_COMPARE && answers[PERSIST_METADATA].finding == PERSIST_FINDING_ADOPTED;
    if (adopted) {
        commit->version = commit->stored;
        commit->record_hash = commit->event.of.stored.adopted;
    }
    if (adopted ||
        (tasks[PERSIST_AUDIT] == PERSIST_TASK_COMPARE && answers[PERSIST_AUDIT].finding == PERSIST_FINDING_DIFFERENT)) {
        commit->audit.size = 0;
    }
}

/* ---- The swap ---------------------------------------------------------------------------------------------------- */

static struct mr_error build_head(struct persist_commit *commit)
{
    const struct mr_head head = mr_head_of(&commit->version, &commit->record_hash);
    return mr_head_encode(&head, &commit->head_json);
}

static void swap_head(struct persist_commit *commit)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_head(commit->version.model_id, key);
    const struct mr_store_result result =
        mr_failed(commit->unbuilt) ? not_asked(commit->unbuilt)
                                   : mr_store_put(commit->store, key, mr_buffer_view(&commit->head_json), commit->swap);
    answer(commit, &result, PERSIST_FINDING_NONE);
}

/* ---- All ------------------------------------------------------------------------------------------------------ */

void persist_commit_prepare(struct persist_commit *commit)
{
    memset(&commit->event, 0, sizeof commit->event);
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        commit->parts[i].detail[0] = '\0';
    }
    commit->unbuilt = mr_ok();
    if (commit->decision.kind == PERSIST_DECISION_STORE) {
        commit->event.kind = PERSIST_EVENT_STORED;
        commit->unbuilt = commit->audit.size == 0 ? build_audit(commit) : mr_ok();
    } else if (commit->decision.kind == PERSIST_DECISION_SWAP_HEAD) {
        persist_commit_forget_payload(commit); /* it is stored */
        commit->unbuilt = commit->head_json.size == 0 ? build_head(commit) : mr_ok();
    }
}

bool persist_commit_has_part(const struct persist_commit *commit, size_t part)
{
    const struct persist_decision *decision = &commit->decision;
    return decision->kind == PERSIST_DECISION_STORE       ? decision->of.store.tasks[part] != PERSIST_TASK_NONE
           : decision->kind == PERSIST_DECISION_READ_HEAD ? part < (decision->of.read_head.and_spool ? 2 : 1)
                                                          : part == 0;
}

void persist_commit_perform(struct persist_commit *commit, size_t part)
{
    switch (commit->decision.kind) {
    case PERSIST_DECISION_READ_HEAD:
        if (part == 0) {
            read_head(commit);
        } else {
            (void)fetch_spool(commit);
        }
        return;
    case PERSIST_DECISION_LIST_VERSIONS: list_versions(commit); return;
    case PERSIST_DECISION_READ_METADATA: read_metadata(commit); return;
    case PERSIST_DECISION_READ_SPOOL: read_spool(commit); return;
    case PERSIST_DECISION_STORE: store_object(commit, part); return;
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

void persist_commit_finish(struct persist_commit *commit)
{
    for (size_t i = PERSIST_OBJECTS; i-- > 0;) {
        if (commit->parts[i].detail[0] != '\0') {
            memcpy(commit->detail, commit->parts[i].detail, sizeof commit->detail);
        }
    }
    if (commit->decision.kind == PERSIST_DECISION_STORE) {
        finish_store(commit);
    }
}

void persist_commit_forget_payload(struct persist_commit *commit)
{
    mr_buffer_deinit(&commit->payload);
    commit->has_payload = false;
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
    persist_commit_forget_payload(commit);
    mr_buffer_deinit(&commit->metadata);
    mr_buffer_deinit(&commit->audit);
    mr_buffer_deinit(&commit->head_json);
    free(commit);
}
