#include "replay_fold.h"

#include "millrace/common/v1/common.pb-c.h"

#include <inttypes.h>
#include <string.h>

static struct mr_error log_gone(const char *why, uint64_t origin)
{
    return mr_error_make(MR_ERROR_REJECT, "log_gap", 0, "the log no longer has record %" PRIu64 " of the model: %s",
                         origin, why);
}

/* ---- Where it begins ----------------------------------------------------------------------------------- */

static struct mr_error hydrate(struct replay *replay)
{
    const struct mr_version_choice parent = {.kind = MR_VERSION_ID,
                                             .version_id = replay->target.version.parent_version_id};
    struct mr_buffer bytes = {0};
    struct mr_checkpoint checkpoint = {0};
    struct mr_error error = mr_version_load(replay->store, replay->model_id, parent, &bytes, &replay->base);
    if (!mr_failed(error)) {
        error = mr_checkpoint_decode(mr_buffer_view(&bytes), &checkpoint);
    }
    mr_buffer_deinit(&bytes);
    MR_TRY(error);
    error = train_fold_hydrate(&replay->fold, &checkpoint);
    mr_checkpoint_deinit(&checkpoint);
    MR_TRY(error);
    replay->has_base = true;
    replay->chain = (struct train_chain){.some = true, .last = replay->base.version.content_hash};
    return mr_ok();
}

/* Whether the log that the brokers have is the one that the version was made from. */
static struct mr_error check_log(struct replay *replay)
{
    const struct mr_deployment *deployment = &replay->session->deployment;
    const struct mr_position *at = &replay->target.version.position;
    const uint32_t partition = mr_partition_of(mr_bytes_of_text(replay->model_id), deployment->partitions);
    if (memcmp(at->log_id, deployment->log_id.bytes, MR_LOG_ID_SIZE) != 0 || at->partition != partition) {
        return mr_error_make(MR_ERROR_REJECT, "log_discontinuity", 0,
                             "version %s was made from another log, or another partition, than the brokers have",
                             replay->target.version.version_id);
    }
    if (!replay->has_base) {
        return mr_ok();
    }
    struct mr_log_id log_id;
    size_t place = 0;
    memcpy(log_id.bytes, replay->base.version.position.log_id, MR_LOG_ID_SIZE);
    if (!mr_deployment_place(deployment, &log_id, &place)) {
        return mr_error_make(MR_ERROR_REJECT, "log_discontinuity", 0,
                             "the parent %s was made from a log that this one does not follow",
                             replay->base.version.version_id);
    }
    /* Of a log that this one follows: every record here comes behind it. */
    const bool same_log = place == deployment->predecessor_count;
    replay->mark = (struct mr_mark){.some = same_log, .origin = same_log ? replay->base.version.position.offset : 0};
    return mr_ok();
}

static struct mr_error prepare(struct replay *replay)
{
    MR_TRY(mr_version_find(replay->store, replay->model_id, replay->choice, &replay->target));
    train_fold_init(&replay->fold, replay->ops, replay->engine, replay->model_id);
    replay->has_fold = true;
    if (replay->from_parent && replay->target.version.has_parent) {
        MR_TRY(hydrate(replay));
    }
    return check_log(replay);
}

/* ---- The log ------------------------------------------------------------------------------------------- */

/* Seals the checkpoint that a record gave. */
static struct mr_error seal(struct replay *replay, struct train_outcome *outcome)
{
    struct mr_buffer bytes = {0};
    const struct mr_error error = train_cut_seal(&outcome->cut, &replay->chain, &bytes);
    mr_buffer_deinit(&bytes);
    if (!mr_failed(error) && replay->reached) {
        replay->has_hash = true;
        replay->hash = replay->chain.last;
    }
    return error;
}

static struct mr_error fold(struct replay *replay, struct mr_bytes value)
{
    struct train_outcome outcome = {0};
    MR_TRY(train_fold_validated(&replay->fold, &replay->chain, replay->store, value, &outcome));
    replay->records++;
    replay->steps += outcome.what == TRAIN_DECISION_STEPPED ? 1 : 0;
    const struct mr_error error = outcome.has_cut ? seal(replay, &outcome) : mr_ok();
    train_outcome_deinit(&outcome);
    if (replay->tell != NULL) {
        replay->tell(replay);
    }
    return error;
}

/* A record of the model: folded in, dropped as a duplicate, or what shows that others are missing. */
static struct mr_error take(struct replay *replay, uint64_t origin, struct mr_mark prev, struct mr_bytes value)
{
    switch (mr_order_decide(replay->mark, origin, prev)) {
    case MR_ORDER_DUPLICATE: return mr_ok();
    case MR_ORDER_GAP: return log_gone("retention removed it, or it never came", prev.origin);
    case MR_ORDER_NEXT:
        if (origin > replay->target.version.position.offset) {
            return log_gone("the version's own position is missing", replay->target.version.position.offset);
        }
        replay->mark = (struct mr_mark){.some = true, .origin = origin};
        replay->reached = origin == replay->target.version.position.offset;
        return fold(replay, value);
    }
    mr_unreachable(__func__);
}

static struct mr_error take_record(struct replay *replay, const struct mr_log_record *record)
{
    Millrace__Common__V1__Stamped *wire =
        millrace__common__v1__stamped__unpack(NULL, record->value.size, record->value.data);
    const bool stamped = wire != NULL && wire->stamp != NULL && wire->stamp->origin != NULL;
    struct mr_error error = mr_ok();
    if (!stamped) {
        error = mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%s partition %" PRIu32 " offset %" PRIu64 ": no stamp",
                              record->topic, record->partition, record->offset);
    } else if (strcmp(wire->stamp->model_id, replay->model_id) == 0) {
        const Millrace__Common__V1__Offset *prev = wire->stamp->prev;
        const struct mr_mark before = {.some = prev != NULL, .origin = prev != NULL ? prev->value : 0};
        error = take(replay, wire->stamp->origin->offset, before, record->value);
    }
    if (wire != NULL) {
        millrace__common__v1__stamped__free_unpacked(wire, NULL);
    }
    return error;
}

static struct mr_error fold_log(struct replay *replay)
{
    struct cli_reader reader;
    MR_TRY(cli_reader_open(replay->session, MR_TOPIC_VALIDATED, replay->target.version.position.partition, 0, &reader));
    struct mr_error error = mr_ok();
    bool some = true;
    while (some && !replay->reached && !mr_failed(error)) {
        struct mr_log_record record;
        error = cli_reader_next(&reader, &some, &record);
        if (!mr_failed(error) && some) {
            error = take_record(replay, &record);
        }
    }
    cli_reader_close(&reader);
    if (!mr_failed(error) && !replay->reached) {
        return log_gone("the log ends before it", replay->target.version.position.offset);
    }
    return error;
}

/* ---- All of it ----------------------------------------------------------------------------------------- */

struct mr_error replay_run(struct replay *replay)
{
    MR_TRY(prepare(replay));
    return fold_log(replay);
}

bool replay_equal(const struct replay *replay)
{
    return replay->has_hash && mr_sha256_equal(&replay->hash, &replay->target.version.content_hash);
}

void replay_deinit(struct replay *replay)
{
    if (replay->has_fold) {
        train_fold_deinit(&replay->fold);
        replay->has_fold = false;
    }
}
