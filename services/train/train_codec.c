#include "train_codec.h"

#include <stdio.h>
#include <string.h>

#include "millrace/checkpoint/v1/checkpoint.pb-c.h"
#include "millrace/profile.h"
#include "millrace/step/v1/step.pb-c.h"
#include "millrace/version/v1/version.pb-c.h"
#include "millrace/wire.h"

/* ---- In ---------------------------------------------------------------------------------------------------- */

static struct mr_error lease_of(const Millrace__Batch__V1__Leased *leased, struct train_staged *staged)
{
    if (!mr_id_valid(mr_bytes_of_text(leased->run_id)) || strlen(leased->batch_id) > MR_ID_MAX) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt_record", 0, "a staged record: its run or batch has no valid id");
    }
    staged->leased = true;
    staged->run_id = leased->run_id;
    staged->batch_id = leased->batch_id;
    staged->rows = leased->rows;
    const Millrace__Batch__V1__Lease *lease = leased->lease;
    if (lease == NULL || lease->epoch.len != MR_EPOCH_SIZE) {
        return mr_ok();
    }
    staged->has_lease = true;
    staged->lease = (struct mr_lease){.block = lease->block,
                                      .generation = lease->generation,
                                      .offset = lease->offset,
                                      .length = lease->length,
                                      .checksum = lease->checksum};
    memcpy(staged->lease.epoch.bytes, lease->epoch.data, MR_EPOCH_SIZE);
    return mr_ok();
}

struct mr_error train_staged_decode(struct mr_bytes value, struct mr_arena *arena, struct train_staged *ret_staged)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Batch__V1__Staged *wire = millrace__batch__v1__staged__unpack(&allocator, value.size, value.data);
    if (wire == NULL) {
        return mr_wire_not_unpacked(&memory, "corrupt_record", "Staged");
    }
    struct train_staged staged = {.validated_offset = wire->validated_offset};
    switch (wire->body_case) {
    case MILLRACE__BATCH__V1__STAGED__BODY_VALIDATED: staged.validated = mr_wire_view(wire->validated); break;
    case MILLRACE__BATCH__V1__STAGED__BODY_LEASED: MR_TRY(lease_of(wire->leased, &staged)); break;
    case MILLRACE__BATCH__V1__STAGED__BODY__NOT_SET:
    case _MILLRACE__BATCH__V1__STAGED__BODY__CASE_IS_INT_SIZE:
        return mr_error_make(MR_ERROR_REJECT, "corrupt_record", 0, "a staged record: it has no body");
    }
    *ret_staged = staged;
    return mr_ok();
}

struct mr_error train_committed_decode(struct mr_bytes value, struct mr_arena *arena,
                                       struct train_committed *ret_committed)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Version__V1__VersionCommitted *wire =
        millrace__version__v1__version_committed__unpack(&allocator, value.size, value.data);
    if (wire == NULL) {
        return mr_wire_not_unpacked(&memory, "corrupt_record", "VersionCommitted");
    }
    if (wire->version == NULL || wire->version->content_hash.len != MR_SHA256_SIZE ||
        !mr_id_valid(mr_bytes_of_text(wire->version->model_id))) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt_record", 0, "a committed version: no model or content hash");
    }
    struct train_committed committed;
    snprintf(committed.model_id, sizeof committed.model_id, "%s", wire->version->model_id);
    memcpy(committed.content_hash.bytes, wire->version->content_hash.data, MR_SHA256_SIZE);
    *ret_committed = committed;
    return mr_ok();
}

/* ---- Steps -------------------------------------------------------------------------------------------------- */

/* The messages that a StepTrained may hold. */
struct step_parts {
    Millrace__Step__V1__RunOpened opened;
    Millrace__Step__V1__Stepped stepped;
    Millrace__Step__V1__Diverged diverged;
    Millrace__Step__V1__Skipped skipped;
    Millrace__Step__V1__RunClosed closed;
};

static void set_opened(Millrace__Step__V1__StepTrained *wire, struct step_parts *parts,
                       const struct train_record *record, const struct train_outcome *outcome)
{
    millrace__step__v1__run_opened__init(&parts->opened);
    parts->opened.spec = record->submitted->run_started->spec;
    parts->opened.parameters = outcome->parameters;
    wire->event_case = MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_OPENED;
    wire->run_opened = &parts->opened;
}

static void set_stepped(Millrace__Step__V1__StepTrained *wire, struct step_parts *parts, const char *batch_id,
                        const struct train_outcome *outcome)
{
    millrace__step__v1__stepped__init(&parts->stepped);
    parts->stepped.batch_id = mr_wire_text(batch_id);
    parts->stepped.loss = outcome->stepped.loss;
    parts->stepped.gradient_norm = outcome->stepped.gradient_norm;
    parts->stepped.learning_rate = outcome->stepped.learning_rate;
    parts->stepped.rows = outcome->stepped.rows;
    parts->stepped.samples = outcome->samples;
    wire->event_case = MILLRACE__STEP__V1__STEP_TRAINED__EVENT_STEPPED;
    wire->stepped = &parts->stepped;
}

static void set_closed(Millrace__Step__V1__StepTrained *wire, struct step_parts *parts,
                       Millrace__Run__V1__RunOutcome outcome, const char *reason)
{
    millrace__step__v1__run_closed__init(&parts->closed);
    parts->closed.outcome = outcome;
    parts->closed.reason = mr_wire_text(reason);
    wire->event_case = MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_CLOSED;
    wire->run_closed = &parts->closed;
}

struct mr_error train_step_encode(const struct mr_stage_stamp *stamp, const struct train_record *record,
                                  const char *run_id, const char *batch_id, const struct train_outcome *outcome,
                                  struct mr_arena *arena, struct mr_bytes *ret_value)
{
    Millrace__Step__V1__StepTrained wire;
    struct mr_wire_stamp wire_stamp;
    struct step_parts parts;
    millrace__step__v1__step_trained__init(&wire);
    mr_wire_stamp_init(&wire_stamp, stamp);
    wire.stamp = &wire_stamp.message;
    wire.run_id = mr_wire_text(run_id);
    wire.step = outcome->step;
    switch (outcome->what) {
    case TRAIN_DECISION_RUN_OPENED: set_opened(&wire, &parts, record, outcome); break;
    case TRAIN_DECISION_RUN_REFUSED:
        set_closed(&wire, &parts, MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_FAILED, outcome->refusal);
        break;
    case TRAIN_DECISION_STEPPED: set_stepped(&wire, &parts, batch_id, outcome); break;
    case TRAIN_DECISION_DIVERGED:
        millrace__step__v1__diverged__init(&parts.diverged);
        parts.diverged.batch_id = mr_wire_text(batch_id);
        parts.diverged.reason = mr_wire_text(mr_diverged_reason_text(outcome->stepped.reason));
        wire.event_case = MILLRACE__STEP__V1__STEP_TRAINED__EVENT_DIVERGED;
        wire.diverged = &parts.diverged;
        break;
    case TRAIN_DECISION_SKIPPED:
        millrace__step__v1__skipped__init(&parts.skipped);
        parts.skipped.batch_id = mr_wire_text(batch_id);
        wire.event_case = MILLRACE__STEP__V1__STEP_TRAINED__EVENT_SKIPPED;
        wire.skipped = &parts.skipped;
        break;
    case TRAIN_DECISION_RUN_CLOSED:
        set_closed(&wire, &parts, record->submitted->run_stopped->outcome, record->submitted->run_stopped->reason);
        break;
    case TRAIN_DECISION_OPEN_RUN:
    case TRAIN_DECISION_STEP:
    case TRAIN_DECISION_FAULT: mr_unreachable(__func__);
    }
    return mr_wire_pack(&wire.base, arena, ret_value);
}

/* ---- Checkpoint events ---------------------------------------------------------------------------------------- */

struct train_produced train_produced_of(const struct train_cut *cut, int64_t event_time_ms)
{
    const struct mr_checkpoint *checkpoint = &cut->checkpoint;
    const struct mr_run_spec *spec = &checkpoint->spec;
    struct train_produced produced = {
        .step = checkpoint->step,
        .samples = checkpoint->samples,
        .applied = checkpoint->applied,
        .bump = spec->version_bump,
        .event_time_ms = event_time_ms,
        .loss = cut->loss,
        .gradient_norm = cut->gradient_norm,
        .restarted = spec->restarts,
    };
    const struct mr_message_facts facts = {.run_id = checkpoint->run_id,
                                           .model_id = checkpoint->model_id,
                                           .batch_id = cut->batch_id,
                                           .step = checkpoint->step,
                                           .loss = cut->loss};
    mr_message_render(spec->message_template, &facts, produced.message);
    memcpy(produced.run_id, checkpoint->run_id, sizeof produced.run_id);
    if (spec->restarts) {
        memcpy(produced.restarted_version_id, spec->restart_from.version_id, sizeof produced.restarted_version_id);
        produced.restarted_content_hash = spec->restart_from.content_hash;
    }
    return produced;
}

static Millrace__Run__V1__VersionBump wire_bump(enum mr_bump bump)
{
    switch (bump) {
    case MR_BUMP_PATCH: return MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_PATCH;
    case MR_BUMP_MINOR: return MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_MINOR;
    case MR_BUMP_MAJOR: return MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_MAJOR;
    }
    mr_unreachable(__func__);
}

struct mr_error train_produced_encode(const struct mr_stage_stamp *stamp, const struct train_produced *produced,
                                      struct mr_arena *arena, struct mr_bytes *ret_value)
{
    Millrace__Checkpoint__V1__CheckpointProduced wire;
    Millrace__Run__V1__RestartFrom restart;
    struct mr_wire_stamp wire_stamp;
    char key[MR_VERSION_KEY_SIZE];
    millrace__checkpoint__v1__checkpoint_produced__init(&wire);
    millrace__run__v1__restart_from__init(&restart);
    mr_wire_stamp_init(&wire_stamp, stamp);
    mr_key_spool(stamp->model_id, &produced->content_hash, key);
    wire.stamp = &wire_stamp.message;
    wire.run_id = mr_wire_text(produced->run_id);
    wire.step = produced->step;
    wire.content_hash = mr_wire_lend_hash(&produced->content_hash);
    wire.size = produced->size;
    wire.spool_key = key;
    if (produced->has_previous) {
        wire.previous = mr_wire_lend_hash(&produced->previous);
    }
    wire.arithmetic_profile = mr_wire_text(MR_PROFILE_NAME);
    wire.message = mr_wire_text(produced->message);
    wire.version_bump = wire_bump(produced->bump);
    wire.event_time_ms = produced->event_time_ms;
    wire.loss = produced->loss;
    wire.gradient_norm = produced->gradient_norm;
    wire.samples = produced->samples;
    wire.applied = produced->applied;
    if (produced->restarted) {
        restart.version_id = mr_wire_text(produced->restarted_version_id);
        restart.content_hash = mr_wire_lend_hash(&produced->restarted_content_hash);
        wire.restarted_from = &restart;
    }
    return mr_wire_pack(&wire.base, arena, ret_value);
}
