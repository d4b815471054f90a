#include "cli_version.h"

#include <math.h>

json_t *cli_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *cli_json_text(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_null();
}

static json_t *hash_json(const struct mr_sha256 *hash)
{
    char text[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(hash, text);
    return json_string(text);
}

static json_t *position_json(const struct mr_position *position)
{
    char log_id[2 * MR_POSITION_LOG_ID_SIZE + 1];
    mr_hex(mr_bytes_of(position->log_id, MR_POSITION_LOG_ID_SIZE), log_id);
    return json_pack("{s:s, s:I, s:I}", "log_id", log_id, "partition", (json_int_t)position->partition, "offset",
                     (json_int_t)position->offset);
}

json_t *cli_version_json(const struct mr_version_entry *entry)
{
    const struct mr_version *version = &entry->version;
    char semantic[MR_SEMVER_SIZE];
    mr_semver_text(version->semantic_version, semantic);
    return json_pack(
        "{s:s, s:s, s:I, s:s, s:o, s:o, s:o, s:I, s:s, s:I, s:I, s:o, s:I, s:o, s:o, s:o, s:s, s:o, s:o}", "model_id",
        version->model_id, "version_id", version->version_id, "counter", (json_int_t)version->counter,
        "semantic_version", semantic, "content_hash", hash_json(&version->content_hash), "record_hash",
        hash_json(&entry->record_hash), "commit_id", hash_json(&version->commit_id), "size", (json_int_t)version->size,
        "run_id", version->run_id, "step", (json_int_t)version->step, "samples", (json_int_t)version->samples,
        "position", position_json(&version->position), "event_time_ms", (json_int_t)version->event_time_ms, "message",
        cli_json_text(version->message), "loss", cli_json_real((double)version->loss), "gradient_norm",
        cli_json_real((double)version->gradient_norm), "arithmetic_profile", version->arithmetic_profile,
        "parent_version_id", version->has_parent ? cli_json_text(version->parent_version_id) : json_null(),
        "restarted_from", version->has_restarted_from ? cli_json_text(version->restarted_version_id) : json_null());
}

struct mr_error cli_version_choice(const char *text, struct mr_version_choice *ret_choice)
{
    if (!mr_version_choice_parse(text, ret_choice)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_version", 0,
                             "--version=%.60s: expected head, a counter, or a version id as store list-versions prints",
                             text);
    }
    return mr_ok();
}
