/* millrace-publish: its options; the rest of main is the same for every service. */
#include "publish_effects.h"

#define ROW(option, field, kind_, fallback_, min_, max_, help_)                                                       \
    {                                                                                                                 \
        .name = (option), .kind = (kind_), .offset = offsetof(struct publish_config, field), .fallback = (fallback_), \
        .min = (min_), .max = (max_), .help = (help_)                                                                 \
    }

static const struct mr_option rows[] = {
    MR_SERVICE_ROWS(struct publish_config, "publish"),
    ROW("redis", redis, MR_OPTION_TEXT, NULL, 0, 0, "The view: unix:/path, host:port, or none."),
    ROW("view-interval-ms", view_interval_ms, MR_OPTION_COUNT, "100", 1, 60000,
        "The least time between two writes of the view."),
    ROW("view-probe-ms", view_probe_ms, MR_OPTION_COUNT, "1000", 10, 60000,
        "How long a view that failed is left alone."),
    ROW("view-timeout-ms", view_timeout_ms, MR_OPTION_COUNT, "1000", 10, 60000,
        "How long the view may take to connect or to answer."),
};

int main(int argc, char *argv[])
{
    static const struct mr_option_table table = {
        "millrace-publish", "Tells the world: metrics and versions topics, the Redis view, Prometheus.", rows,
        MR_COUNT_OF(rows)};
    struct publish_config config = {0};
    const struct mr_service_plan plan = {
        .name = "publish",
        .options = &table,
        .config = &config,
        .common = &config.common,
        .uses_store = false,
        .workers = 1,
        .open = publish_effects_open,
        .close = publish_effects_close,
    };
    return mr_service_main(&plan, argc, argv);
}
