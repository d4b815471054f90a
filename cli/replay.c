/* millrace replay: trains a version again from the log, by train's own fold, and compares content hashes. */
#include "cli_session.h"
#include "cli_version.h"

#include "train_record.h"

#include "millrace/clock.h"
#include "millrace/common/v1/common.pb-c.h"
#include "millrace/engine.h"
#include "millrace/order.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TELL_US = 1000000 };

struct replay_config {
    struct cli_brokers brokers;
    const char *store, *model, *version, *from, *device, *format;
    uint64_t threads;
};
#define TYPE struct replay_config
static const struct mr_option rows[] = {
    CLI_ROWS_BROKERS(TYPE),
    CLI_ROW_TEXT(TYPE, "store", store, NULL, "Object store: file:///dir."),
    CLI_ROW_TEXT(TYPE, "model", model, NULL, "Model id."),
    CLI_ROW_TEXT(TYPE, "version", version, "head", "head, a counter, or a version id."),
    CLI_ROW(TYPE, "from", from, MR_OPTION_CHOICE, "parent", 0, 0, "parent|genesis",
            "Begin with the parent's checkpoint, or with the first record of the model."),
    CLI_ROW_TEXT(TYPE, "device", device, "cpu", "cpu or cuda:N; the bits are the same."),
    CLI_ROW_COUNT(TYPE, "threads", threads, "1", 1, MR_ENGINE_THREADS_MAX, "Threads; the bits are the same."),
    CLI_ROW_FORMAT(TYPE),
};
static const struct mr_option_table table = {
    "millrace replay", "Train a version again from the log and compare hashes.", rows, MR_COUNT_OF(rows)};

struct replay {
    const struct replay_config *config;
    struct mr_clock clock;
    int64_t told_us;
    struct cli_session session;
    struct mr_store *store;
    const struct mr_engine_ops *ops;
    struct mr_engine *engine;
    bool has_fold;
    struct train_fold fold;
    struct train_chain chain;
    struct mr_version_entry target, base;
    bool has_base;       /* it begins with the base's checkpoint */
    struct mr_mark mark; /* the last record that is folded in */
    uint64_t records, steps;
    bool reached, has_hash;
    struct mr_sha256 hash; /* of the checkpoint at the target's position */
};

static struct mr_error log_gone(const char *why, uint64_t origin)
{
    return mr_error_make(MR_ERROR_REJECT, "log_gap", 0, "the log no longer has record %" PRIu64 " of the model: %s",
                         origin, why);
}

/* ---- Where it begins ------------------------------------------------------------------------------------------------
 */

static struct mr_error hydrate(struct replay *replay)
{
    const struct mr_version_choice parent = {.kind = MR_VERSION_ID,
                                             .version_id = replay->target.version.parent_version_id};
    struct mr_buffer bytes = {0};
    struct mr_checkpoint checkpoint = {0};
    struct mr_error error = mr_version_load(replay->store, replay->config->model, parent, &bytes, &replay->base);
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
    const struct mr_deployment *deployment = &replay->session.deployment;
    const struct mr_position *at = &replay->target.version.position;
    const uint32_t partition = mr_partition_of(mr_bytes_of_text(replay->config->model), deployment->partitions);
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
    const struct replay_config *config = replay->config;
    struct mr_version_choice choice;
    MR_TRY(cli_version_choice(config->version, &choice));
    MR_TRY(mr_engine_select(config->device, &replay->ops));
    MR_TRY(mr_store_open(config->store, &replay->store));
    MR_TRY(mr_version_find(replay->store, config->model, choice, &replay->target));
    const struct mr_engine_options options = {.device = config->device, .threads = (uint32_t)config->threads};
    MR_TRY(replay->ops->open(&options, &replay->engine));
    train_fold_init(&replay->fold, replay->ops, replay->engine, config->model);
    replay->has_fold = true;
    if (strcmp(config->from, "parent") == 0 && replay->target.version.has_parent) {
        MR_TRY(hydrate(replay));
    }
    MR_TRY(cli_session_open(&config->brokers, CLI_READ, &replay->session));
    return check_log(replay);
}

/* ---- The log
 * --------------------------------------------------------------------------------------------------------- */

static void tell(struct replay *replay)
{
    const int64_t now_us = mr_clock_monotonic_us(&replay->clock);
    if (now_us - replay->told_us >= TELL_US) {
        replay->told_us = now_us;
        (void)fprintf(stderr, "replay: %" PRIu64 " records, step %" PRIu64 "\n", replay->records,
                      replay->fold.state.step);
    }
}

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
    tell(replay);
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
    } else if (strcmp(wire->stamp->model_id, replay->config->model) == 0) {
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
    MR_TRY(
        cli_reader_open(&replay->session, MR_TOPIC_VALIDATED, replay->target.version.position.partition, 0, &reader));
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

/* ---- The answer
 * -------------------------------------------------------------------------------------------------------- */

static int answer(const struct replay *replay)
{
    const struct mr_version *target = &replay->target.version;
    const bool equal = replay->has_hash && mr_sha256_equal(&replay->hash, &target->content_hash);
    char committed[MR_SHA256_TEXT_SIZE], replayed[MR_SHA256_TEXT_SIZE] = "none: no checkpoint is due there";
    mr_sha256_text(&target->content_hash, committed);
    if (replay->has_hash) {
        mr_sha256_text(&replay->hash, replayed);
    }
    const char *from = replay->has_base ? replay->base.version.version_id : "genesis";
    const char *isa = replay->ops->isa(replay->engine);
    int printed = MR_EXIT_OK;
    if (cli_wants_json(replay->config->format)) {
        printed = cli_print_json(
            json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:s, s:s, s:I, s:s, s:o, s:b}", "model_id", target->model_id,
                      "version_id", target->version_id, "counter", (json_int_t)target->counter, "from", from, "records",
                      (json_int_t)replay->records, "steps", (json_int_t)replay->steps, "device", replay->config->device,
                      "isa", isa, "threads", (json_int_t)replay->config->threads, "committed_hash", committed,
                      "replayed_hash", replay->has_hash ? json_string(replayed) : json_null(), "equal", equal ? 1 : 0),
            false);
    } else {
        (void)printf("%s %s, from %s: %" PRIu64 " records, %" PRIu64 " steps on %s (%s, %" PRIu64 " threads)\n"
                     "committed %s\nreplayed  %s\n%s\n",
                     target->model_id, target->version_id, from, replay->records, replay->steps, replay->config->device,
                     isa, replay->config->threads, committed, replayed, equal ? "equal" : "NOT EQUAL");
    }
    return printed != MR_EXIT_OK ? printed : equal ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static void replay_deinit(struct replay *replay)
{
    cli_session_close(&replay->session);
    if (replay->has_fold) {
        train_fold_deinit(&replay->fold);
    }
    if (replay->engine != NULL) {
        replay->ops->close(replay->engine);
    }
    mr_store_close(replay->store);
}

static int run(const void *options, const struct cli_rest *rest)
{
    (void)rest;
    struct replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL) {
        const struct mr_error error = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a replay");
        return cli_fail(&error);
    }
    replay->config = options;
    replay->clock = mr_clock_system();
    replay->told_us = mr_clock_monotonic_us(&replay->clock);
    struct mr_error error = prepare(replay);
    if (!mr_failed(error)) {
        error = fold_log(replay);
    }
    const int code = mr_failed(error) ? cli_fail(&error) : answer(replay);
    replay_deinit(replay);
    free(replay);
    return code;
}

const struct cli_verb cli_verb_replay = {"replay", "", 0, &table, sizeof(TYPE), run};
