/* millrace store tensorboard-log: the versions of a model as event files for TensorBoard. */
#include "cli_store.h"
#include "tensorboard_log.h"

#include <inttypes.h>
#include <string.h>

struct tensorboard_config {
    const char *store, *model, *log_dir, *format;
    bool metadata_only;
};
#define TYPE struct tensorboard_config

static const struct mr_option rows[] = {
    CLI_ROWS_STORE(TYPE),
    CLI_ROW_TEXT(TYPE, "log-dir", log_dir, NULL,
                 "Folder for the event files, a folder a model and in it one a run; made if it is not there."),
    CLI_ROW_FLAG(TYPE, "metadata-only", metadata_only, "Leave out the weights: read no payloads.")};
static const struct mr_option_table table = {
    "millrace store tensorboard-log",
    "Write event files for TensorBoard: versions, metrics, weights. 0 written, 1 corruption, 2 could not.", rows,
    MR_COUNT_OF(rows)};

/* Three answers, as of verify; a wrong command line is none. */
static int fail(const struct mr_error *error)
{
    const int code = cli_fail(error);
    return code == MR_EXIT_USAGE || code == MR_EXIT_FAILED ? code : MR_EXIT_UNDECIDED;
}

static int answer(const struct tensorboard_config *config, const struct cli_tensorboard_log *log)
{
    if (cli_wants_json(config->format)) {
        return cli_print_json(json_pack("{s:s, s:s, s:I, s:I, s:I}", "model", config->model, "log_dir", config->log_dir,
                                        "versions", (json_int_t)log->versions, "collected", (json_int_t)log->collected,
                                        "files", (json_int_t)log->files),
                              false);
    }
    (void)printf("%s: %" PRIu64 " versions in %" PRIu64 " files under %s/%s", config->model, log->versions, log->files,
                 config->log_dir, config->model);
    if (log->collected > 0) {
        (void)printf(", %" PRIu64 " without weights: collected", log->collected);
    }
    (void)putchar('\n');
    return MR_EXIT_OK;
}

static int run(const void *options, const struct cli_rest *rest)
{
    const struct tensorboard_config *config = options;
    struct mr_store *store = NULL;
    struct cli_tensorboard_log log = {0};
    if (config->log_dir[0] == '\0') {
        return cli_usage("--log-dir: which folder?");
    }
    struct mr_error error = cli_store_open(config->store, config->model, rest, &store);
    if (!mr_failed(error)) {
        error = cli_tensorboard_log(store, config->model, config->log_dir, config->metadata_only, &log);
    }
    mr_store_close(store);
    return mr_failed(error) ? fail(&error) : answer(config, &log);
}

const struct cli_verb cli_verb_store_events = {"store tensorboard-log", "[URI]", 1, &table, sizeof(TYPE), run};
