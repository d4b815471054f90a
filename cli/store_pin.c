/* millrace store pin | unpin: which versions GC leaves alone. */
#include "cli_store.h"
#include "cli_version.h"

#include "millrace/pins.h"

struct pin_config {
    const char *store, *model, *version, *name, *format;
};
#define TYPE struct pin_config

static const struct mr_option rows[] = {
    CLI_ROWS_STORE(TYPE), CLI_ROW_TEXT(TYPE, "version", version, NULL, "head, a counter, or a version id."),
    CLI_ROW_TEXT(TYPE, "name", name, NULL, "Whose pin it is: an id.")};

static const struct mr_option_table pin_table = {"millrace store pin",
                                                 "Keep the payload of a version, whatever garbage collection is told.",
                                                 rows, MR_COUNT_OF(rows)};
static const struct mr_option_table unpin_table = {"millrace store unpin", "Take a pin away.", rows, MR_COUNT_OF(rows)};

static int answer(const struct pin_config *config, const char *version_id, const char *what)
{
    if (cli_wants_json(config->format)) {
        return cli_print_json(
            json_pack("{s:s, s:s, s:s}", "outcome", what, "version_id", version_id, "name", config->name), false);
    }
    (void)printf("%s: %s %s by %s\n", config->model, version_id, what, config->name);
    return MR_EXIT_OK;
}

static int run(const struct pin_config *config, const struct cli_rest *rest, bool pins)
{
    struct mr_store *store = NULL;
    struct mr_version_choice choice;
    char version_id[MR_VERSION_ID_SIZE];
    struct mr_error error = cli_version_choice(config->version, &choice);
    if (!mr_failed(error)) {
        error = cli_store_open(config->store, config->model, rest, &store);
    }
    if (!mr_failed(error)) {
        error = pins ? mr_pin_put(store, config->model, choice, config->name, version_id)
                     : mr_pin_remove(store, config->model, choice, config->name, version_id);
    }
    mr_store_close(store);
    return mr_failed(error) ? cli_fail(&error) : answer(config, version_id, pins ? "pinned" : "unpinned");
}

static int run_pin(const void *config, const struct cli_rest *rest)
{
    return run(config, rest, true);
}

static int run_unpin(const void *config, const struct cli_rest *rest)
{
    return run(config, rest, false);
}

const struct cli_verb cli_verb_store_pin = {"store pin", "[URI]", 1, &pin_table, sizeof(TYPE), run_pin};
const struct cli_verb cli_verb_store_unpin = {"store unpin", "[URI]", 1, &unpin_table, sizeof(TYPE), run_unpin};
