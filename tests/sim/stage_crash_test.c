/*
 * Two stages in a row over the in-memory log, which die at random points, with acknowledgements and writes held back at
 * random. Claim: behind them every model's records stand in order, none lost, none twice after dropping equal origins;
 * each dead letter is there once or more with equal origin; and the state of each model is the fold of its outputs,
 * which is cached after every few of them.
 */
#include "check_main.h"
#include "prng.h"
#include "stage_rig.h"
#include "stamped.h"

#include <stdio.h>
#include <string.h>

enum { SEEDS = 100, RECORDS = 120, MODELS = 5, STEPS = 4000 };

static const char *const words[] = {"ok", "ok", "ok", "ok", "drop", "dead", "fail1", "fail3", "fail9", "busy"};

static bool chance(struct prng *prng, unsigned per_mille)
{
    return prng_below(prng, 1000) < per_mille;
}

/* Equal origins once: a record that is not behind all before it is a copy. */
static void deduplicated(const char *origins, char *ret_text, size_t size)
{
    long last = -1;
    size_t used = 0;
    ret_text[0] = '\0';
    for (const char *at = origins; *at != '\0';) {
        char *end;
        const long origin = strtol(at, &end, 10);
        if (origin > last) {
            used += (size_t)snprintf(ret_text + used, size - used, "%s%ld", used > 0 ? " " : "", origin);
            last = origin;
        }
        at = *end == ' ' ? end + 1 : end;
    }
}

/* Every output shows the state that its model had by all before it, each origin once. */
static void check_states(struct memory_broker *broker, const char *topic, const char *model, int seed)
{
    uint64_t origins[RECORDS];
    size_t count = 0, at = 0;
    const char *text = stamped_origins(broker, topic, 0, model);
    for (char *end; *text != '\0'; text = *end == ' ' ? end + 1 : end, at++) {
        const uint64_t origin = strtoull(text, &end, 10);
        while (!mr_bytes_equal(memory_broker_record(broker, topic, 0, at)->key, mr_bytes_of_text(model))) {
            at++;
        }
        size_t place = 0;
        while (place < count && origins[place] < origin) {
            place++;
        }
        if (place == count) {
            origins[count++] = origin;
        }
        char expected[RIG_STATE_SIZE];
        struct mr_bytes shown;
        rig_state_text(origins, place + 1, expected);
        ck_assert(mr_log_header_find(memory_broker_record(broker, topic, 0, at), "test_state", &shown));
        ck_assert_msg(mr_bytes_equal(shown, mr_bytes_of_text(expected)),
                      "seed %d, %s, model %s, origin %llu: expected %s, got %.*s", seed, topic, model,
                      (unsigned long long)origin, expected, (int)shown.size, (const char *)shown.data);
    }
}

static void step(struct rig *rig, struct prng *prng)
{
    if (rig->stage == NULL) {
        rig_start(rig);
    }
    if (chance(prng, 15)) {
        rig_crash(rig);
        return;
    }
    if (chance(prng, 300)) {
        rig_finish(rig);
    }
    ck_assert_msg(mr_stage_turn(rig->stage, 0, false, &rig->exit_code), "the stage ended: %d", rig->exit_code);
    rig->now_ms += (int64_t)prng_below(prng, 40);
}

static void faults(struct memory_broker *broker, struct prng *prng)
{
    if (chance(prng, 30)) {
        memory_broker_hold_writes(broker, chance(prng, 500));
    }
    if (chance(prng, 30)) {
        memory_broker_hold_acks(broker, chance(prng, 500));
    }
    if (chance(prng, 5)) {
        memory_broker_set_down(broker, true);
    } else if (chance(prng, 100)) {
        memory_broker_set_down(broker, false);
    }
}

START_TEST(nothing_is_lost_doubled_or_reordered)
{
    struct prng prng = {.state = (uint64_t)_i * 7919 + 1};
    struct memory_broker *broker = memory_broker_new((uint64_t)_i);
    rig_create_topics(broker);
    memory_broker_shuffle(broker, true);
    struct rig *first = rig_new(broker, "ingest", MR_TOPIC_SUBMITTED, MR_TOPIC_INGESTED, MR_TOPIC_RETRIES_INGEST);
    struct rig *second = rig_new(broker, "validate", MR_TOPIC_INGESTED, MR_TOPIC_VALIDATED, MR_TOPIC_RETRIES_VALIDATE);
    first->fold_every = 1 + (uint32_t)prng_below(&prng, 6);
    second->fold_every = 1 + (uint32_t)prng_below(&prng, 6);
    char expected[MODELS][4096] = {{0}};
    unsigned dead = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        const unsigned model = (unsigned)prng_below(&prng, MODELS);
        const char *word = words[prng_below(&prng, MR_COUNT_OF(words))];
        const char name[2] = {(char)('a' + model), '\0'};
        const uint64_t origin = rig_submit(broker, MR_TOPIC_SUBMITTED, 0, name, word);
        const bool lost = strcmp(word, "dead") == 0 || strcmp(word, "fail9") == 0;
        dead += lost;
        if (!lost && strcmp(word, "drop") != 0) {
            const size_t used = strlen(expected[model]);
            snprintf(expected[model] + used, sizeof expected[model] - used, "%s%llu", used > 0 ? " " : "",
                     (unsigned long long)origin);
        }
    }
    for (unsigned i = 0; i < STEPS; i++) {
        step(first, &prng);
        step(second, &prng);
        faults(broker, &prng);
    }
    /* Then calm, until all is done. */
    memory_broker_hold_writes(broker, false);
    memory_broker_hold_acks(broker, false);
    memory_broker_set_down(broker, false);
    for (unsigned i = 0; i < 300; i++) {
        for (struct rig *rig = first;; rig = second) {
            if (rig->stage == NULL) {
                rig_start(rig);
            }
            rig_finish(rig);
            rig_run(rig);
            rig->now_ms += 1000;
            if (rig == second) {
                break;
            }
        }
    }
    for (unsigned model = 0; model < MODELS; model++) {
        char got[4096];
        const char name[2] = {(char)('a' + model), '\0'};
        deduplicated(stamped_origins(broker, MR_TOPIC_VALIDATED, 0, name), got, sizeof got);
        ck_assert_msg(strcmp(got, expected[model]) == 0, "seed %d, model %s:\n expected %s\n      got %s", _i, name,
                      expected[model], got);
        check_states(broker, MR_TOPIC_INGESTED, name, _i);
        check_states(broker, MR_TOPIC_VALIDATED, name, _i);
    }
    ck_assert_uint_gt(first->loaded, 0);
    ck_assert_uint_gt(second->loaded, 0);
    ck_assert_uint_ge(memory_broker_high(broker, MR_TOPIC_DEADLETTERS, 0), dead);
    uint64_t next;
    ck_assert(memory_broker_committed(broker, "ingest", MR_TOPIC_SUBMITTED, 0, &next));
    ck_assert_uint_eq(next, RECORDS);
    rig_free(first);
    rig_free(second);
    memory_broker_free(broker);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_loop_test(tcase, nothing_is_lost_doubled_or_reordered, 0, SEEDS);
}

int main(void)
{
    return check_main("stage_crash", add);
}
