/* millrace dlq ls | show | replay | purge: what was rejected, and what to do with it. */
#include "cli_table.h"
#include "cli_version.h"
#include "dlq_record.h"

#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 100, VALUE_SHOWN_MAX = 256 };

struct dlq_config {
    struct cli_brokers brokers;
    const char *format, *model, *stage, *reason;
    bool all;
};
#define TYPE struct dlq_config
#define DLQ_ROWS                                                                                                \
    CLI_ROWS_BROKERS(TYPE), CLI_ROW_FORMAT(TYPE), CLI_ROW_TEXT(TYPE, "model", model, "", "Only this model's."), \
        CLI_ROW_TEXT(TYPE, "stage", stage, "", "Only this stage's: ingest or validate."),                       \
        CLI_ROW_TEXT(TYPE, "reason", reason, "", "Only those with this reason.")

static const struct mr_option ls_rows[] = {DLQ_ROWS, CLI_ROW_FLAG(TYPE, "all", all, "Those that are resolved too.")};
static const struct mr_option act_rows[] = {
    DLQ_ROWS, CLI_ROW_FLAG(TYPE, "all", all, "All that the filters leave, instead of ids.")};
static const struct mr_option_table ls_table = {"millrace dlq ls", "List the dead letters.", ls_rows,
                                                MR_COUNT_OF(ls_rows)};
static const struct mr_option_table show_table = {"millrace dlq show", "One dead letter: why, and what it was.",
                                                  ls_rows, MR_COUNT_OF(ls_rows)};
static const struct mr_option_table replay_table = {"millrace dlq replay", "Submit dead letters again.", act_rows,
                                                    MR_COUNT_OF(act_rows)};
static const struct mr_option_table purge_table = {"millrace dlq purge", "Mark dead letters as resolved.", act_rows,
                                                   MR_COUNT_OF(act_rows)};

/* ---- Which letters there are --------------------------------------------------------------------------- */

struct id_set {
    void *tree;
    struct id_node *list;
};
struct id_node {
    char id[DLQ_ID_SIZE]; /* first: it is what the tree compares */
    struct id_node *next;
};

static int by_id(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool set_has(const struct id_set *set, const char *id)
{
    return tfind(id, &set->tree, by_id) != NULL;
}

static struct mr_error set_add(struct id_set *set, const char id[DLQ_ID_SIZE])
{
    if (set_has(set, id)) {
        return mr_ok();
    }
    struct id_node *node = malloc(sizeof *node);
    if (node == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "ids of dead letters");
    }
    (void)snprintf(node->id, sizeof node->id, "%s", id);
    node->next = set->list;
    if (tsearch(node, &set->tree, by_id) == NULL) {
        free(node);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "ids of dead letters");
    }
    set->list = node;
    return mr_ok();
}

static void set_deinit(struct id_set *set)
{
    while (set->list != NULL) {
        struct id_node *node = set->list;
        set->list = node->next;
        (void)tdelete(node, &set->tree, by_id);
        free(node);
    }
}

/* One walk over the dead letters: `each` gets those that the options choose, once each. */
struct dlq_walk {
    const struct dlq_config *config;
    const struct cli_rest *ids;
    struct cli_session session;
    struct id_set resolved, seen;
    uint64_t found;
    struct mr_error (*each)(struct dlq_walk *walk, const struct mr_log_record *record, const struct dlq_letter *letter);
    struct cli_table *table;
    json_t *array;
    uint64_t unacknowledged;
};

static struct mr_error note_marker(void *self, const struct mr_log_record *record)
{
    struct dlq_walk *walk = self;
    char id[DLQ_ID_SIZE];
    return dlq_kind_of(record, id) == DLQ_MARKER ? set_add(&walk->resolved, id) : mr_ok();
}

static bool matches(const char *filter, const char *text)
{
    return filter[0] == '\0' || strcmp(filter, text) == 0;
}

static bool is_named(const struct cli_rest *ids, const char *id)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (strcmp(ids->words[i], id) == 0) {
            return true;
        }
    }
    return ids->count == 0;
}

static struct mr_error note_letter(void *self, const struct mr_log_record *record)
{
    struct dlq_walk *walk = self;
    char id[DLQ_ID_SIZE];
    /* An equal id is the same dead letter, written twice around a crash. */
    if (dlq_kind_of(record, id) != DLQ_LETTER || set_has(&walk->seen, id)) {
        return mr_ok();
    }
    MR_TRY(set_add(&walk->seen, id));
    struct dlq_letter letter;
    dlq_letter_read(record, &letter);
    const bool wanted = matches(walk->config->model, letter.model_id) && matches(walk->config->stage, letter.stage) &&
                        matches(walk->config->reason, letter.reason) && is_named(walk->ids, id);
    const bool hidden = set_has(&walk->resolved, id) && !walk->config->all && walk->ids->count == 0;
    if (!wanted || hidden) {
        return mr_ok();
    }
    walk->found++;
    return walk->each(walk, record, &letter);
}

static struct mr_error walk_letters(struct dlq_walk *walk, enum cli_purpose purpose)
{
    MR_TRY(cli_session_open(&walk->config->brokers, purpose, &walk->session));
    struct mr_error error = cli_scan(&walk->session, MR_TOPIC_DEADLETTERS, 0, note_marker, walk);
    if (!mr_failed(error)) {
        error = cli_scan(&walk->session, MR_TOPIC_DEADLETTERS, 0, note_letter, walk);
    }
    return error;
}

static void walk_deinit(struct dlq_walk *walk)
{
    set_deinit(&walk->resolved);
    set_deinit(&walk->seen);
    cli_session_close(&walk->session);
}

/* ---- ls ------------------------------------------------------------------------------------------------ */

static json_t *letter_json(const struct dlq_walk *walk, const struct dlq_letter *letter)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:b}", "id", cli_json_text(letter->id),
                     "model_id", cli_json_text(letter->model_id), "stage", cli_json_text(letter->stage), "reason",
                     cli_json_text(letter->reason), "detail", cli_json_text(letter->detail), "attempt",
                     cli_json_text(letter->attempt), "topic", cli_json_text(letter->topic), "partition",
                     cli_json_text(letter->partition), "offset", cli_json_text(letter->offset), "origin",
                     cli_json_text(letter->origin), "time_ms", (json_int_t)letter->time_ms, "resolved",
                     set_has(&walk->resolved, letter->id) ? 1 : 0);
}

static struct mr_error list_letter(struct dlq_walk *walk, const struct mr_log_record *record,
                                   const struct dlq_letter *letter)
{
    (void)record;
    if (walk->array != NULL) {
        return json_array_append_new(walk->array, letter_json(walk, letter)) == 0
                   ? mr_ok()
                   : mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a list");
    }
    char at[CLI_TIME_SIZE];
    cli_time_text(letter->time_ms, at);
    MR_TRY(cli_table_add(walk->table, "%s", letter->id));
    MR_TRY(cli_table_add(walk->table, "%s", at));
    MR_TRY(cli_table_add(walk->table, "%s", letter->model_id));
    MR_TRY(cli_table_add(walk->table, "%s", letter->stage));
    MR_TRY(cli_table_add(walk->table, "%s", letter->reason));
    return cli_table_add(walk->table, "%s", letter->detail);
}

static int run_ls(const void *options, const struct cli_rest *rest)
{
    static const char *const titles[] = {"ID", "TIME", "MODEL", "STAGE", "REASON", "DETAIL"};
    const struct dlq_config *config = options;
    struct cli_table table;
    cli_table_init(&table, titles, MR_COUNT_OF(titles));
    struct dlq_walk walk = {.config = config,
                            .ids = rest,
                            .each = list_letter,
                            .table = &table,
                            .array = cli_wants_json(config->format) ? json_array() : NULL};
    const struct mr_error error = walk_letters(&walk, CLI_READ);
    int code = MR_EXIT_OK;
    if (mr_failed(error)) {
        code = cli_fail(&error);
        json_decref(walk.array);
    } else if (walk.array != NULL) {
        code = cli_print_json(walk.array, false);
    } else {
        cli_table_print(&table, stdout);
    }
    cli_table_deinit(&table);
    walk_deinit(&walk);
    return code;
}

/* ---- show ---------------------------------------------------------------------------------------------- */

static json_t *hex_json(struct mr_bytes bytes, size_t size_max)
{
    const size_t size = bytes.size < size_max ? bytes.size : size_max;
    char *text = malloc(2 * size + 1);
    if (text == NULL) {
        return NULL;
    }
    mr_hex(mr_bytes_of(bytes.data, size), text);
    json_t *value = json_string(text);
    free(text);
    return value;
}

/* Texts as texts; what is no UTF-8 as {"hex": ...}. */
static json_t *bytes_json(struct mr_bytes bytes)
{
    json_t *text = json_stringn((const char *)bytes.data, bytes.size);
    return text != NULL ? text : json_pack("{s:o}", "hex", hex_json(bytes, SIZE_MAX));
}

static struct mr_error show_letter(struct dlq_walk *walk, const struct mr_log_record *record,
                                   const struct dlq_letter *letter)
{
    const bool as_json = cli_wants_json(walk->config->format);
    json_t *object = letter_json(walk, letter);
    json_t *headers = json_array();
    for (size_t i = 0; i < record->header_count; i++) {
        json_array_append_new(headers, json_pack("{s:o, s:o}", "name", cli_json_text(record->headers[i].name), "value",
                                                 bytes_json(record->headers[i].value)));
    }
    json_object_set_new(object, "key", record->has_key ? bytes_json(record->key) : json_null());
    json_object_set_new(object, "value_size", json_integer((json_int_t)record->value.size));
    json_object_set_new(object, "value_hex",
                        record->has_value ? hex_json(record->value, as_json ? SIZE_MAX : VALUE_SHOWN_MAX)
                                          : json_null());
    json_object_set_new(object, "headers", headers);
    return cli_print_json(object, false) == MR_EXIT_OK
               ? mr_ok()
               : mr_error_make(MR_ERROR_TRANSIENT, "standard_output", 0, "cannot write the answer");
}

static int finish(struct dlq_walk *walk, const struct mr_error *error)
{
    int code = mr_failed(*error) ? cli_fail(error) : MR_EXIT_OK;
    if (code == MR_EXIT_OK && walk->ids->count > 0 && walk->found < walk->ids->count) {
        (void)fprintf(stderr, "millrace: not_found: %" PRIu64 " of %zu ids are no dead letters here\n",
                      (uint64_t)walk->ids->count - walk->found, walk->ids->count);
        code = MR_EXIT_NOT_FOUND;
    }
    walk_deinit(walk);
    return code;
}

static int run_show(const void *options, const struct cli_rest *rest)
{
    if (rest->count == 0) {
        return cli_usage("millrace dlq show: which? `millrace dlq ls` prints ids");
    }
    struct dlq_walk walk = {.config = options, .ids = rest, .each = show_letter};
    const struct mr_error error = walk_letters(&walk, CLI_READ);
    return finish(&walk, &error);
}

/* ---- replay and purge ---------------------------------------------------------------------------------- */

static struct mr_error hear(struct dlq_walk *walk)
{
    struct mr_log *log = walk->session.log;
    const struct mr_log_event event = log->ops->poll(log, POLL_MS);
    if (event.kind == MR_LOG_EVENT_DELIVERED) {
        walk->unacknowledged--;
    } else if (event.kind == MR_LOG_EVENT_DELIVERY_FAILED) {
        return event.of.delivery_failed.error;
    } else if (event.kind == MR_LOG_EVENT_FAILED) {
        return event.of.error;
    }
    return mr_ok();
}

/* One record, until it is acknowledged: what comes after it relies on it. */
static struct mr_error deliver(struct dlq_walk *walk, const struct mr_log_output *output)
{
    struct mr_log *log = walk->session.log;
    struct mr_error error = log->ops->produce(log, output);
    while (error.kind == MR_ERROR_TRANSIENT && strcmp(error.code, "queue_full") == 0) {
        MR_TRY(hear(walk));
        error = log->ops->produce(log, output);
    }
    MR_TRY(error);
    walk->unacknowledged++;
    while (walk->unacknowledged > 0) {
        MR_TRY(hear(walk));
    }
    return mr_ok();
}

static struct mr_error resolve(struct dlq_walk *walk, const struct mr_log_record *record,
                               const struct dlq_letter *letter, const char *resolution)
{
    struct dlq_marker marker;
    dlq_marker_init(letter->id, resolution, record->partition, &marker);
    MR_TRY(deliver(walk, &marker.output));
    (void)printf("%s %s\n", resolution, letter->id);
    return mr_ok();
}

static struct mr_error replay_letter(struct dlq_walk *walk, const struct mr_log_record *record,
                                     const struct dlq_letter *letter)
{
    struct dlq_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a replay");
    }
    struct mr_error error = dlq_replay_init(record, walk->session.deployment.partitions, replay);
    if (!mr_failed(error)) {
        error = deliver(walk, &replay->output);
        dlq_replay_deinit(replay);
    }
    free(replay);
    return mr_failed(error) ? error : resolve(walk, record, letter, "replayed");
}

static struct mr_error purge_letter(struct dlq_walk *walk, const struct mr_log_record *record,
                                    const struct dlq_letter *letter)
{
    return resolve(walk, record, letter, "purged");
}

static int act(const struct dlq_config *config, const struct cli_rest *rest, const char *verb,
               struct mr_error (*each)(struct dlq_walk *walk, const struct mr_log_record *record,
                                       const struct dlq_letter *letter))
{
    if (config->all == (rest->count > 0)) {
        return cli_usage("millrace dlq %s: give ids as `millrace dlq ls` prints them, or --all", verb);
    }
    /* --all chooses among those that ls shows: not those that are resolved. */
    struct dlq_config chosen = *config;
    chosen.all = false;
    struct dlq_walk walk = {.config = &chosen, .ids = rest, .each = each};
    const struct mr_error error = walk_letters(&walk, CLI_READ_WRITE);
    return finish(&walk, &error);
}

static int run_replay(const void *options, const struct cli_rest *rest)
{
    return act(options, rest, "replay", replay_letter);
}

static int run_purge(const void *options, const struct cli_rest *rest)
{
    return act(options, rest, "purge", purge_letter);
}

const struct cli_verb cli_verb_dlq_ls = {"dlq ls", "", 0, &ls_table, sizeof(TYPE), run_ls};
const struct cli_verb cli_verb_dlq_show = {"dlq show", "ID ...", CLI_REST_MAX, &show_table, sizeof(TYPE), run_show};
const struct cli_verb cli_verb_dlq_replay = {"dlq replay",  "ID ... | --all", CLI_REST_MAX,
                                             &replay_table, sizeof(TYPE),     run_replay};
const struct cli_verb cli_verb_dlq_purge = {"dlq purge",  "ID ... | --all", CLI_REST_MAX,
                                            &purge_table, sizeof(TYPE),     run_purge};
