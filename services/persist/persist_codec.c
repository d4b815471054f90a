#include "persist_codec.h"

#include "millrace/checkpoint/v1/checkpoint.pb-c.h"
#include "millrace/version/v1/version.pb-c.h"
#include "millrace/wire.h"

#include <string.h>

/* ---- In -------------------------------------------------------------------------------------------------- */

static struct mr_error unreadable(const char *field)
{
    return mr_error_make(MR_ERROR_REJECT, "unreadable", 0, "CheckpointProduced: field %s is missing or wrong", field);
}

static bool read_id(const char *text, char ret_id[MR_ID_SIZE])
{
    if (!mr_id_valid(mr_bytes_of_text(text))) {
        return false;
    }
    memcpy(ret_id, text, strlen(text) + 1);
    return true;
}

static bool read_hash(ProtobufCBinaryData data, struct mr_sha256 *ret_hash)
{
    if (data.len != sizeof ret_hash->bytes) {
        return false;
    }
    memcpy(ret_hash->bytes, data.data, data.len);
    return true;
}

static bool read_stamp(const Millrace__Common__V1__Stamp *stamp, struct persist_produced *produced)
{
    if (stamp == NULL || stamp->origin == NULL || stamp->origin->log_id.len != sizeof produced->position.log_id ||
        stamp->origin->offset > INT64_MAX || !read_id(stamp->model_id, produced->model_id)) {
        return false;
    }
    memcpy(produced->position.log_id, stamp->origin->log_id.data, sizeof produced->position.log_id);
    produced->position.partition = stamp->origin->partition;
    produced->position.offset = stamp->origin->offset;
    return true;
}

/* A generated enum: values may be unknown here, so this is a chain with a stated end. */
static bool read_bump(Millrace__Run__V1__VersionBump bump, enum mr_bump *ret_bump)
{
    if (bump == MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_PATCH ||
        bump == MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_UNSPECIFIED) {
        *ret_bump = MR_BUMP_PATCH;
    } else if (bump == MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_MINOR) {
        *ret_bump = MR_BUMP_MINOR;
    } else if (bump == MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_MAJOR) {
        *ret_bump = MR_BUMP_MAJOR;
    } else {
        return false;
    }
    return true;
}

static bool read_restart(const Millrace__Run__V1__RestartFrom *from, struct persist_produced *produced)
{
    uint64_t counter = 0;
    produced->has_restarted_from = from != NULL;
    if (from == NULL) {
        return true;
    }
    if (!mr_version_id_parse(from->version_id, &counter) ||
        !read_hash(from->content_hash, &produced->restarted_content_hash)) {
        return false;
    }
    memcpy(produced->restarted_version_id, from->version_id, strlen(from->version_id) + 1);
    return true;
}

/* NULL, or the first field that is wrong. */
static const char *wrong_field(const Millrace__Checkpoint__V1__CheckpointProduced *wire,
                               struct persist_produced *produced)
{
    char spool_key[MR_VERSION_KEY_SIZE];
    if (!read_stamp(wire->stamp, produced)) {
        return "stamp";
    }
    if (!read_id(wire->run_id, produced->run_id)) {
        return "run_id";
    }
    if (!read_hash(wire->content_hash, &produced->content_hash)) {
        return "content_hash";
    }
    mr_key_spool(produced->model_id, &produced->content_hash, spool_key);
    if (strcmp(wire->spool_key, spool_key) != 0) {
        return "spool_key";
    }
    produced->has_previous = wire->previous.len != 0;
    if (produced->has_previous && !read_hash(wire->previous, &produced->previous)) {
        return "previous";
    }
    if (wire->size > INT64_MAX || wire->step > INT64_MAX || wire->samples > INT64_MAX || wire->applied > INT64_MAX) {
        return "size, step, samples or applied";
    }
    if (wire->arithmetic_profile[0] == '\0' || strlen(wire->arithmetic_profile) >= MR_VERSION_PROFILE_SIZE) {
        return "arithmetic_profile";
    }
    if (!read_bump(wire->version_bump, &produced->bump)) {
        return "version_bump";
    }
    return read_restart(wire->restarted_from, produced) ? NULL : "restarted_from";
}

struct mr_error persist_produced_decode(struct mr_bytes value, struct mr_arena *arena,
                                        struct persist_produced *ret_produced)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Checkpoint__V1__CheckpointProduced *wire =
        millrace__checkpoint__v1__checkpoint_produced__unpack(&allocator, value.size, value.data);
    if (wire == NULL) {
        return mr_wire_not_unpacked(&memory, "unreadable", "CheckpointProduced");
    }
    struct persist_produced produced = {
        .size = wire->size,
        .step = wire->step,
        .samples = wire->samples,
        .applied = wire->applied,
        .event_time_ms = wire->event_time_ms,
        .loss = wire->loss,
        .gradient_norm = wire->gradient_norm,
    };
    const char *wrong = wrong_field(wire, &produced);
    if (wrong != NULL) {
        return unreadable(wrong);
    }
    mr_text_clean(wire->arithmetic_profile, produced.arithmetic_profile, sizeof produced.arithmetic_profile);
    mr_text_clean(wire->message, produced.message, sizeof produced.message);
    *ret_produced = produced;
    return mr_ok();
}

/* False: not of the deployment. */
static bool place_of(const struct mr_position *position, const struct mr_deployment *deployment,
                     struct persist_place *ret_place)
{
    struct mr_log_id log_id;
    size_t epoch = 0;
    memcpy(log_id.bytes, position->log_id, sizeof log_id.bytes);
    if (!mr_deployment_place(deployment, &log_id, &epoch)) {
        return false;
    }
    *ret_place = (struct persist_place){.epoch = epoch, .offset = position->offset};
    return true;
}

struct persist_checkpoint persist_checkpoint_of(const struct persist_produced *produced, bool has_prev, uint64_t prev,
                                                const struct mr_deployment *deployment)
{
    struct persist_checkpoint checkpoint = {
        .content_hash = produced->content_hash,
        .has_previous = produced->has_previous,
        .previous = produced->previous,
        .has_prev_origin = has_prev,
        .prev_origin = prev,
    };
    checkpoint.foreign_log = !place_of(&produced->position, deployment, &checkpoint.position);
    return checkpoint;
}

/* ---- What it becomes --------------------------------------------------------------------------------------- */

struct mr_error persist_version_build(const struct persist_produced *produced, const struct mr_head *base,
                                      struct mr_version *ret_version)
{
    struct mr_version version = {
        .counter = base == NULL ? 0 : base->counter + 1,
        .semantic_version = base == NULL ? mr_semver_genesis() : mr_semver_bump(base->semantic_version, produced->bump),
        .content_hash = produced->content_hash,
        .size = produced->size,
        .step = produced->step,
        .samples = produced->samples,
        .applied = produced->applied,
        .position = produced->position,
        .event_time_ms = produced->event_time_ms,
        .loss = produced->loss,
        .gradient_norm = produced->gradient_norm,
        .has_parent = base != NULL,
        .has_restarted_from = produced->has_restarted_from,
        .restarted_content_hash = produced->restarted_content_hash,
    };
    memcpy(version.model_id, produced->model_id, sizeof version.model_id);
    memcpy(version.run_id, produced->run_id, sizeof version.run_id);
    memcpy(version.message, produced->message, sizeof version.message);
    memcpy(version.arithmetic_profile, produced->arithmetic_profile, sizeof version.arithmetic_profile);
    memcpy(version.restarted_version_id, produced->restarted_version_id, sizeof version.restarted_version_id);
    mr_version_id(version.counter, &version.content_hash, version.version_id);
    if (base != NULL) {
        memcpy(version.parent_version_id, base->version_id, sizeof version.parent_version_id);
        version.parent_record_hash = base->record_hash;
    }
    MR_TRY(mr_commit_id(&version, &version.commit_id));
    *ret_version = version;
    return mr_ok();
}

bool persist_version_adoptable(const struct mr_version *ours, const struct mr_version *stored)
{
    /* The commit id covers the parent's record hash, run, step, position and content. */
    return strcmp(ours->model_id, stored->model_id) == 0 && strcmp(ours->version_id, stored->version_id) == 0 &&
           ours->counter == stored->counter && ours->size == stored->size &&
           mr_sha256_equal(&ours->content_hash, &stored->content_hash) &&
           mr_sha256_equal(&ours->commit_id, &stored->commit_id) &&
           mr_position_equal(&ours->position, &stored->position) && ours->has_parent == stored->has_parent &&
           strcmp(ours->parent_version_id, stored->parent_version_id) == 0 &&
           mr_sha256_equal(&ours->parent_record_hash, &stored->parent_record_hash);
}

/* ---- Records ----------------------------------------------------------------------------------------------- */

_Static_assert((int)PERSIST_VERSION_ID_SIZE == (int)MR_VERSION_ID_SIZE,
               "the core's version ids are those of versions.h");

bool persist_record_of_head(const struct mr_head *head, const struct mr_deployment *deployment,
                            struct persist_record *ret_record)
{
    struct persist_record record = {
        .counter = head->counter, .content_hash = head->content_hash, .record_hash = head->record_hash};
    memcpy(record.version_id, head->version_id, sizeof record.version_id);
    if (!place_of(&head->position, deployment, &record.position)) {
        return false;
    }
    *ret_record = record;
    return true;
}

bool persist_record_of_version(const struct mr_version *version, const struct mr_sha256 *record_hash,
                               const struct mr_deployment *deployment, struct persist_record *ret_record)
{
    struct persist_record record = {
        .counter = version->counter,
        .content_hash = version->content_hash,
        .record_hash = *record_hash,
        .has_parent = version->has_parent,
        .parent_record_hash = version->parent_record_hash,
    };
    memcpy(record.version_id, version->version_id, sizeof record.version_id);
    memcpy(record.parent_version_id, version->parent_version_id, sizeof record.parent_version_id);
    if (!place_of(&version->position, deployment, &record.position)) {
        return false;
    }
    *ret_record = record;
    return true;
}

/* ---- Out ----------------------------------------------------------------------------------------------------- */

struct mr_error persist_committed_encode(const struct mr_version *version, const struct mr_sha256 *record_hash,
                                         const struct mr_stage_stamp *stamp, struct mr_arena *arena,
                                         struct mr_bytes *ret_value)
{
    char semantic_version[MR_SEMVER_SIZE];
    struct mr_wire_stamp wire_stamp;
    Millrace__Common__V1__Origin position;
    Millrace__Version__V1__Version wire;
    Millrace__Version__V1__VersionCommitted committed;
    millrace__common__v1__origin__init(&position);
    millrace__version__v1__version__init(&wire);
    millrace__version__v1__version_committed__init(&committed);
    mr_wire_stamp_init(&wire_stamp, stamp);
    mr_semver_text(version->semantic_version, semantic_version);
    position.log_id = mr_wire_lend(mr_bytes_of(version->position.log_id, sizeof version->position.log_id));
    position.partition = version->position.partition;
    position.offset = version->position.offset;
    wire.model_id = mr_wire_text(version->model_id);
    wire.version_id = mr_wire_text(version->version_id);
    wire.counter = version->counter;
    wire.semantic_version = semantic_version;
    wire.content_hash = mr_wire_lend_hash(&version->content_hash);
    wire.record_hash = mr_wire_lend_hash(record_hash);
    wire.size = version->size;
    wire.run_id = mr_wire_text(version->run_id);
    wire.step = version->step;
    wire.position = &position;
    if (version->has_parent) {
        wire.parent_version_id = mr_wire_text(version->parent_version_id);
        wire.parent_record_hash = mr_wire_lend_hash(&version->parent_record_hash);
    }
    wire.commit_id = mr_wire_lend_hash(&version->commit_id);
    wire.message = mr_wire_text(version->message);
    wire.event_time_ms = version->event_time_ms;
    wire.loss = version->loss;
    wire.gradient_norm = version->gradient_norm;
    wire.samples = version->samples;
    wire.arithmetic_profile = mr_wire_text(version->arithmetic_profile);
    if (version->has_restarted_from) {
        wire.restarted_from = mr_wire_text(version->restarted_version_id);
    }
    committed.stamp = &wire_stamp.message;
    committed.version = &wire;
    return mr_wire_pack(&committed.base, arena, ret_value);
}
