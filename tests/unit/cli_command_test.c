/* From command line to verb, and what the command answers. */
#include "check_main.h"
#include "cli.h"
#include "cli_table.h"
#include "dlq_record.h"
#include "public_event.h"

#include <string.h>

/* ---- Command line -------------------------------------------------------------------------------------- */

static const struct mr_option rows[] = {
    {.name = "store", .kind = MR_OPTION_TEXT},
    {.name = "all", .kind = MR_OPTION_FLAG},
};
static const struct mr_option_table table = {"test", "test", rows, MR_COUNT_OF(rows)};

START_TEST(a_value_may_stand_behind_its_option)
{
    char *argv[] = {(char[]){"x"},    (char[]){"--store"}, (char[]){"file:///a"}, (char[]){"--all"},  (char[]){"word"},
                    (char[]){"-0.5"}, (char[]){"--other"}, (char[]){"y"},         (char[]){"--store"}};
    char *joined[MR_COUNT_OF(argv)];
    struct mr_buffer storage = {0};
    int count = 0;
    ck_assert(!mr_failed(cli_join_options(&table, (int)MR_COUNT_OF(argv), argv, &count, joined, &storage)));
    static const char *const expected[] = {"x",    "--store=file:///a", "--all", "word",
                                           "-0.5", "--other",           "y",     "--store"};
    ck_assert_int_eq(count, (int)MR_COUNT_OF(expected));
    for (int i = 0; i < count; i++) {
        ck_assert_str_eq(joined[i], expected[i]);
    }
    mr_buffer_deinit(&storage);
}
END_TEST

START_TEST(verbs_have_one_or_two_words)
{
    int words = 0;
    char *verify[] = {(char[]){"store"}, (char[]){"verify"}, (char[]){"file:///a"}};
    ck_assert_ptr_eq(cli_find_verb(3, verify, &words), &cli_verb_store_verify);
    ck_assert_int_eq(words, 2);
    char *half[] = {(char[]){"store"}};
    ck_assert_ptr_null(cli_find_verb(1, half, &words));
    char *longer[] = {(char[]){"submits"}};
    ck_assert_ptr_null(cli_find_verb(1, longer, &words));
}
END_TEST

/* Two verbs of equal words, or one that hides another, would never be found. */
START_TEST(every_verb_is_found_by_its_words)
{
    for (size_t i = 0; cli_verbs[i] != NULL; i++) {
        char text[64];
        char *argv[2] = {text, NULL};
        int count = 1, words = 0;
        ck_assert_uint_lt(strlen(cli_verbs[i]->words), sizeof text);
        (void)snprintf(text, sizeof text, "%s", cli_verbs[i]->words);
        char *space = strchr(text, ' ');
        if (space != NULL) {
            *space = '\0';
            argv[1] = space + 1;
            count = 2;
        }
        ck_assert_ptr_eq(cli_find_verb(count, argv, &words), cli_verbs[i]);
        ck_assert_uint_le(cli_verbs[i]->config_size, CLI_CONFIG_SIZE_MAX);
    }
}
END_TEST

static const struct {
    enum mr_error_class kind;
    const char *code;
    int exit;
} exits[] = {
    {MR_ERROR_REJECT, "bad_csv", MR_EXIT_USAGE},         {MR_ERROR_REJECT, "not_found", MR_EXIT_NOT_FOUND},
    {MR_ERROR_TRANSIENT, "timeout", MR_EXIT_RETRY},      {MR_ERROR_FATAL, "denied", MR_EXIT_DENIED},
    {MR_ERROR_REJECT, "offset_gone", MR_EXIT_LOG},       {MR_ERROR_REJECT, "device_unavailable", MR_EXIT_UNAVAILABLE},
    {MR_ERROR_UNKNOWN, "lost_reply", MR_EXIT_UNDECIDED}, {MR_ERROR_FATAL, "out_of_memory", MR_EXIT_SOFTWARE},
    {MR_ERROR_REJECT, "out_of_domain", MR_EXIT_USAGE},   {MR_ERROR_FENCED, "fenced", MR_EXIT_CONFLICT},
    {MR_ERROR_REJECT, "corrupt", MR_EXIT_FAILED},
};

START_TEST(errors_have_exit_codes)
{
    const struct mr_error error = mr_error_make(exits[_i].kind, exits[_i].code, 0, "x");
    ck_assert_int_eq(cli_exit_of(&error), exits[_i].exit);
}
END_TEST

/* ---- Tables -------------------------------------------------------------------------------------------- */

START_TEST(columns_fit_their_content)
{
    static const char *const titles[] = {"NAME", ">N", "LAST"};
    struct cli_table out;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    cli_table_init(&out, titles, 3);
    ck_assert(!mr_failed(cli_table_add(&out, "a")));
    ck_assert(!mr_failed(cli_table_add(&out, "%d", 12345)));
    ck_assert(!mr_failed(cli_table_add(&out, "x\033[2J")));
    ck_assert(!mr_failed(cli_table_add(&out, "longer")));
    ck_assert(!mr_failed(cli_table_add(&out, "%d", 7)));
    ck_assert(!mr_failed(cli_table_add(&out, "y")));
    cli_table_print(&out, file);
    (void)fclose(file);
    ck_assert_str_eq(text, "NAME        N  LAST\n"
                           "a       12345  x?[2J\n"
                           "longer      7  y\n");
    free(text);
    cli_table_deinit(&out);
}
END_TEST

/* ---- What was seen ------------------------------------------------------------------------------------- */

START_TEST(a_repeated_event_is_seen_once)
{
    static const struct {
        const char *model;
        uint64_t origin;
        uint8_t log;
        bool is_new;
    } steps[] = {{"a", 5, 1, true},  {"b", 3, 1, true}, {"a", 6, 1, true},  {"a", 5, 1, false},
                 {"a", 6, 1, false}, {"a", 7, 1, true}, {"b", 3, 1, false}, {"a", 2, 2, true}};
    struct cli_seen seen = {0};
    for (size_t i = 0; i < MR_COUNT_OF(steps); i++) {
        struct cli_stamp stamp = {.origin = steps[i].origin, .log_id = {{steps[i].log}}};
        (void)snprintf(stamp.model_id, sizeof stamp.model_id, "%s", steps[i].model);
        bool is_new = false;
        ck_assert(!mr_failed(cli_seen_note(&seen, &stamp, &is_new)));
        ck_assert_msg(is_new == steps[i].is_new, "step %zu", i);
    }
    cli_seen_deinit(&seen);
}
END_TEST

/* ---- Dead letters -------------------------------------------------------------------------------------- */

static const struct mr_log_header letter_headers[] = {
    {"ce_type", {(const uint8_t *)"any", 3}},
    {"traceparent", {(const uint8_t *)"00-1", 4}},
    {"mr_replay_of", {(const uint8_t *)"older", 5}},
    {"binary", {(const uint8_t *)"\0\xff", 2}},
    {"mr_dlq_id", {(const uint8_t *)"id-1", 4}},
    {"mr_dlq_stage", {(const uint8_t *)"ingest", 6}},
    {"mr_dlq_topic", {(const uint8_t *)MR_TOPIC_SUBMITTED, sizeof MR_TOPIC_SUBMITTED - 1}},
};

static bool has_header(const struct mr_log_output *output, const char *name, const char *value, size_t size)
{
    for (size_t i = 0; i < output->header_count; i++) {
        if (strcmp(output->headers[i].name, name) == 0) {
            return value != NULL && mr_bytes_equal(output->headers[i].value, mr_bytes_of(value, size));
        }
    }
    return value == NULL;
}

START_TEST(a_replay_is_the_submitted_record)
{
    const uint8_t value[] = {0, 1, 2, 255};
    const struct mr_log_record record = {.topic = MR_TOPIC_DEADLETTERS,
                                         .partition = 2,
                                         .has_key = true,
                                         .has_value = true,
                                         .key = mr_bytes_of_text("demo"),
                                         .value = mr_bytes_of(value, sizeof value),
                                         .headers = letter_headers,
                                         .header_count = MR_COUNT_OF(letter_headers)};
    struct dlq_replay replay;
    ck_assert(!mr_failed(dlq_replay_init(&record, 4, &replay)));
    ck_assert_str_eq(replay.output.topic, MR_TOPIC_SUBMITTED);
    ck_assert_uint_eq(replay.output.partition, mr_partition_of(mr_bytes_of_text("demo"), 4));
    ck_assert(mr_bytes_equal(replay.output.key, record.key));
    ck_assert(mr_bytes_equal(replay.output.value, record.value));
    ck_assert_uint_eq(replay.output.header_count, 4);
    ck_assert(has_header(&replay.output, "ce_type", "any", 3));
    ck_assert(has_header(&replay.output, "traceparent", "00-1", 4));
    ck_assert(has_header(&replay.output, "binary", "\0\xff", 2));
    ck_assert(has_header(&replay.output, "mr_replay_of", "id-1", 4));
    ck_assert(has_header(&replay.output, "mr_dlq_stage", NULL, 0));
    dlq_replay_deinit(&replay);
}
END_TEST

START_TEST(a_replay_from_validate_is_unwrapped)
{
    uint8_t submitted[] = {9, 8, 7};
    Millrace__Batch__V1__Ingested ingested;
    millrace__batch__v1__ingested__init(&ingested);
    ingested.submitted = (ProtobufCBinaryData){sizeof submitted, submitted};
    char name[] = "ce_type", text[] = "mine", earlier[] = "mr_replay_of";
    Millrace__Batch__V1__SubmittedHeader own, replayed, *submitted_headers[] = {&own, &replayed};
    millrace__batch__v1__submitted_header__init(&own);
    millrace__batch__v1__submitted_header__init(&replayed);
    own.name = (ProtobufCBinaryData){strlen(name), (uint8_t *)name};
    own.value = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    replayed.name = (ProtobufCBinaryData){strlen(earlier), (uint8_t *)earlier};
    ingested.headers = submitted_headers;
    ingested.n_headers = MR_COUNT_OF(submitted_headers);
    uint8_t value[64];
    const size_t size = millrace__batch__v1__ingested__pack(&ingested, value);
    const struct mr_log_header headers[] = {
        {"ce_type", mr_bytes_of_text("millrace.batch.v1.Ingested")},
        {"mr_dlq_id", mr_bytes_of_text("id-2")},
        {"mr_dlq_stage", mr_bytes_of_text("validate")},
        {"mr_dlq_topic", mr_bytes_of_text(MR_TOPIC_INGESTED)},
    };
    struct mr_log_record record = {.topic = MR_TOPIC_DEADLETTERS,
                                   .has_key = true,
                                   .has_value = true,
                                   .key = mr_bytes_of_text("demo"),
                                   .value = mr_bytes_of(value, size),
                                   .headers = headers,
                                   .header_count = MR_COUNT_OF(headers)};
    struct dlq_replay replay;
    ck_assert(!mr_failed(dlq_replay_init(&record, 4, &replay)));
    ck_assert(mr_bytes_equal(replay.output.value, mr_bytes_of(submitted, sizeof submitted)));
    /* The headers are those that were submitted, not those of the ingested record. */
    ck_assert_uint_eq(replay.output.header_count, 2);
    ck_assert(has_header(&replay.output, "ce_type", text, strlen(text)));
    ck_assert(has_header(&replay.output, "mr_replay_of", "id-2", 4));
    dlq_replay_deinit(&replay);

    record.value = mr_bytes_of_text("\xff\xff");
    ck_assert_str_eq(dlq_replay_init(&record, 4, &replay).code, "not_replayable");
}
END_TEST

START_TEST(letters_and_markers_are_told_apart)
{
    char id[DLQ_ID_SIZE];
    struct dlq_marker marker;
    dlq_marker_init("id-1", "purged", 3, &marker);
    const struct mr_log_record as_read = {
        .headers = marker.output.headers, .header_count = marker.output.header_count, .partition = 3};
    ck_assert_int_eq(dlq_kind_of(&as_read, id), DLQ_MARKER);
    ck_assert_str_eq(id, "id-1");
    ck_assert_uint_eq(marker.output.partition, 3);
    const struct mr_log_record letter = {.headers = letter_headers, .header_count = MR_COUNT_OF(letter_headers)};
    ck_assert_int_eq(dlq_kind_of(&letter, id), DLQ_LETTER);
    /* A user cannot hide a dead letter, nor resolve another, by a header of the record. */
    struct mr_log_header forged[MR_COUNT_OF(letter_headers) + 1] = {{"mr_dlq_resolved", mr_bytes_of_text("id-1")}};
    memcpy(forged + 1, letter_headers, sizeof letter_headers);
    const struct mr_log_record hidden = {.headers = forged, .header_count = MR_COUNT_OF(forged)};
    ck_assert_int_eq(dlq_kind_of(&hidden, id), DLQ_LETTER);
    const struct mr_log_record other = {.headers = letter_headers, .header_count = 4};
    ck_assert_int_eq(dlq_kind_of(&other, id), DLQ_OTHER);
    struct dlq_replay replay;
    ck_assert_str_eq(dlq_replay_init(&other, 4, &replay).code, "not_replayable");
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, a_value_may_stand_behind_its_option);
    tcase_add_test(tcase, verbs_have_one_or_two_words);
    tcase_add_test(tcase, every_verb_is_found_by_its_words);
    tcase_add_loop_test(tcase, errors_have_exit_codes, 0, (int)MR_COUNT_OF(exits));
    tcase_add_test(tcase, columns_fit_their_content);
    tcase_add_test(tcase, a_repeated_event_is_seen_once);
    tcase_add_test(tcase, a_replay_is_the_submitted_record);
    tcase_add_test(tcase, a_replay_from_validate_is_unwrapped);
    tcase_add_test(tcase, letters_and_markers_are_told_apart);
}

int main(void)
{
    return check_main("cli_command", add);
}
