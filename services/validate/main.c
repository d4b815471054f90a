/* millrace-validate: its options; everything else is mr_service_main. */
#include "validate_effects.h"

enum { VALIDATE_WORKERS = 2 };

#define ROW(option, field, fallback_, min_, max_, help_)                                              \
    {                                                                                                 \
        .name = (option), .kind = MR_OPTION_COUNT, .offset = offsetof(struct validate_config, field), \
        .fallback = (fallback_), .min = (min_), .max = (max_), .choices = NULL, .help = (help_)       \
    }

static const struct mr_option rows[] = {
    MR_SERVICE_ROWS(struct validate_config, "validate"),
    MR_SERVICE_RETRY_ROWS(struct validate_config),
    MR_SERVICE_STORE_ROW(struct validate_config),
    ROW("max-rows", max_rows, "1048576", 1, 16777216,
        "A batch may have this many rows; above, or above the run's own limit, it is rejected as too_large."),
    ROW("max-payload-bytes", max_payload_bytes, "67108864", 1024, 1073741824,
        "A tensor may have this many bytes; two workers hold up to two tensors each while they check claims."),
};

static const struct mr_option_table options = {
    .program = "millrace-validate",
    .summary = "Judges batches by their content, copies claim-checked payloads, and writes the model's log.",
    .rows = rows,
    .count = MR_COUNT_OF(rows),
};

int main(int argc, char *argv[])
{
    struct validate_config config = {0};
    const struct mr_service_plan plan = {
        .name = "validate",
        .options = &options,
        .config = &config,
        .common = &config.common,
        .uses_store = true,
        .workers = VALIDATE_WORKERS,
        .open = validate_effects_open,
        .close = validate_effects_close,
    };
    return mr_service_main(&plan, argc, argv);
}
