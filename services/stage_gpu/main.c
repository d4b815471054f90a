/* millrace-stage_gpu: its options; everything else is mr_service_main. */
#include "stage_gpu_effects.h"

enum { WORKERS = 2 }; /* for payloads that are fetched from the store */

#define TEXT_ROW(option, field, help_)                                                                \
    {                                                                                                 \
        .name = (option), .kind = MR_OPTION_TEXT, .offset = offsetof(struct stage_gpu_config, field), \
        .fallback = NULL, .help = (help_)                                                             \
    }
#define COUNT_ROW(option, field, fallback_, min_, max_, help_)                                         \
    {                                                                                                  \
        .name = (option), .kind = MR_OPTION_COUNT, .offset = offsetof(struct stage_gpu_config, field), \
        .fallback = (fallback_), .min = (min_), .max = (max_), .help = (help_)                         \
    }

static const struct mr_option rows[] = {
    MR_SERVICE_ROWS(struct stage_gpu_config, "stage_gpu"),
    MR_SERVICE_STORE_ROW(struct stage_gpu_config),
    TEXT_ROW("device", device, "Where train computes: cpu, or cuda:N. There is no default."),
    TEXT_ROW("arena", arena, "Path of the Unix socket over which train gets the arena."),
    COUNT_ROW("arena-bytes", arena_bytes, "67108864", 1048576, UINT64_C(1) << 40, "Bytes of the arena."),
    COUNT_ROW("arena-blocks", arena_blocks, "1024", 1, 65536, "Batches in the arena at most."),
    COUNT_ROW("host-transfer-max-bytes", host_transfer_max_bytes, "67108864", 0, UINT64_C(1) << 40,
              "A larger batch is not brought into host memory here: it is staged without a lease, and train reads it "
              "itself."),
};

static const struct mr_option_table options = {
    .program = "millrace-stage_gpu",
    .summary = "Puts the tensors of validated batches into the arena that train maps.",
    .rows = rows,
    .count = MR_COUNT_OF(rows),
};

int main(int argc, char *argv[])
{
    struct stage_gpu_config config = {.device = NULL};
    const struct mr_service_plan plan = {
        .name = "stage_gpu",
        .options = &options,
        .config = &config,
        .common = &config.common,
        .uses_store = true,
        .assign_only = true,
        .workers = WORKERS,
        .check = stage_gpu_effects_check,
        .open = stage_gpu_effects_open,
        .close = stage_gpu_effects_close,
    };
    return mr_service_main(&plan, argc, argv);
}
