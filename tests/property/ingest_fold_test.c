/* The memory of a partition, from seeds: it is the fold of what was accepted, and lets nothing through twice. */
#include "check_main.h"
#include "ingest_memory.h"
#include "prng.h"

#include <stdio.h>
#include <string.h>

enum { SEEDS = 20, STEPS = 1500, MODELS = 3, RUNS = 40, PRODUCERS = 4, REPLAYS = 30 };

static struct ingest_record any_record(struct prng *p)
{
    struct ingest_record record;
    memset(&record, 0, sizeof record);
    struct ingest_facts *facts = &record.facts;
    facts->ids_valid = facts->key_matches = facts->partition_matches = true;
    facts->replay = prng_below(p, 8) == 0 ? INGEST_REPLAY_NAMED : INGEST_REPLAY_NONE;
    (void)snprintf(record.model_id, sizeof record.model_id, "m%u", (unsigned)prng_below(p, MODELS));
    (void)snprintf(record.run_id, sizeof record.run_id, "r%u", (unsigned)prng_below(p, RUNS));
    if (facts->replay == INGEST_REPLAY_NAMED) {
        (void)snprintf(record.replay_of, sizeof record.replay_of, "d%u", (unsigned)prng_below(p, REPLAYS));
    }
    const uint64_t body = prng_below(p, 10);
    if (body == 0) {
        facts->body = INGEST_BODY_RUN_STARTED;
        facts->of.run_started.spec_valid = true;
        facts->of.run_started.job = INGEST_JOB_PRICING;
    } else if (body == 1) {
        facts->body = INGEST_BODY_RUN_STOPPED;
        facts->of.run_stopped.outcome_valid = true;
    } else {
        facts->body = INGEST_BODY_BATCH;
        facts->of.batch.payload = INGEST_PAYLOAD_SOBOL_RANGE;
        facts->of.batch.inline_fits = true;
        facts->of.batch.has_producer = true;
        facts->of.batch.epoch = (uint32_t)prng_below(p, 3);
        facts->of.batch.sequence = prng_below(p, 50);
        (void)snprintf(record.producer_id, sizeof record.producer_id, "p%u", (unsigned)prng_below(p, PRODUCERS));
    }
    return record;
}

/* Most batches should be of the open run, or nothing would ever be accepted. */
static void aim_at_open_run(struct prng *p, const char open_runs[MODELS][MR_ID_SIZE], struct ingest_record *record)
{
    const char *open = open_runs[record->model_id[1] - '0'];
    if (open[0] != '\0' && prng_below(p, 4) != 0) {
        memcpy(record->run_id, open, MR_ID_SIZE);
    }
}

static void expect_equal(const struct ingest_memory *a, const struct ingest_memory *b, uint64_t seed)
{
    struct prng p = {.state = seed ^ 0xf01d};
    for (int i = 0; i < 2000; i++) {
        const struct ingest_record record = any_record(&p);
        const struct ingest_view left = ingest_memory_view(a, &record);
        const struct ingest_view right = ingest_memory_view(b, &record);
        ck_assert_msg(left.run == right.run && left.another_open == right.another_open && left.job == right.job &&
                          left.producer == right.producer && left.epoch == right.epoch &&
                          left.sequence == right.sequence && left.replayed == right.replayed,
                      "seed %llu: the fold differs for %s %s", (unsigned long long)seed, record.model_id,
                      record.run_id);
    }
}

START_TEST(memory_is_the_fold_of_what_was_accepted)
{
    static struct ingest_record accepted[STEPS];
    const uint64_t seed = (uint64_t)_i;
    struct prng p = {.state = seed};
    char open_runs[MODELS][MR_ID_SIZE] = {{'\0'}};
    struct ingest_memory *memory = ingest_memory_new(seed);
    struct ingest_memory *folded = ingest_memory_new(seed + 1);
    size_t count = 0;
    for (int i = 0; i < STEPS; i++) {
        struct ingest_record record = any_record(&p);
        if (record.facts.body != INGEST_BODY_RUN_STARTED) {
            aim_at_open_run(&p, (const char(*)[MR_ID_SIZE])open_runs, &record);
        }
        const struct ingest_view view = ingest_memory_view(memory, &record);
        const struct ingest_event event = {.kind = INGEST_EVENT_SUBMITTED, .of = {.submitted = record.facts}};
        const struct ingest_decision decision = ingest_decide(&view, &event);
        if (decision.kind != INGEST_DECISION_ACCEPTED) {
            continue;
        }
        ck_assert(!mr_failed(ingest_memory_accept(memory, &record)));
        accepted[count++] = record;
        char *open = open_runs[record.model_id[1] - '0'];
        if (record.facts.body == INGEST_BODY_RUN_STARTED) {
            ck_assert_msg(open[0] == '\0', "seed %llu: two open runs", (unsigned long long)seed);
            memcpy(open, record.run_id, MR_ID_SIZE);
        } else if (record.facts.body == INGEST_BODY_RUN_STOPPED) {
            open[0] = '\0';
        }
        /* The very same record again is never accepted, but for a batch that is not numbered or is no replay. */
        const struct ingest_view again = ingest_memory_view(memory, &record);
        ck_assert_int_ne(ingest_decide(&again, &event).kind, INGEST_DECISION_ACCEPTED);
    }
    ck_assert_uint_gt(count, 20);
    for (size_t i = 0; i < count; i++) {
        ck_assert(!mr_failed(ingest_memory_accept(folded, &accepted[i])));
    }
    expect_equal(memory, folded, seed);
    struct ingest_memory *loaded = ingest_memory_new(seed + 2);
    for (unsigned m = 0; m <= MODELS; m++) { /* one of them is not known */
        char model[8];
        struct mr_buffer state = {0};
        (void)snprintf(model, sizeof model, "m%u", m);
        ck_assert(!mr_failed(ingest_memory_save(memory, model, &state)));
        ck_assert(!mr_failed(ingest_memory_load(loaded, model, mr_buffer_view(&state))));
        mr_buffer_deinit(&state);
    }
    expect_equal(memory, loaded, seed);
    ingest_memory_free(loaded);
    ingest_memory_free(memory);
    ingest_memory_free(folded);
}
END_TEST

START_TEST(a_bad_state_changes_nothing)
{
    static const char *const bad[] = {"\xff\xff", "\x0a\x01r" /* an open run of no job */,
                                      "\x1a\x00" /* a run without a name */};
    struct ingest_memory *memory = ingest_memory_new(1);
    const struct mr_error error = ingest_memory_load(memory, "m", mr_bytes_of(bad[_i], _i == 2 ? 2 : strlen(bad[_i])));
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    struct mr_buffer state = {0};
    ck_assert(!mr_failed(ingest_memory_save(memory, "m", &state)));
    ck_assert_uint_eq(state.size, 0);
    ingest_memory_free(memory);
}
END_TEST

START_TEST(producers_of_a_model_are_bounded)
{
    struct ingest_memory *memory = ingest_memory_new(1);
    struct ingest_record record;
    memset(&record, 0, sizeof record);
    memcpy(record.model_id, "m", 2);
    record.facts.body = INGEST_BODY_BATCH;
    record.facts.replay = INGEST_REPLAY_NONE;
    record.facts.of.batch.has_producer = true;
    for (int i = 0; i < INGEST_PRODUCERS_MAX; i++) {
        (void)snprintf(record.producer_id, sizeof record.producer_id, "p%d", i);
        ck_assert_int_eq(ingest_memory_view(memory, &record).producer, INGEST_PRODUCER_NEW);
        ck_assert(!mr_failed(ingest_memory_accept(memory, &record)));
    }
    ck_assert_int_eq(ingest_memory_view(memory, &record).producer, INGEST_PRODUCER_KNOWN);
    memcpy(record.producer_id, "new", 4);
    ck_assert_int_eq(ingest_memory_view(memory, &record).producer, INGEST_PRODUCER_NO_ROOM);
    memcpy(record.model_id, "n", 2);
    ck_assert_int_eq(ingest_memory_view(memory, &record).producer, INGEST_PRODUCER_NEW);
    ingest_memory_free(memory);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_loop_test(tcase, memory_is_the_fold_of_what_was_accepted, 0, SEEDS);
    tcase_add_loop_test(tcase, a_bad_state_changes_nothing, 0, 3);
    tcase_add_test(tcase, producers_of_a_model_are_bounded);
}

int main(void)
{
    return check_main("ingest_fold", add);
}
