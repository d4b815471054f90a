#include "load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct mr_error corrupt(const struct mr_version *version, const char *what)
{
    return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "model \"%s\": version %s: %s", version->model_id,
                         version->version_id, what);
}

/* A record that another one names must be there: metadata is never deleted. */
static struct mr_error read_named(const struct load_target *target, const char *version_id,
                                  const struct mr_sha256 *record_hash, struct mr_version_entry *ret_entry)
{
    const struct mr_error error = mr_version_read(target->store, target->model_id, version_id, record_hash,
                                                  &ret_entry->version, &ret_entry->record_hash);
    if (mr_failed(error) && strcmp(error.code, "not_found") == 0) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0,
                             "model \"%s\": metadata.json of %s, which head's history names, is missing",
                             target->model_id, version_id);
    }
    return error;
}

struct mr_error load_look(const struct load_target *target, struct load_found *ret_found)
{
    bool some = false;
    if (target->choice.kind == MR_VERSION_HEAD) {
        MR_TRY(mr_head_read(target->store, target->model_id, &some, &ret_found->head, NULL));
        if (!some) {
            return mr_error_make(MR_ERROR_REJECT, "not_found", 0, "model \"%s\" has no version", target->model_id);
        }
        ret_found->counter = ret_found->head.counter;
        ret_found->record_hash = ret_found->head.record_hash;
        return mr_ok();
    }
    MR_TRY(mr_version_find(target->store, target->model_id, target->choice, &ret_found->entry));
    ret_found->counter = ret_found->entry.version.counter;
    ret_found->record_hash = ret_found->entry.record_hash;
    return mr_ok();
}

/* ---- Verification -------------------------------------------------------------------------------------- */

/* What metadata.json says of itself follows from its own fields. */
static struct mr_error check_identity(const struct mr_version *version)
{
    char version_id[MR_VERSION_ID_SIZE];
    struct mr_sha256 commit_id;
    mr_version_id(version->counter, &version->content_hash, version_id);
    MR_TRY(mr_commit_id(version, &commit_id));
    if (strcmp(version_id, version->version_id) != 0 || !mr_sha256_equal(&commit_id, &version->commit_id)) {
        return corrupt(version, "its id or commit id is not what its fields give");
    }
    return mr_ok();
}

/* head.json has no hash of its own: all of it must agree with the record that it names. */
static struct mr_error check_head(const struct mr_head *head, const struct mr_version *version)
{
    const struct mr_semver a = head->semantic_version, b = version->semantic_version;
    const bool same =
        head->counter == version->counter && head->step == version->step && a.major == b.major && a.minor == b.minor &&
        a.patch == b.patch && mr_sha256_equal(&head->content_hash, &version->content_hash) &&
        mr_sha256_equal(&head->commit_id, &version->commit_id) && strcmp(head->run_id, version->run_id) == 0 &&
        mr_position_equal(&head->position, &version->position);
    return same ? mr_ok() : corrupt(version, "head.json says something else of it than metadata.json");
}

/* From the version found down to the one served, each by the record hash that its child names. */
static struct mr_error check_history(const struct load_target *target, const struct mr_version *found,
                                     const struct mr_version_entry *served)
{
    struct mr_version_entry entry;
    entry.version = *found;
    while (entry.version.counter > served->version.counter + 1) {
        const struct mr_version child = entry.version;
        if (!child.has_parent) {
            return corrupt(&child, "it has no parent, and is not the first");
        }
        MR_TRY(read_named(target, child.parent_version_id, &child.parent_record_hash, &entry));
        if (entry.version.counter != child.counter - 1) {
            return corrupt(&child, "its counter is not its parent's plus one");
        }
    }
    if (!entry.version.has_parent || !mr_sha256_equal(&entry.version.parent_record_hash, &served->record_hash)) {
        return mr_error_make(MR_ERROR_REJECT, "forked", 0,
                             "model \"%s\": the history of head %s does not lead to %s, which is served",
                             target->model_id, found->version_id, served->version.version_id);
    }
    return mr_ok();
}

/* ---- Loading ------------------------------------------------------------------------------------------- */

static struct mr_error view_of_bytes(const struct mr_version_entry *entry, struct mr_bytes bytes,
                                     struct mr_view **ret_view)
{
    struct mr_checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    if (checkpoint == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a checkpoint");
    }
    struct mr_error error = mr_checkpoint_decode(bytes, checkpoint);
    if (!mr_failed(error) && strcmp(checkpoint->model_id, entry->version.model_id) != 0) {
        error = corrupt(&entry->version, "its checkpoint is of another model");
    }
    if (!mr_failed(error)) {
        error = view_new(entry, checkpoint, ret_view);
    }
    mr_checkpoint_deinit(checkpoint);
    free(checkpoint);
    return error;
}

static struct mr_error load_payload(const struct load_target *target, const struct mr_version_entry *entry,
                                    struct mr_view **ret_view)
{
    struct mr_buffer bytes = {0};
    struct mr_error error = mr_version_payload(target->store, &entry->version, &bytes);
    if (!mr_failed(error)) {
        error = bytes.size == entry->version.size
                    ? view_of_bytes(entry, mr_buffer_view(&bytes), ret_view)
                    : corrupt(&entry->version, "checkpoint.pb has another size than metadata.json says");
    }
    mr_buffer_deinit(&bytes);
    return error;
}

struct mr_error load_version(const struct load_target *target, const struct load_found *found,
                             const struct mr_version_entry *served, struct mr_view **ret_view)
{
    struct mr_version_entry entry = found->entry;
    if (target->choice.kind == MR_VERSION_HEAD) {
        MR_TRY(read_named(target, found->head.version_id, &found->head.record_hash, &entry));
        MR_TRY(check_head(&found->head, &entry.version));
    }
    MR_TRY(check_identity(&entry.version));
    if (served != NULL) {
        MR_TRY(check_history(target, &entry.version, served));
    }
    return load_payload(target, &entry, ret_view);
}
