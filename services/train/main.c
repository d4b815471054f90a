/* millrace-train: its options; everything else is mr_service_main. */
#include "train_effects.h"

/* The engine takes one step at a time; the others read and write the store meanwhile. */
enum { WORKERS = 4 };

#define TEXT_ROW(option, field, help_)                                                                              \
    {                                                                                                               \
        .name = (option), .kind = MR_OPTION_TEXT, .offset = offsetof(struct train_config, field), .fallback = NULL, \
        .help = (help_)                                                                                             \
    }
#define COUNT_ROW(option, field, fallback_, min_, max_, help_)                                     \
    {                                                                                              \
        .name = (option), .kind = MR_OPTION_COUNT, .offset = offsetof(struct train_config, field), \
        .fallback = (fallback_), .min = (min_), .max = (max_), .help = (help_)                     \
    }

static const struct mr_option rows[] = {
    MR_SERVICE_ROWS(struct train_config, "train"),
    MR_SERVICE_STORE_ROW(struct train_config),
    TEXT_ROW("device", device, "Where to compute: cpu, or cuda:N. There is no default."),
    TEXT_ROW("arena", arena, "Path of the Unix socket over which stage_gpu gives the arena."),
    COUNT_ROW("threads", threads, "0", 0, MR_ENGINE_THREADS_MAX,
              "Threads of the engine; 0: as many as the machine has cores. The weights do not depend on it."),
    COUNT_ROW("run-ahead", run_ahead, "4", 1, 64,
              "Checkpoints of a model that may be uncommitted; then it waits (AwaitingCommit)."),
    COUNT_ROW("models-max", models_max, "1000", 1, 100000,
              "Models with an open run in memory at a time; further ones wait (AwaitingRoom)."),
};

static const struct mr_option_table options = {
    .program = "millrace-train",
    .summary = "Folds the models' logs into their weights, and hands checkpoints to persist.",
    .rows = rows,
    .count = MR_COUNT_OF(rows),
};

int main(int argc, char *argv[])
{
    struct train_config config = {.device = NULL};
    const struct mr_service_plan plan = {
        .name = "train",
        .options = &options,
        .config = &config,
        .common = &config.common,
        .uses_store = true,
        .rereads_log = true,
        .assign_only = true,
        .workers = WORKERS,
        .check = train_effects_check,
        .open = train_effects_open,
        .close = train_effects_close,
    };
    return mr_service_main(&plan, argc, argv);
}
