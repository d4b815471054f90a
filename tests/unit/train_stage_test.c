/* train's stage between stage_gpu and persist: what it waits for, what makes it begin again, what makes it end. */
#include "check_main.h"
#include "submitted.h"
#include "train_world.h"

#include "millrace/checkpoint/v1/checkpoint.pb-c.h"
#include "millrace/config.h"
#include "millrace/step/v1/step.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char pricing[] = SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP);

/* A spec with a checkpoint every so many steps, and more JSON members; in a static buffer. */
static const char *every(unsigned steps, const char *more)
{
    static char text[8192];
    static const char old[] = "\"final_commit\":{}";
    const char *at = strstr(pricing, old);
    snprintf(text, sizeof text, "%.*s\"interval_commit\":{\"every_steps\":%u}%.*s%s}", (int)(at - pricing), pricing,
             steps, (int)(strlen(at + sizeof old - 1) - 1), at + sizeof old - 1, more);
    return text;
}

static void start(struct world *world, const char *run, const char *spec)
{
    world_validated(world, "m", submitted_start(run, "m", spec));
}

static void batches(struct world *world, const char *run, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char payload[64];
        snprintf(payload, sizeof payload, "\"sobol_range\":{\"start\":%u,\"count\":3}", 3 * i);
        world_validated(world, "m", submitted_batch(run, "m", "", payload));
    }
}

static uint64_t high(struct world *world, const char *topic)
{
    return memory_broker_high(world->broker, topic, world_partition("m"));
}

static uint64_t group_offset(struct world *world)
{
    uint64_t next = 0;
    return memory_broker_committed(world->broker, "train", MR_TOPIC_STAGED, world_partition("m"), &next) ? next : 0;
}

static Millrace__Step__V1__StepTrained *step_at(struct world *world, uint64_t offset)
{
    const struct mr_log_record *record =
        memory_broker_record(world->broker, MR_TOPIC_TRAINED, world_partition("m"), offset);
    Millrace__Step__V1__StepTrained *step =
        millrace__step__v1__step_trained__unpack(NULL, record->value.size, record->value.data);
    ck_assert_ptr_nonnull(step);
    return step;
}

/* ---- Order and waiting ------------------------------------------------------------------------------------------- */

START_TEST(one_step_for_every_record)
{
    struct world *world = world_new(1);
    start(world, "r1", pricing);
    batches(world, "r1", 2);
    world_validated(world, "m", submitted_stop("r1", "m"));
    world_settle(world);
    const Millrace__Step__V1__StepTrained__EventCase expected[] = {
        MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_OPENED, MILLRACE__STEP__V1__STEP_TRAINED__EVENT_STEPPED,
        MILLRACE__STEP__V1__STEP_TRAINED__EVENT_STEPPED, MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_CLOSED};
    ck_assert_uint_eq(high(world, MR_TOPIC_TRAINED), MR_COUNT_OF(expected));
    for (uint64_t i = 0; i < MR_COUNT_OF(expected); i++) {
        Millrace__Step__V1__StepTrained *step = step_at(world, i);
        ck_assert_int_eq(step->event_case, expected[i]);
        ck_assert_str_eq(step->run_id, "r1");
        ck_assert_uint_eq(step->stamp->origin->offset, i);
        millrace__step__v1__step_trained__free_unpacked(step, NULL);
    }
    ck_assert_uint_eq(world_head(world, "m").step, 2);
    ck_assert_uint_eq(group_offset(world), high(world, MR_TOPIC_STAGED));
    world_free(world);
}
END_TEST

/* Rule C4: a checkpoint event that stood in the log before the steps it holds would let persist commit what train may
 * still have to repeat. */
START_TEST(a_checkpoint_follows_the_acknowledgement_of_its_steps)
{
    struct world *world = world_new(1);
    start(world, "r1", every(1, ""));
    batches(world, "r1", 1);
    for (int i = 0; i < 100 && high(world, MR_TOPIC_TRAINED) < 2; i++) {
        memory_broker_hold_acks(world->broker, high(world, MR_TOPIC_STAGED) == 2);
        world_turn(world);
    }
    for (int i = 0; i < 100; i++) {
        world_turn(world);
    }
    ck_assert_uint_eq(high(world, MR_TOPIC_TRAINED), 2);
    ck_assert_uint_eq(high(world, MR_TOPIC_PRODUCED), 0);
    world_settle(world);
    ck_assert_uint_eq(high(world, MR_TOPIC_PRODUCED), 1);
    world_free(world);
}
END_TEST

/* Rules C2, C3: four ahead, and no offset is given up before a commit. */
START_TEST(it_runs_ahead_of_persist_by_so_many_checkpoints)
{
    struct world *world = world_new(1);
    world_crash(world, WORLD_PERSIST);
    start(world, "r1", every(1, ""));
    batches(world, "r1", 9);
    for (int i = 0; i < 3000; i++) {
        world_turn(world);
    }
    ck_assert_uint_eq(high(world, MR_TOPIC_PRODUCED), 4);
    ck_assert(world_count(world, "AwaitingCommit") == 1);
    ck_assert_uint_eq(group_offset(world), 0);
    world_settle(world);
    ck_assert_uint_eq(high(world, MR_TOPIC_PRODUCED), 9);
    ck_assert_uint_eq(world_head(world, "m").step, 9);
    ck_assert_uint_eq(group_offset(world), high(world, MR_TOPIC_STAGED));
    world_free(world);
}
END_TEST

/* A commit that no event told of is seen in the head. */
START_TEST(a_lost_commit_event_does_not_hold_it_for_ever)
{
    struct world *world = world_new(1);
    world->run_ahead = 1;
    world_crash(world, WORLD_TRAIN);
    world_start(world, WORLD_TRAIN);
    /* persist swaps the head, and dies when it tells. */
    memory_broker_fail_next(world->broker, MR_TOPIC_COMMITTED);
    start(world, "r1", every(1, ""));
    batches(world, "r1", 2);
    for (int i = 0; i < 3000; i++) {
        world_turn(world);
    }
    ck_assert(!world->process[WORLD_PERSIST].up);
    ck_assert_uint_eq(high(world, MR_TOPIC_COMMITTED), 0);
    ck_assert_uint_eq(high(world, MR_TOPIC_PRODUCED), 2);
    world->process[WORLD_PERSIST].exit_code = 0;
    world_settle(world);
    ck_assert_uint_eq(world_head(world, "m").step, 2);
    world_free(world);
}
END_TEST

START_TEST(beyond_models_max_a_start_waits)
{
    struct world *world = world_new(1);
    world->models_max = 1;
    world_crash(world, WORLD_TRAIN);
    world_start(world, WORLD_TRAIN);
    start(world, "r1", pricing);
    world_settle(world);
    world_validated(world, "other", submitted_start("r1", "other", pricing));
    world_settle(world);
    char *steps = world_steps(world, "other");
    ck_assert_str_eq(steps, "");
    free(steps);
    batches(world, "r1", 1);
    world_validated(world, "m", submitted_stop("r1", "m"));
    world_settle(world);
    steps = world_steps(world, "other");
    ck_assert_str_ne(steps, "");
    free(steps);
    world_free(world);
}
END_TEST

/* ---- Heads of others ------------------------------------------------------------------------------------------------
 */

static const char *head_text(struct world *world)
{
    static char text[4096];
    const struct mr_bytes bytes = memory_store_peek(world->store, "m/head.json");
    snprintf(text, sizeof text, "%.*s", (int)bytes.size, (const char *)bytes.data);
    return text;
}

/* Rule C8: an operator put an earlier version back; train's memory is ahead of it, and is dropped. */
START_TEST(a_head_that_is_not_its_own_makes_it_begin_again)
{
    struct world *world = world_new(1);
    start(world, "r1", every(2, ""));
    batches(world, "r1", 2);
    world_settle(world);
    char *earlier = strdup(head_text(world));
    batches(world, "r1", 2);
    world_settle(world);
    const struct mr_head before = world_head(world, "m");
    ck_assert_uint_eq(before.step, 4);
    /* persist is not there to settle what follows. */
    world_crash(world, WORLD_PERSIST);
    memory_store_set(world->store, "m/head.json", earlier);
    batches(world, "r1", 2);
    for (int i = 0; i < 3000; i++) {
        world_turn(world);
    }
    ck_assert(world_count(world, "RollbackRequired") == 1);
    ck_assert(world_count(world, "RestartedFrom") == 1);
    ck_assert_int_eq(world->process[WORLD_TRAIN].exit_code, 0);
    /* Its steps from there on are there again, to the end of the log, and equal: world_steps compares them. */
    ck_assert(world_count(world, "Stepped") == 6 + 4);
    char *steps = world_steps(world, "m");
    free(steps);
    free(earlier);
    world_free(world);
}
END_TEST

/* The same while persist runs: what it had committed before is in the log as resolved, but not in the chain any more.
 */
START_TEST(a_head_that_was_put_back_is_caught_up_with)
{
    struct world *world = world_new(1);
    start(world, "r1", every(2, ""));
    batches(world, "r1", 2);
    world_settle(world);
    char *earlier = strdup(head_text(world));
    batches(world, "r1", 4);
    world_settle(world);
    const struct mr_head before = world_head(world, "m");
    ck_assert_uint_eq(before.step, 6);
    memory_store_set(world->store, "m/head.json", earlier);
    batches(world, "r1", 2);
    for (int i = 0; i < 3000; i++) {
        world_turn(world);
    }
    ck_assert_int_eq(world->process[WORLD_PERSIST].exit_code, 0);
    const struct mr_head after = world_head(world, "m");
    ck_assert_uint_eq(after.step, 8);
    ck_assert_uint_eq(after.counter, before.counter + 1);
    char *steps = world_steps(world, "m");
    free(steps);
    free(earlier);
    world_free(world);
}
END_TEST

START_TEST(a_head_that_vanishes_stops_the_model)
{
    struct world *world = world_new(1);
    start(world, "r1", every(2, ""));
    batches(world, "r1", 2);
    world_settle(world);
    world_crash(world, WORLD_PERSIST);
    memory_store_set(world->store, "m/head.json", NULL);
    batches(world, "r1", 4);
    for (int i = 0; i < 3000; i++) {
        world_turn(world);
    }
    ck_assert(world_count(world, "HeadMissing") == 1);
    ck_assert_uint_eq(high(world, MR_TOPIC_PRODUCED), 1);
    world_free(world);
}
END_TEST

START_TEST(other_content_at_the_same_position_ends_the_process)
{
    struct world *world = world_new(1);
    start(world, "r1", every(2, ""));
    batches(world, "r1", 2);
    world_settle(world);
    char head[4096], *hash;
    snprintf(head, sizeof head, "%s", head_text(world));
    hash = strstr(head, "\"content_hash\":\"");
    ck_assert_ptr_nonnull(hash);
    hash += strlen("\"content_hash\":\"");
    *hash = *hash == '0' ? '1' : '0';
    world_crash(world, WORLD_PERSIST);
    memory_store_set(world->store, "m/head.json", head);
    batches(world, "r1", 2);
    for (int i = 0; i < 3000; i++) {
        world_turn(world);
    }
    ck_assert(!world->process[WORLD_TRAIN].up);
    ck_assert_int_eq(world->process[WORLD_TRAIN].exit_code, MR_EXIT_CONFLICT);
    world_free(world);
}
END_TEST

START_TEST(a_head_behind_the_end_of_the_log_is_refused)
{
    struct world *world = world_new(1);
    start(world, "r1", every(1, ""));
    batches(world, "r1", 1);
    world_settle(world);
    char head[4096], moved[4096], *offset;
    snprintf(head, sizeof head, "%s", head_text(world));
    offset = strstr(head, "\"offset\":");
    ck_assert_ptr_nonnull(offset);
    snprintf(moved, sizeof moved, "%.*s9%s", (int)(offset - head + (int)strlen("\"offset\":")), head,
             offset + strlen("\"offset\":"));
    memory_store_set(world->store, "m/head.json", moved);
    world_crash(world, WORLD_PERSIST);
    world_crash(world, WORLD_TRAIN);
    world_start(world, WORLD_TRAIN);
    batches(world, "r1", 1);
    for (int i = 0; i < 3000; i++) {
        world_turn(world);
    }
    ck_assert(!world->process[WORLD_TRAIN].up);
    ck_assert_int_eq(world->process[WORLD_TRAIN].exit_code, MR_EXIT_LOG);
    world_free(world);
}
END_TEST

/* ---- Restarting from a version (rule C9)
 * ------------------------------------------------------------------------------ */

static const char *restart_from(const char *version_id, const struct mr_sha256 *content)
{
    static char text[256];
    char hash[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(content, hash);
    snprintf(text, sizeof text, ",\"restart_from\":{\"version_id\":\"%s\",\"content_hash\":\"%s\"}", version_id, hash);
    return text;
}

START_TEST(a_run_restarts_from_a_version_and_extends_the_chain)
{
    struct world *world = world_new(1);
    start(world, "r1", every(2, ""));
    batches(world, "r1", 2);
    world_settle(world);
    const struct mr_head source = world_head(world, "m");
    batches(world, "r1", 2);
    world_validated(world, "m", submitted_stop("r1", "m"));
    world_settle(world);
    const struct mr_head last = world_head(world, "m");
    start(world, "r2", every(1, restart_from(source.version_id, &source.content_hash)));
    batches(world, "r2", 1);
    world_settle(world);
    struct mr_head head = world_head(world, "m");
    struct mr_version version;
    struct mr_sha256 record_hash;
    ck_assert(!mr_failed(mr_version_read(world->store, "m", head.version_id, NULL, &version, &record_hash)));
    ck_assert_uint_eq(head.counter, last.counter + 1);
    ck_assert_str_eq(version.parent_version_id, last.version_id);
    ck_assert(version.has_restarted_from);
    ck_assert_str_eq(version.restarted_version_id, source.version_id);
    world_free(world);
}
END_TEST

START_TEST(a_restart_from_what_is_not_in_the_chain_is_refused)
{
    struct world *world = world_new(1);
    start(world, "r1", every(1, ""));
    batches(world, "r1", 1);
    world_validated(world, "m", submitted_stop("r1", "m"));
    world_settle(world);
    struct mr_head head = world_head(world, "m");
    head.content_hash.bytes[0] ^= 1;
    start(world, "r2", every(1, restart_from(head.version_id, &head.content_hash)));
    batches(world, "r2", 1);
    world_settle(world);
    ck_assert(world_count(world, "RunRefused") == 1);
    Millrace__Step__V1__StepTrained *refused = step_at(world, 3), *skipped = step_at(world, 4);
    ck_assert_int_eq(refused->event_case, MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_CLOSED);
    ck_assert_int_eq(refused->run_closed->outcome, MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_FAILED);
    ck_assert_int_eq(skipped->event_case, MILLRACE__STEP__V1__STEP_TRAINED__EVENT_SKIPPED);
    millrace__step__v1__step_trained__free_unpacked(refused, NULL);
    millrace__step__v1__step_trained__free_unpacked(skipped, NULL);
    ck_assert_uint_eq(world_head(world, "m").counter, 0);
    world_free(world);
}
END_TEST

static char *copy_head(struct world *world)
{
    const struct mr_bytes bytes = memory_store_peek(world->store, "m/head.json");
    char *text = strndup((const char *)bytes.data, bytes.size);
    ck_assert_ptr_nonnull(text);
    return text;
}

static void collect(struct world *world, const struct mr_head *version)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_version("m", version->version_id, "collected.json", key);
    memory_store_set(world->store, key, "{}");
    mr_key_version("m", version->version_id, "checkpoint.pb", key);
    memory_store_set(world->store, key, NULL);
}

/* Rule C9: refused once, it is refused whenever the start is folded again. */
START_TEST(a_restart_from_what_was_collected_is_refused)
{
    struct world *world = world_new(1);
    start(world, "r1", every(1, ""));
    batches(world, "r1", 1);
    world_settle(world);
    const struct mr_head source = world_head(world, "m");
    batches(world, "r1", 1);
    world_validated(world, "m", submitted_stop("r1", "m"));
    world_settle(world);
    collect(world, &source);
    start(world, "r2", every(1, restart_from(source.version_id, &source.content_hash)));
    batches(world, "r2", 1);
    world_settle(world);
    ck_assert(world_count(world, "RunRefused") == 1);
    world_crash(world, WORLD_TRAIN);
    batches(world, "r2", 1);
    world_settle(world);
    ck_assert(world_count(world, "RunRefused") == 2);
    ck_assert_uint_eq(world_head(world, "m").counter, 1);
    world_free(world);
}
END_TEST

/* It slept while another train folded the start, committed, and GC took what the run began from. */
START_TEST(a_train_that_slept_through_its_start_goes_on_from_head)
{
    struct world *world = world_new(1);
    start(world, "r1", every(1, ""));
    batches(world, "r1", 1);
    world_settle(world);
    const struct mr_head source = world_head(world, "m");
    batches(world, "r1", 1);
    world_validated(world, "m", submitted_stop("r1", "m"));
    world_settle(world);
    char *before = copy_head(world);
    start(world, "r2", every(1, restart_from(source.version_id, &source.content_hash)));
    batches(world, "r2", 1);
    world_settle(world);
    ck_assert_uint_eq(world_head(world, "m").counter, 2);
    char *after = copy_head(world);
    world_crash(world, WORLD_TRAIN);
    memory_store_set(world->store, "m/head.json", before);
    collect(world, &source);
    world_start(world, WORLD_TRAIN);
    batches(world, "r2", 1);
    for (unsigned i = 0; i < 500; i++) {
        world_turn(world);
    }
    memory_store_set(world->store, "m/head.json", after);
    batches(world, "r2", 1);
    world_settle(world);
    ck_assert_uint_eq(world_head(world, "m").counter, 4);
    ck_assert(world_count(world, "RunRefused") == 0);
    ck_assert_msg(world_count(world, "RestartedFrom") >= 1, "%g", world_count(world, "RestartedFrom"));
    free(before);
    free(after);
    world_free(world);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, one_step_for_every_record);
    tcase_add_test(tcase, a_checkpoint_follows_the_acknowledgement_of_its_steps);
    tcase_add_test(tcase, it_runs_ahead_of_persist_by_so_many_checkpoints);
    tcase_add_test(tcase, a_lost_commit_event_does_not_hold_it_for_ever);
    tcase_add_test(tcase, beyond_models_max_a_start_waits);
    tcase_add_test(tcase, a_head_that_is_not_its_own_makes_it_begin_again);
    tcase_add_test(tcase, a_head_that_was_put_back_is_caught_up_with);
    tcase_add_test(tcase, a_head_that_vanishes_stops_the_model);
    tcase_add_test(tcase, other_content_at_the_same_position_ends_the_process);
    tcase_add_test(tcase, a_head_behind_the_end_of_the_log_is_refused);
    tcase_add_test(tcase, a_run_restarts_from_a_version_and_extends_the_chain);
    tcase_add_test(tcase, a_restart_from_what_is_not_in_the_chain_is_refused);
    tcase_add_test(tcase, a_restart_from_what_was_collected_is_refused);
    tcase_add_test(tcase, a_train_that_slept_through_its_start_goes_on_from_head);
}

int main(void)
{
    return check_main("train_stage", add);
}
