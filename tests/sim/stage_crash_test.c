/*
 * Two stages in a row over the in-memory log, which die or freeze at random points, with acknowledgements and writes
 * held back at random. Claim: behind them every model's records stand in order, none lost, none twice after dropping
 * equal origins; each dead letter is there once or more with equal origin; and the state of each model is the fold of
 * its outputs, which is cached after every few of them.
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

/* Two processes of one stage. When the one is frozen the other takes over; what the first had under way comes late, or
 * never. */
struct pair {
    struct rig *rigs[2];
    unsigned active;
};

static struct pair pair_new(struct memory_broker *broker, const char *name, const char *input, const char *output,
                            const char *retry, uint32_t fold_every)
{
    struct pair pair = {.active = 0};
    for (unsigned i = 0; i < 2; i++) {
        pair.rigs[i] = rig_new(broker, name, input, output, retry);
        pair.rigs[i]->fold_every = fold_every;
    }
    return pair;
}

static struct rig *active(const struct pair *pair)
{
    return pair->rigs[pair->active];
}

static void freeze_or_end(struct pair *pair, struct prng *prng)
{
    struct rig *other = pair->rigs[1 - pair->active];
    if (other->stage != NULL && chance(prng, 20)) {
        rig_crash(other);
    } else if (other->stage == NULL && chance(prng, 10)) {
        other->now_ms = active(pair)->now_ms;
        pair->active = 1 - pair->active;
    }
}

static void step(struct pair *pair, struct prng *prng)
{
    freeze_or_end(pair, prng);
    struct rig *rig = active(pair);
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

/* Without faults, until all is done. */
static void calm(struct memory_broker *broker, struct pair *pairs[2])
{
    memory_broker_hold_writes(broker, false);
    memory_broker_hold_acks(broker, false);
    memory_broker_set_down(broker, false);
    for (unsigned i = 0; i < 600; i++) {
        struct rig *rig = active(pairs[i % 2]);
        rig_crash(pairs[i % 2]->rigs[1 - pairs[i % 2]->active]);
        if (rig->stage == NULL) {
            rig_start(rig);
        }
        rig_finish(rig);
        rig_run(rig);
        rig->now_ms += 1000;
    }
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

struct expected {
    char origins[MODELS][4096];
    unsigned dead;
};

static void submit_all(struct memory_broker *broker, struct prng *prng, struct expected *expected)
{
    memset(expected, 0, sizeof *expected);
    for (unsigned i = 0; i < RECORDS; i++) {
        const unsigned model = (unsigned)prng_below(prng, MODELS);
        const char *word = words[prng_below(prng, MR_COUNT_OF(words))];
        const char name[2] = {(char)('a' + model), '\0'};
        const uint64_t origin = rig_submit(broker, MR_TOPIC_SUBMITTED, 0, name, word);
        const bool lost = strcmp(word, "dead") == 0 || strcmp(word, "fail9") == 0;
        expected->dead += lost;
        if (!lost && strcmp(word, "drop") != 0) {
            char *text = expected->origins[model];
            const size_t used = strlen(text);
            snprintf(text + used, sizeof expected->origins[model] - used, "%s%llu", used > 0 ? " " : "",
                     (unsigned long long)origin);
        }
    }
}

static void check(struct memory_broker *broker, const struct expected *expected, int seed)
{
    uint64_t next;
    for (unsigned model = 0; model < MODELS; model++) {
        char got[4096];
        const char name[2] = {(char)('a' + model), '\0'};
        deduplicated(stamped_origins(broker, MR_TOPIC_VALIDATED, 0, name), got, sizeof got);
        ck_assert_msg(strcmp(got, expected->origins[model]) == 0, "seed %d, model %s:\n expected %s\n      got %s",
                      seed, name, expected->origins[model], got);
        check_states(broker, MR_TOPIC_INGESTED, name, seed);
        check_states(broker, MR_TOPIC_VALIDATED, name, seed);
    }
    ck_assert_uint_ge(memory_broker_high(broker, MR_TOPIC_DEADLETTERS, 0), expected->dead);
    ck_assert(memory_broker_committed(broker, "ingest", MR_TOPIC_SUBMITTED, 0, &next));
    ck_assert_uint_eq(next, RECORDS);
}

START_TEST(nothing_is_lost_doubled_or_reordered)
{
    struct prng prng = {.state = (uint64_t)_i * 7919 + 1};
    struct memory_broker *broker = memory_broker_new((uint64_t)_i);
    struct expected expected;
    rig_create_topics(broker);
    memory_broker_shuffle(broker, true);
    const uint32_t every = 1 + (uint32_t)prng_below(&prng, 6);
    struct pair first =
        pair_new(broker, "ingest", MR_TOPIC_SUBMITTED, MR_TOPIC_INGESTED, MR_TOPIC_RETRIES_INGEST, every);
    struct pair second =
        pair_new(broker, "validate", MR_TOPIC_INGESTED, MR_TOPIC_VALIDATED, MR_TOPIC_RETRIES_VALIDATE, every);
    submit_all(broker, &prng, &expected);
    for (unsigned i = 0; i < STEPS; i++) {
        step(&first, &prng);
        step(&second, &prng);
        faults(broker, &prng);
    }
    calm(broker, (struct pair *[2]){&first, &second});
    check(broker, &expected, _i);
    ck_assert_uint_gt(first.rigs[0]->loaded + first.rigs[1]->loaded, 0);
    ck_assert_uint_gt(second.rigs[0]->loaded + second.rigs[1]->loaded, 0);
    for (unsigned i = 0; i < 2; i++) {
        rig_free(first.rigs[i]);
        rig_free(second.rigs[i]);
    }
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
