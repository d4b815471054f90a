/* millrace-persist: its options; the rest of main is the same for every service. */
#include "persist_effects.h"

enum { STORE_WORKERS = 16 }; /* operations on the store at once: they wait for it, and cost nothing else */

static const struct mr_option rows[] = {
    MR_SERVICE_ROWS(struct persist_config, "persist"),
    MR_SERVICE_STORE_ROW(struct persist_config),
    {.name = "ancestor-probe-ms",
     .kind = MR_OPTION_COUNT,
     .offset = offsetof(struct persist_config, ancestor_probe_ms),
     .fallback = "1000",
     .min = 10,
     .max = 60000,
     .help = "Between two looks at a head that a checkpoint's ancestor has yet to reach."},
};

int main(int argc, char *argv[])
{
    static const struct mr_option_table table = {
        "millrace-persist", "Commits checkpoints, in order, as versions in the object store.", rows, MR_COUNT_OF(rows)};
    struct persist_config config = {0};
    const struct mr_service_plan plan = {
        .name = "persist",
        .options = &table,
        .config = &config,
        .common = &config.common,
        .uses_store = true,
        .workers = STORE_WORKERS,
        .open = persist_effects_open,
        .close = persist_effects_close,
    };
    return mr_service_main(&plan, argc, argv);
}
