/* The cache of the fold (rule O5): each test is one promise of libshared/stage/folds.h. */
#include "check_main.h"
#include "millrace/fold/v1/fold.pb-c.h"
#include "stage_rig.h"
#include "stamped.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN MR_TOPIC_SUBMITTED
#define OUT MR_TOPIC_INGESTED
#define RETRY MR_TOPIC_RETRIES_INGEST
#define FOLDS MR_TOPIC_FOLDS
#define LANE(slot, model) "ingest/" slot "/" IN "/" model

enum { TEXT_SIZE = 16384 };

static struct memory_broker *broker;
static struct rig *rig;
static FILE *trace; /* what the stage told */

static void setup(void)
{
    broker = memory_broker_new(1);
    rig_create_topics(broker);
    rig = rig_new(broker, "ingest", IN, OUT, RETRY);
    rig->fold_every = 1;
    trace = tmpfile();
    ck_assert_ptr_nonnull(trace);
    rig->trace_to = fileno(trace);
}

static void teardown(void)
{
    rig_free(rig);
    ck_assert_int_eq(fclose(trace), 0);
    memory_broker_free(broker);
}

/* ---- What the tests say -------------------------------------------------------------------------------------------
 */

static uint64_t submit(const char *model, const char *word)
{
    return rig_submit(broker, IN, 0, model, word);
}

static void submit_many(const char *model, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)submit(model, "ok");
    }
}

static void run(void)
{
    if (rig->stage == NULL) {
        rig_start(rig);
    }
    rig_run(rig);
    ck_assert_msg(!rig->over, "the stage ended: %d", rig->exit_code);
}

/* Counts of ops.fold and ops.fold_load of what follows. */
static void run_again(void)
{
    rig_crash(rig);
    rig->folded = rig->loaded = 0;
    run();
}

static uint64_t cached(void)
{
    return memory_broker_high(broker, FOLDS, 0);
}

/* The keys of the cache's records from there on: "ingest/0/…/a ingest". */
static const char *keys_from(uint64_t from)
{
    static char text[TEXT_SIZE];
    size_t used = 0;
    text[0] = '\0';
    for (uint64_t at = from; at < cached(); at++) {
        const struct mr_log_record *record = memory_broker_record(broker, FOLDS, 0, at);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", used > 0 ? " " : "", (int)record->key.size,
                                 (const char *)record->key.data);
        ck_assert_uint_lt(used, sizeof text);
    }
    return text;
}

/* Writes a record of the cache once more, changed or not. */
static void write_again(uint64_t offset, void (*change)(Millrace__Fold__V1__FoldEntry *entry))
{
    const struct mr_log_record *record = memory_broker_record(broker, FOLDS, 0, offset);
    Millrace__Fold__V1__FoldEntry *entry =
        millrace__fold__v1__fold_entry__unpack(NULL, record->value.size, record->value.data);
    uint8_t *bytes = malloc(record->value.size + 64);
    ck_assert_ptr_nonnull(entry);
    if (change != NULL) {
        change(entry);
    }
    ck_assert_uint_le(millrace__fold__v1__fold_entry__get_packed_size(entry), record->value.size + 64);
    const struct mr_log_output output = {
        .topic = FOLDS,
        .has_key = true,
        .key = record->key,
        .has_value = true,
        .value = mr_bytes_of(bytes, millrace__fold__v1__fold_entry__pack(entry, bytes)),
    };
    memory_broker_append(broker, &output);
    millrace__fold__v1__fold_entry__free_unpacked(entry, NULL);
    free(bytes);
}

/* Of the records with that key. */
static uint64_t last_of(const char *key)
{
    for (uint64_t at = cached(); at-- > 0;) {
        if (mr_bytes_equal(memory_broker_record(broker, FOLDS, 0, at)->key, mr_bytes_of_text(key))) {
            return at;
        }
    }
    ck_abort_msg("%s is not cached", key);
    return 0;
}

/* Whether a line was written that has both. */
static bool was_told(const char *decision, const char *detail)
{
    static char text[1 << 16];
    const ssize_t size = pread(rig->trace_to, text, sizeof text - 1, 0);
    ck_assert_int_ge(size, 0);
    text[size] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strstr(line, decision) != NULL && strstr(line, detail) != NULL) {
            return true;
        }
    }
    return false;
}

/* The stage's state is the fold of all that is in the log: the next output of each model says so. */
static void check_states(void)
{
    static const char *const models[] = {"a", "b", "c"};
    for (size_t m = 0; m < MR_COUNT_OF(models); m++) {
        (void)submit(models[m], "ok");
    }
    run();
    for (size_t m = 0; m < MR_COUNT_OF(models); m++) {
        uint64_t origins[TEXT_SIZE];
        size_t count = 0;
        const struct mr_log_record *last = NULL;
        const char *text = stamped_origins(broker, OUT, 0, models[m]);
        for (char *end; *text != '\0'; text = *end == ' ' ? end + 1 : end) {
            origins[count++] = strtoull(text, &end, 10);
            ck_assert_msg(count < 2 || origins[count - 2] < origins[count - 1], "%s: an origin twice", models[m]);
        }
        for (uint64_t at = 0; at < memory_broker_high(broker, OUT, 0); at++) {
            const struct mr_log_record *record = memory_broker_record(broker, OUT, 0, at);
            last = mr_bytes_equal(record->key, mr_bytes_of_text(models[m])) ? record : last;
        }
        char expected[RIG_STATE_SIZE];
        struct mr_bytes shown;
        rig_state_text(origins, count, expected);
        ck_assert(last != NULL && mr_log_header_find(last, "test_state", &shown));
        ck_assert_msg(mr_bytes_equal(shown, mr_bytes_of_text(expected)), "%s: expected %s, got %.*s", models[m],
                      expected, (int)shown.size, (const char *)shown.data);
    }
}

/* ---- Taken ---------------------------------------------------------------------------------------------------------
 */

START_TEST(what_is_cached_is_not_folded)
{
    submit_many("a", 10);
    submit_many("b", 10);
    run();
    run_again();
    ck_assert_uint_eq(rig->loaded, 2);
    ck_assert_uint_eq(rig->folded, 0);
    ck_assert(was_told("FoldCacheTaken", "\"partition\":0,\"lanes\":2"));
    ck_assert(!was_told("FoldCacheIgnored", ""));
    check_states();
}
END_TEST

START_TEST(what_follows_is_folded)
{
    submit_many("a", 5);
    run();
    rig->fold_every = 1000;
    run_again();
    submit_many("a", 3);
    submit_many("b", 3);
    run();
    run_again();
    ck_assert_uint_eq(rig->loaded, 1);
    ck_assert_uint_eq(rig->folded, 6);
    check_states();
}
END_TEST

START_TEST(dead_letters_are_cached_too)
{
    submit_many("a", 3);
    const uint64_t dead = submit("b", "dead");
    run();
    submit_many("a", 1);
    run();
    rig_crash(rig);
    /* Nothing but the mark says that it was handled. */
    memory_broker_expire(broker, MR_TOPIC_DEADLETTERS, 0, 1);
    memory_broker_commit(broker, "ingest", IN, 0, dead);
    rig->call_count = 0;
    run();
    ck_assert_uint_eq(rig->call_count, 0);
    ck_assert_uint_eq(rig->duplicates, 2);
    check_states();
}
END_TEST

START_TEST(what_is_parked_is_not_taken_for_resolved)
{
    submit_many("a", 2);
    (void)submit("a", "fail3");
    submit_many("a", 2); /* they wait behind it */
    run();
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1");
    run_again();
    ck_assert_uint_eq(rig->loaded, 1);
    for (int i = 0; i < 20; i++) {
        rig->now_ms += 10000;
        run();
    }
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "0 1 2 3 4");
    check_states();
}
END_TEST

START_TEST(without_it_everything_is_as_it_was)
{
    rig->fold_every = 0;
    submit_many("a", 10);
    run();
    ck_assert_uint_eq(cached(), 0);
    rig->fold_every = 1;
    run_again();
    ck_assert_uint_eq(rig->folded, 10);
    ck_assert_uint_gt(cached(), 0);
    rig->fold_every = 0; /* nor is it read */
    run_again();
    ck_assert_uint_eq(rig->folded, 10);
    check_states();
}
END_TEST

/* ---- Written -------------------------------------------------------------------------------------------------------
 */

START_TEST(nothing_is_cached_before_the_outputs_that_it_holds_are_acknowledged)
{
    rig->fold_every = 2;
    memory_broker_hold_acks(broker, true);
    submit_many("a", 2);
    (void)submit("b", "ok");
    run();
    memory_broker_release_acks(broker, 2);
    run();
    /* A snapshot has begun. Memory holds b's output; a crash could lose it yet. */
    ck_assert_uint_eq(cached(), 0);
    memory_broker_release_acks(broker, 1);
    run();
    ck_assert_uint_gt(cached(), 0);
    memory_broker_hold_acks(broker, false);
    run();
    run_again();
    ck_assert_uint_eq(rig->folded, 0);
    check_states();
}
END_TEST

START_TEST(a_verdict_that_is_held_back_is_waited_for)
{
    /* The dead letter is on its way, and holds the output behind it back: the state has changed already. */
    rig->fold_every = 2;
    memory_broker_hold_acks(broker, true);
    submit_many("b", 2);
    (void)submit("a", "dead");
    (void)submit("a", "ok");
    run();
    memory_broker_release_acks(broker, 2);
    run();
    ck_assert_uint_eq(memory_broker_high(broker, MR_TOPIC_DEADLETTERS, 0), 1);
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "");
    memory_broker_release_acks(broker, 1);
    run();
    ck_assert_str_eq(stamped_origins(broker, OUT, 0, "a"), "3");
    ck_assert_uint_eq(cached(), 0);
    memory_broker_hold_acks(broker, false);
    run();
    run_again();
    ck_assert_uint_eq(rig->folded, 0);
    check_states();
}
END_TEST

START_TEST(the_mark_follows_the_lanes_acknowledgements)
{
    submit_many("a", 2);
    run();
    const uint64_t before = cached();
    submit_many("a", 1);
    memory_broker_hold_acks(broker, true);
    run();
    memory_broker_release_acks(broker, 1); /* the output */
    run();
    ck_assert_str_eq(keys_from(before), LANE("0", "a"));
    run_again(); /* in between */
    ck_assert_uint_eq(rig->loaded, 1);
    ck_assert_uint_eq(rig->folded, 0); /* the lane has it already: it is not taken twice */
    memory_broker_hold_acks(broker, false);
    check_states();
}
END_TEST

START_TEST(only_what_changed_is_written)
{
    submit_many("a", 1);
    submit_many("b", 1);
    run();
    const uint64_t before = cached();
    submit_many("b", 1);
    run();
    ck_assert_str_eq(keys_from(before), LANE("0", "b") " ingest");
    const uint64_t then = cached();
    run();
    ck_assert_str_eq(keys_from(then), "");
    check_states();
}
END_TEST

START_TEST(an_assignment_writes_all_of_it_beside_the_last_one)
{
    submit_many("a", 1);
    submit_many("b", 1);
    run();
    const uint64_t before = cached();
    run_again();
    submit_many("b", 1);
    run();
    ck_assert(strstr(keys_from(before), LANE("1", "a")) != NULL);
    ck_assert(strstr(keys_from(before), LANE("1", "b")) != NULL);
    ck_assert(strstr(keys_from(before), "ingest/0/") == NULL);
    run_again();
    ck_assert_uint_eq(rig->folded, 0);
    check_states();
}
END_TEST

START_TEST(a_snapshot_is_a_fraction_of_what_was_produced)
{
    rig->fold_share = 4; /* a lane counts for 256 bytes at least, an output of these for some 30 */
    (void)submit("a", "ok");
    run();
    ck_assert_uint_eq(cached(), 0);
    submit_many("a", 40);
    run();
    ck_assert_uint_gt(cached(), 0);
    check_states();
}
END_TEST

START_TEST(a_large_state_is_in_parts_that_take_turns)
{
    rig->state_padding = 600 * 1024;
    submit_many("a", 1);
    run();
    ck_assert_str_eq(keys_from(0),
                     LANE("0", "a/1/0") " " LANE("0", "a/1/1") " " LANE("0", "a/1/2") " " LANE("0", "a") " ingest");
    const uint64_t before = cached();
    submit_many("a", 1);
    run();
    ck_assert(strstr(keys_from(before), LANE("0", "a/0/0")) != NULL);
    run_again();
    ck_assert_uint_eq(rig->loaded, 1);
    ck_assert_uint_eq(rig->folded, 0);
    check_states();
}
END_TEST

START_TEST(a_stop_takes_the_last_one)
{
    rig->fold_every = 1000;
    submit_many("a", 10);
    run();
    ck_assert_uint_eq(cached(), 0);
    rig_stop(rig);
    ck_assert_uint_gt(cached(), 0);
    run_again();
    ck_assert_uint_eq(rig->folded, 0);
    check_states();
}
END_TEST

START_TEST(a_broker_that_is_down_is_waited_for)
{
    rig->fold_every = 3;
    submit_many("a", 2);
    run();
    memory_broker_set_down(broker, true);
    run();
    memory_broker_set_down(broker, false);
    submit_many("a", 1);
    run();
    ck_assert_uint_gt(cached(), 0);
    check_states();
}
END_TEST

/* ---- Ignored, by name ----------------------------------------------------------------------------------------------
 */

/* Everything is folded, and nothing is lost. */
static void check_ignored(const char *reason)
{
    char text[64];
    const char *outputs = stamped_origins(broker, OUT, 0, "a");
    size_t count = *outputs == '\0' ? 0 : 1;
    for (; *outputs != '\0'; outputs++) {
        count += *outputs == ' ';
    }
    snprintf(text, sizeof text, "\"reason\":\"%s\"", reason);
    run_again();
    ck_assert_msg(was_told("FoldCacheIgnored", text), "%s was not told", text);
    ck_assert_uint_ge(rig->folded, count);
    check_states();
    run_again(); /* what was cached since is good */
    ck_assert_uint_eq(rig->folded, 0);
    check_states();
}

static void of_another_log(Millrace__Fold__V1__FoldEntry *entry)
{
    entry->log_id.data[3] ^= 1;
}

static void of_another_version(Millrace__Fold__V1__FoldEntry *entry)
{
    entry->version = 2;
}

static void with_another_state(Millrace__Fold__V1__FoldEntry *entry)
{
    entry->lane->state_version = 2;
}

static void with_no_state(Millrace__Fold__V1__FoldEntry *entry)
{
    entry->lane->state.len = 3;
}

static void of_another_epoch(Millrace__Fold__V1__FoldEntry *entry)
{
    entry->epoch++;
}

static void far_beyond(Millrace__Fold__V1__FoldEntry *entry)
{
    entry->mark->topics[0]->next += 1000;
}

static void with_another_topic(Millrace__Fold__V1__FoldEntry *entry)
{
    entry->mark->topics[0]->topic[0] = 'x';
}

static const struct {
    const char *reason, *key;
    void (*change)(Millrace__Fold__V1__FoldEntry *entry);
} bad[] = {
    {"other_log", "ingest", of_another_log},
    {"other_version", "ingest", of_another_version},
    {"beyond_end", "ingest", far_beyond},
    {"unreadable", "ingest", with_another_topic},
    {"other_version", LANE("0", "b"), with_another_state},
    {"incomplete", LANE("0", "b"), of_another_version},
    {"incomplete", LANE("0", "b"), of_another_epoch},
    {"unreadable", LANE("0", "b"), with_no_state},
};

START_TEST(what_is_not_as_it_must_be_is_named_and_ignored)
{
    submit_many("a", 4);
    submit_many("b", 4);
    run();
    rig_crash(rig);
    write_again(last_of(bad[_i].key), bad[_i].change);
    check_ignored(bad[_i].reason);
}
END_TEST

START_TEST(garbage_is_named_and_ignored)
{
    submit_many("a", 4);
    run();
    rig_crash(rig);
    const struct mr_log_output garbage = {.topic = FOLDS,
                                          .has_key = true,
                                          .key = mr_bytes_of_text("ingest"),
                                          .has_value = true,
                                          .value = mr_bytes_of_text("\xff\xff\xff")};
    memory_broker_append(broker, &garbage);
    check_ignored("unreadable");
}
END_TEST

START_TEST(a_part_that_is_missing_is_named)
{
    rig->state_padding = 600 * 1024;
    submit_many("a", 4);
    run();
    rig_crash(rig);
    const struct mr_log_output gone = {
        .topic = FOLDS, .has_key = true, .key = memory_broker_record(broker, FOLDS, 0, 1)->key};
    uint64_t last = last_of("ingest");
    while (strstr(keys_from(last), "/1/") == NULL) {
        last--;
    }
    struct mr_log_output output = gone;
    output.key = memory_broker_record(broker, FOLDS, 0, last)->key;
    memory_broker_append(broker, &output);
    rig->state_padding = 0;
    check_ignored("incomplete");
}
END_TEST

/* What it does not know any more, it would take for what never was. */
START_TEST(an_entry_that_lost_its_outputs_is_refused)
{
    rig->fold_every = 4;
    submit_many("a", 4);
    run();
    rig->fold_every = 1000;
    run_again();
    submit_many("a", 4);
    run();
    memory_broker_expire(broker, OUT, 0, 4); /* all of it is cached */
    run_again();
    memory_broker_expire(broker, OUT, 0, 6);
    rig_crash(rig);
    rig->folded = rig->loaded = 0;
    rig_start(rig);
    rig_run(rig);
    ck_assert(rig->over);
    ck_assert_int_eq(rig->exit_code, 76);
    ck_assert(was_told("FoldCacheIgnored", "\"reason\":\"expired\""));
    ck_assert_uint_eq(rig->folded + rig->loaded, 0);
}
END_TEST

/* Of a model whose first record is gone, a part would be folded. */
START_TEST(behind_the_entry_the_input_is_read_again)
{
    uint64_t origins[9];
    char state[RIG_STATE_SIZE];
    rig_free(rig);
    rig = rig_new(broker, "validate", OUT, MR_TOPIC_VALIDATED, MR_TOPIC_RETRIES_VALIDATE);
    rig->trace_to = fileno(trace);
    rig->fold_every = _i == 0 ? 4 : 0;
    for (uint64_t i = 0; i < MR_COUNT_OF(origins); i++) {
        origins[i] = i;
        if (i == 8) {
            memory_broker_expire(broker, MR_TOPIC_VALIDATED, 0, 6);
            run_again();
        }
        rig_stamped(broker, OUT, 0, "a", i, (int64_t)i - 1, "ok");
        if (i == 3) {
            run();
            rig->fold_every = _i == 0 ? 1000 : 0;
            run_again();
        }
        run();
    }
    ck_assert(_i != 0 || was_told("FoldCacheIgnored", "\"reason\":\"expired\""));
    ck_assert(was_told("FoldIncomplete", "begins at 6"));
    ck_assert_uint_eq(rig->folded + rig->loaded, 0);
    ck_assert_str_eq(stamped_origins(broker, MR_TOPIC_VALIDATED, 0, "a"), "0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 8");
    rig_state_text(origins, MR_COUNT_OF(origins), state);
    const uint64_t last = memory_broker_high(broker, MR_TOPIC_VALIDATED, 0) - 1;
    struct mr_bytes shown;
    ck_assert(mr_log_header_find(memory_broker_record(broker, MR_TOPIC_VALIDATED, 0, last), "test_state", &shown));
    ck_assert(mr_bytes_equal(shown, mr_bytes_of_text(state)));
}
END_TEST

/* ---- Two owners ----------------------------------------------------------------------------------------------------
 */

START_TEST(behind_another_owners_output_nothing_is_cached)
{
    submit_many("a", 3);
    const uint64_t origin = submit("c", "drop");
    run();
    /* An earlier owner's output comes late. */
    rig_stamped(broker, OUT, 0, "c", origin, -1, "late");
    submit_many("a", 3);
    run();
    ck_assert(was_told("FoldCacheHalted", "\"expected\":3,\"offset\":4"));
    const uint64_t before = cached();
    submit_many("a", 3);
    run();
    ck_assert_uint_eq(cached(), before);
    run_again();
    ck_assert_uint_ge(rig->folded, 1); /* that one is among them */
    ck_assert_uint_gt(cached(), before);
}
END_TEST

START_TEST(what_an_earlier_owner_writes_late_is_not_taken_for_newer)
{
    submit_many("a", 3);
    submit_many("b", 3);
    run();
    const uint64_t lane = last_of(LANE("0", "a")), mark = last_of("ingest");
    run_again();
    submit_many("a", 3);
    run();
    run_again(); /* back in the first slot */
    submit_many("a", 3);
    submit_many("b", 1);
    run();
    rig_crash(rig);
    write_again(_i == 0 ? lane : mark, NULL);
    check_ignored("incomplete");
}
END_TEST

/* ---- Many ----------------------------------------------------------------------------------------------------------
 */

START_TEST(ten_thousand_models_are_cached_in_batches)
{
    enum { MODELS = 10000 };
    char model[16];
    rig->models_max = 32768;
    rig->fold_every = MODELS;
    rig->window_records = 20000;
    for (unsigned i = 0; i < MODELS; i++) {
        snprintf(model, sizeof model, "m%u", i);
        (void)submit(model, "ok");
    }
    for (int i = 0; i < 20; i++) {
        run();
    }
    ck_assert_uint_eq(cached(), MODELS + 1);
    rig->fold_every = 1000000;
    run_again();
    ck_assert_uint_eq(rig->loaded, MODELS);
    ck_assert_uint_eq(rig->folded, 0);
    check_states();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_cached_is_not_folded);
    tcase_add_test(tests, what_follows_is_folded);
    tcase_add_test(tests, dead_letters_are_cached_too);
    tcase_add_test(tests, what_is_parked_is_not_taken_for_resolved);
    tcase_add_test(tests, without_it_everything_is_as_it_was);
    tcase_add_test(tests, nothing_is_cached_before_the_outputs_that_it_holds_are_acknowledged);
    tcase_add_test(tests, a_verdict_that_is_held_back_is_waited_for);
    tcase_add_test(tests, the_mark_follows_the_lanes_acknowledgements);
    tcase_add_test(tests, only_what_changed_is_written);
    tcase_add_test(tests, an_assignment_writes_all_of_it_beside_the_last_one);
    tcase_add_test(tests, a_snapshot_is_a_fraction_of_what_was_produced);
    tcase_add_test(tests, a_large_state_is_in_parts_that_take_turns);
    tcase_add_test(tests, a_stop_takes_the_last_one);
    tcase_add_test(tests, a_broker_that_is_down_is_waited_for);
    tcase_add_loop_test(tests, what_is_not_as_it_must_be_is_named_and_ignored, 0, MR_COUNT_OF(bad));
    tcase_add_test(tests, garbage_is_named_and_ignored);
    tcase_add_test(tests, a_part_that_is_missing_is_named);
    tcase_add_test(tests, an_entry_that_lost_its_outputs_is_refused);
    tcase_add_loop_test(tests, behind_the_entry_the_input_is_read_again, 0, 2);
    tcase_add_test(tests, behind_another_owners_output_nothing_is_cached);
    tcase_add_loop_test(tests, what_an_earlier_owner_writes_late_is_not_taken_for_newer, 0, 2);
    tcase_add_test(tests, ten_thousand_models_are_cached_in_batches);
}

int main(void)
{
    return check_main("stage_folds", add);
}
