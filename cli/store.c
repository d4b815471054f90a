/* millrace store list-versions | inspect: what a store holds of a model. */
#include "cli_session.h"
#include "cli_store.h"
#include "cli_table.h"
#include "cli_version.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct store_config {
    const char *store, *model, *version, *format;
};
#define TYPE struct store_config

static const struct mr_option list_rows[] = {CLI_ROWS_STORE(TYPE)};
static const struct mr_option inspect_rows[] = {
    CLI_ROWS_STORE(TYPE), CLI_ROW_TEXT(TYPE, "version", version, "head", "head, a counter, or a version id.")};

static const struct mr_option_table list_table = {"millrace store list-versions", "The versions of a model.", list_rows,
                                                  MR_COUNT_OF(list_rows)};
static const struct mr_option_table inspect_table = {
    "millrace store inspect", "One version, with what is stored of it.", inspect_rows, MR_COUNT_OF(inspect_rows)};

static struct mr_error open_store(const struct store_config *config, const struct cli_rest *rest,
                                  struct mr_store **ret_store)
{
    return cli_store_open(config->store, config->model, rest, ret_store);
}

/* ---- list-versions ------------------------------------------------------------------------------------- */

static struct mr_error add_version(struct cli_table *table, const struct mr_version_entry *entry, json_t *pins)
{
    const struct mr_version *version = &entry->version;
    char semantic[MR_SEMVER_SIZE], hash[MR_SHA256_TEXT_SIZE], at[CLI_TIME_SIZE];
    mr_semver_text(version->semantic_version, semantic);
    mr_sha256_text(&version->content_hash, hash);
    cli_time_text(version->event_time_ms, at);
    MR_TRY(cli_table_add(table, "%" PRIu64, version->counter));
    MR_TRY(cli_table_add(table, "%s", semantic));
    MR_TRY(cli_table_add(table, "%s", version->run_id));
    MR_TRY(cli_table_add(table, "%" PRIu64, version->step));
    MR_TRY(cli_table_add(table, "%.6g", (double)version->loss));
    MR_TRY(cli_table_add(table, "%s", at));
    MR_TRY(cli_table_add(table, "%.16s", hash));
    MR_TRY(cli_table_add(table, "%zu", json_array_size(cli_pins_of(pins, version->version_id))));
    return cli_table_add(table, "%.60s", version->message);
}

static int print_table(const struct mr_version_list *list, json_t *pins)
{
    static const char *const titles[] = {">VERSION", "SEMANTIC", "RUN",   ">STEP",  ">LOSS",
                                         "TIME",     "CONTENT",  ">PINS", "MESSAGE"};
    struct cli_table out;
    cli_table_init(&out, titles, MR_COUNT_OF(titles));
    struct mr_error error = mr_ok();
    for (size_t i = 0; i < list->count && !mr_failed(error); i++) {
        error = add_version(&out, &list->entries[i], pins);
    }
    if (!mr_failed(error)) {
        cli_table_print(&out, stdout);
    }
    cli_table_deinit(&out);
    return mr_failed(error) ? cli_fail(&error) : MR_EXIT_OK;
}

static json_t *version_json(const struct mr_version_entry *entry, json_t *pins)
{
    json_t *object = cli_version_json(entry);
    json_t *own = cli_pins_of(pins, entry->version.version_id);
    if (object != NULL) {
        json_object_set_new(object, "pins", own != NULL ? json_incref(own) : json_array());
    }
    return object;
}

static int print_json(const struct mr_version_list *list, json_t *pins)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++) {
        json_array_append_new(array, version_json(&list->entries[i], pins));
    }
    return cli_print_json(array, false);
}

static int run_list(const void *options, const struct cli_rest *rest)
{
    const struct store_config *config = options;
    struct mr_store *store = NULL;
    struct mr_version_list list = {0};
    json_t *pins = NULL;
    struct mr_error error = open_store(config, rest, &store);
    if (!mr_failed(error)) {
        error = mr_versions_list(store, config->model, &list);
    }
    if (!mr_failed(error)) {
        error = cli_pins_read(store, config->model, &pins);
    }
    const int code = mr_failed(error)                 ? cli_fail(&error)
                     : cli_wants_json(config->format) ? print_json(&list, pins)
                                                      : print_table(&list, pins);
    json_decref(pins);
    mr_version_list_deinit(&list);
    mr_store_close(store);
    return code;
}

/* ---- inspect ------------------------------------------------------------------------------------------- */

static int print_inspection(const struct mr_version_inspection *inspection, json_t *pins, bool as_json)
{
    json_t *object = version_json(&inspection->entry, pins);
    if (object != NULL) {
        json_object_set_new(object, "is_head", json_boolean(inspection->is_head));
        json_object_set_new(object, "payload",
                            json_string(inspection->payload_good  ? "good"
                                        : inspection->has_payload ? "corrupt"
                                        : inspection->collected   ? "collected"
                                                                  : "missing"));
        json_object_set_new(object, "audit_entries", json_integer((json_int_t)inspection->audit_count));
        json_object_set_new(object, "audit_entries_corrupt", json_integer((json_int_t)inspection->audit_bad));
    }
    if (as_json) {
        return cli_print_json(object, false);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        const bool quoted = json_is_string(value);
        (void)printf("%-18s %.*s\n", key, text == NULL ? 0 : (int)strlen(text) - (quoted ? 2 : 0),
                     text == NULL ? "" : text + (quoted ? 1 : 0));
        free(text);
    }
    json_decref(object);
    return MR_EXIT_OK;
}

static int run_inspect(const void *options, const struct cli_rest *rest)
{
    const struct store_config *config = options;
    struct mr_store *store = NULL;
    struct mr_version_choice choice;
    json_t *pins = NULL;
    struct mr_version_inspection *inspection = calloc(1, sizeof *inspection);
    struct mr_error error = inspection == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a version")
                                               : cli_version_choice(config->version, &choice);
    if (!mr_failed(error)) {
        error = open_store(config, rest, &store);
    }
    if (!mr_failed(error)) {
        error = mr_versions_inspect(store, config->model, choice, inspection);
    }
    if (!mr_failed(error)) {
        error = cli_pins_read(store, config->model, &pins);
    }
    const int code =
        mr_failed(error) ? cli_fail(&error) : print_inspection(inspection, pins, cli_wants_json(config->format));
    json_decref(pins);
    free(inspection);
    mr_store_close(store);
    return code;
}

const struct cli_verb cli_verb_store_list = {"store list-versions", "[URI]", 1, &list_table, sizeof(TYPE), run_list};
const struct cli_verb cli_verb_store_inspect = {"store inspect", "[URI]", 1, &inspect_table, sizeof(TYPE), run_inspect};
