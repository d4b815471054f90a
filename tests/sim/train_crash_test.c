/*
 * Crash anywhere, same model: stage_gpu, train and persist die at random points, the log holds back, loses and repeats,
 * the store loses answers. Claim: every model ends with the very version of a quiet run, its steps are all there with
 * equal bytes, and at the end nothing holds the offsets back.
 */
#include "check_main.h"
#include "prng.h"
#include "submitted.h"
#include "train_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 60, STEPS = 4000, BATCHES = 12, ROWS = 3, RECORDS_MAX = 200 };

static const char *const models[] = {"interval", "final", "both", "diverging"};
static const char *const plans[] = {"\"interval_commit\":{\"every_steps\":4}", "\"final_commit\":{}",
                                    "\"final_and_interval_commit\":{\"every_steps\":3}",
                                    "\"interval_commit\":{\"every_steps\":2}"};

static struct mr_buffer contracts(const char *run, const char *model, unsigned seed)
{
    char payload[2048];
    float rows[ROWS][6];
    for (unsigned i = 0; i < ROWS; i++) {
        const float u = (float)((seed * 7 + i * 3) % 11) / 10;
        const float row[6] = {90 + 10 * u, 100, 0.5F + u, 0.03F * u, 0.01F, 0.2F + 0.1F * u};
        memcpy(rows[i], row, sizeof row);
    }
    snprintf(payload, sizeof payload,
             "\"contracts\":{\"rows\":{\"dtype\":\"float32\",\"shape\":[%d,6],\"data\":\"%s\"}}", ROWS,
             submitted_floats(&rows[0][0], sizeof rows / sizeof rows[0][0]));
    return submitted_batch(run, model, "", payload);
}

static struct mr_buffer sobol(const char *run, const char *model, unsigned start)
{
    char payload[64];
    snprintf(payload, sizeof payload, "\"sobol_range\":{\"start\":%u,\"count\":4}", start);
    return submitted_batch(run, model, "", payload);
}

static const char pricing[] = SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP);
static const char labels[] = SUBMITTED_LABELLED_SPEC(SUBMITTED_KEEP);

/* The log, record by record. */
struct script {
    struct {
        const char *model;
        struct mr_buffer submitted;
    } line[RECORDS_MAX];
    size_t count, written;
};

static void say(struct script *script, unsigned model, struct mr_buffer submitted)
{
    ck_assert_uint_lt(script->count, RECORDS_MAX);
    script->line[script->count].model = models[model];
    script->line[script->count++].submitted = submitted;
}

/* One run of each model, their records mixed; the last one diverges in the middle of its first run. */
static void script_run(struct script *script, const char *run)
{
    for (unsigned m = 0; m < MR_COUNT_OF(models); m++) {
        say(script, m, submitted_start(run, models[m], submitted_planned(m == 3 ? labels : pricing, plans[m])));
    }
    for (unsigned i = 0; i < BATCHES; i++) {
        for (unsigned m = 0; m < 3; m++) {
            const bool range = (i + m) % 3 == 0;
            say(script, m, range ? sobol(run, models[m], 4 * i) : contracts(run, models[m], i + m));
        }
        const bool too_much = i == 7 && strcmp(run, "r1") == 0;
        say(script, 3, submitted_labelled(run, models[3], too_much ? 3e38F : (float)i));
    }
    for (unsigned m = 0; m < MR_COUNT_OF(models); m++) {
        say(script, m, submitted_stop(run, models[m]));
    }
}

static struct script *script_new(void)
{
    struct script *script = calloc(1, sizeof *script);
    ck_assert_ptr_nonnull(script);
    script_run(script, "r1");
    script_run(script, "r2");
    script_run(script, "r3");
    return script;
}

static void write_next(struct world *world, struct script *script)
{
    if (script->written < script->count) {
        world_validated(world, script->line[script->written].model, script->line[script->written].submitted);
        script->written++;
    }
}

static void write_rest(struct world *world, struct script *script)
{
    while (script->written < script->count) {
        write_next(world, script);
    }
    free(script);
}

static bool chance(struct prng *prng, unsigned per_mille)
{
    return prng_below(prng, 1000) < per_mille;
}

static void trouble(struct world *world, struct prng *prng)
{
    for (int part = 0; part < WORLD_PARTS; part++) {
        if (chance(prng, part == WORLD_TRAIN ? 25 : 10)) {
            world_crash(world, (enum world_part)part);
        } else if (!world->process[part].up && chance(prng, 200)) {
            ck_assert_int_eq(world->process[part].exit_code, 0);
            world_start(world, (enum world_part)part);
        }
    }
    if (chance(prng, 20)) {
        memory_broker_hold_writes(world->broker, chance(prng, 400));
    }
    if (chance(prng, 20)) {
        memory_broker_hold_acks(world->broker, chance(prng, 400));
    }
    if (chance(prng, 5)) {
        const struct memory_store_faults faults = {50, 50, 50, 50};
        memory_store_set_faults(world->store, chance(prng, 500) ? faults : (struct memory_store_faults){0});
    }
}

static void check_offsets(struct world *world)
{
    for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
        uint64_t next = 0;
        const uint64_t end = memory_broker_high(world->broker, MR_TOPIC_STAGED, p);
        ck_assert(end == 0 || memory_broker_committed(world->broker, "train", MR_TOPIC_STAGED, p, &next));
        ck_assert_uint_eq(next, end);
    }
}

struct expected {
    struct mr_head head;
    char *steps;
};

static void quiet_run(struct expected ret_expected[MR_COUNT_OF(models)])
{
    struct world *world = world_new(1);
    write_rest(world, script_new());
    world_settle(world);
    check_offsets(world);
    for (unsigned m = 0; m < MR_COUNT_OF(models); m++) {
        ret_expected[m].head = world_head(world, models[m]);
        ret_expected[m].steps = world_steps(world, models[m]);
    }
    ck_assert(world_count(world, "Diverged") == 1);
    ck_assert(world_count(world, "RunClosed") == 11);
    ck_assert(world_count(world, "LeaseLost") == 0);
    world_free(world);
}

START_TEST(a_crash_changes_nothing)
{
    struct expected expected[MR_COUNT_OF(models)];
    struct prng prng = {.state = (uint64_t)_i * 104729 + 7};
    quiet_run(expected);
    struct world *world = world_new((uint64_t)_i);
    memory_broker_shuffle(world->broker, true);
    world->run_ahead = 1 + prng_below(&prng, 4);
    struct script *script = script_new();
    for (unsigned i = 0; i < STEPS; i++) {
        if (chance(&prng, 50)) {
            write_next(world, script);
        }
        trouble(world, &prng);
        world_turn(world);
    }
    write_rest(world, script);
    world_settle(world);
    for (unsigned m = 0; m < MR_COUNT_OF(models); m++) {
        const struct mr_head head = world_head(world, models[m]);
        char *steps = world_steps(world, models[m]);
        ck_assert_msg(mr_sha256_equal(&head.record_hash, &expected[m].head.record_hash),
                      "seed %d: %s ends at %s, step %llu, instead of %s, step %llu", _i, models[m], head.version_id,
                      (unsigned long long)head.step, expected[m].head.version_id,
                      (unsigned long long)expected[m].head.step);
        ck_assert_msg(strcmp(steps, expected[m].steps) == 0, "seed %d: %s's steps differ", _i, models[m]);
        free(steps);
        free(expected[m].steps);
    }
    check_offsets(world);
    ck_assert_uint_gt(memory_broker_high(world->broker, MR_TOPIC_FOLDS, world_partition(models[0])), 0);
    world_free(world);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_loop_test(tcase, a_crash_changes_nothing, 0, SEEDS);
}

int main(void)
{
    return check_main("train_crash", add);
}
