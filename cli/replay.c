/* millrace replay: trains a version again from the log, by train's own fold, and compares content hashes. */
#include "cli_version.h"
#include "replay_fold.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TELL_RECORDS = 500 };

struct replay_config {
    struct cli_brokers brokers;
    const char *store, *model, *version, *from, *device, *format;
    uint64_t threads;
};
#define TYPE struct replay_config
static const struct mr_option rows[] = {
    CLI_ROWS_BROKERS(TYPE),
    CLI_ROW_TEXT(TYPE, "store", store, NULL, "Object store: file:///dir or s3://bucket/prefix."),
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

static void tell(const struct replay *replay)
{
    if (replay->records % TELL_RECORDS == 0) {
        (void)fprintf(stderr, "replay: %" PRIu64 " records, step %" PRIu64 "\n", replay->records,
                      replay->fold.state.step);
    }
}

static int answer(const struct replay_config *config, const struct replay *replay)
{
    const struct mr_version *target = &replay->target.version;
    const bool equal = replay_equal(replay);
    char committed[MR_SHA256_TEXT_SIZE], replayed[MR_SHA256_TEXT_SIZE] = "none: no checkpoint is due there";
    mr_sha256_text(&target->content_hash, committed);
    if (replay->has_hash) {
        mr_sha256_text(&replay->hash, replayed);
    }
    const char *from = replay->has_base ? replay->base.version.version_id : "genesis";
    const char *isa = replay->ops->isa(replay->engine);
    int printed = MR_EXIT_OK;
    if (cli_wants_json(config->format)) {
        printed = cli_print_json(
            json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:s, s:s, s:I, s:s, s:o, s:b}", "model_id", target->model_id,
                      "version_id", target->version_id, "counter", (json_int_t)target->counter, "from", from, "records",
                      (json_int_t)replay->records, "steps", (json_int_t)replay->steps, "device", config->device, "isa",
                      isa, "threads", (json_int_t)config->threads, "committed_hash", committed, "replayed_hash",
                      replay->has_hash ? json_string(replayed) : json_null(), "equal", equal ? 1 : 0),
            false);
    } else {
        (void)printf("%s %s, from %s: %" PRIu64 " records, %" PRIu64 " steps on %s (%s, %" PRIu64 "%s)\n"
                     "committed %s\nreplayed  %s\n%s\n",
                     target->model_id, target->version_id, from, replay->records, replay->steps, config->device, isa,
                     config->threads, config->threads == 1 ? " thread" : " threads", committed, replayed,
                     equal ? "equal" : "NOT EQUAL");
    }
    return printed != MR_EXIT_OK ? printed : equal ? MR_EXIT_OK : MR_EXIT_FAILED;
}

/* Everything that the replay works with; on failure what was opened is in `replay` all the same. */
static struct mr_error open_all(const struct replay_config *config, struct cli_session *session, struct replay *replay)
{
    MR_TRY(cli_version_choice(config->version, &replay->choice));
    MR_TRY(mr_engine_select(config->device, &replay->ops));
    MR_TRY(mr_store_open(config->store, &replay->store));
    const struct mr_engine_options options = {.device = config->device, .threads = (uint32_t)config->threads};
    MR_TRY(replay->ops->open(&options, &replay->engine));
    replay->session = session;
    replay->model_id = config->model;
    replay->from_parent = strcmp(config->from, "parent") == 0;
    replay->tell = tell;
    return cli_session_open(&config->brokers, CLI_READ, session);
}

static void close_all(struct cli_session *session, struct replay *replay)
{
    replay_deinit(replay);
    cli_session_close(session);
    if (replay->engine != NULL) {
        replay->ops->close(replay->engine);
    }
    mr_store_close(replay->store);
}

static int run(const void *options, const struct cli_rest *rest)
{
    (void)rest;
    const struct replay_config *config = options;
    struct cli_session session = {.log = NULL};
    struct replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL) {
        const struct mr_error error = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a replay");
        return cli_fail(&error);
    }
    struct mr_error error = open_all(config, &session, replay);
    if (!mr_failed(error)) {
        error = replay_run(replay);
    }
    const int code = mr_failed(error) ? cli_fail(&error) : answer(config, replay);
    close_all(&session, replay);
    free(replay);
    return code;
}

const struct cli_verb cli_verb_replay = {"replay", "", 0, &table, sizeof(TYPE), run};
