/* millrace-ingest: its options; everything else is mr_service_main. */
#include "ingest_effects.h"

#define ROW(option, field, fallback_, min_, max_, help_)                                            \
    {                                                                                               \
        .name = (option), .kind = MR_OPTION_COUNT, .offset = offsetof(struct ingest_config, field), \
        .fallback = (fallback_), .min = (min_), .max = (max_), .choices = NULL, .help = (help_)     \
    }

static const struct mr_option rows[] = {
    MR_SERVICE_ROWS(struct ingest_config, "ingest"),
    MR_SERVICE_RETRY_ROWS(struct ingest_config),
    ROW("max-record-bytes", max_record_bytes, "655360", 1024, 900000,
        "A submitted value and its headers may have this many bytes; above, too_large."),
    ROW("max-inline-bytes", max_inline_bytes, "524288", 0, 524288,
        "A batch may carry this many bytes of payload inline; above, it is rejected as inline_too_large."),
};

static const struct mr_option_table options = {
    .program = "millrace-ingest",
    .summary = "Judges submitted events by envelope and life of the run, and writes what it accepts.",
    .rows = rows,
    .count = MR_COUNT_OF(rows),
};

int main(int argc, char *argv[])
{
    struct ingest_config config = {0};
    const struct mr_service_plan plan = {
        .name = "ingest",
        .options = &options,
        .config = &config,
        .common = &config.common,
        .open = ingest_effects_open,
        .close = ingest_effects_close,
    };
    return mr_service_main(&plan, argc, argv);
}
