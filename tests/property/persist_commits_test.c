/*
 * Commits against a store that loses answers, with several writers and crashes between any two steps: whatever happens,
 * the chain is linear, verifies, and is byte for byte the one of a quiet run.
 */
#include "check_main.h"
#include "memory_store.h"
#include "persist_commit.h"
#include "prng.h"

#include <stdio.h>
#include <string.h>

enum { CHECKPOINTS = 5, WRITERS = 3, SEEDS = 150, TURNS_MAX = 20000, ALL_TURNS = 300 };

static const char model[] = "model-a";

static int64_t fixed_wall(void *self)
{
    return *(int64_t *)self;
}

/* One persist process: it handles the checkpoints in order, and forgets everything but its offset when it crashes. */
struct writer {
    const struct persist_produced *checkpoints;
    size_t next, committed_offset;
    struct persist_commit *commit; /* NULL: between two checkpoints */
    bool left[PERSIST_OBJECTS];    /* parts of the effect of commit->decision that are not performed yet */
};

struct world {
    struct mr_store *store;
    struct mr_deployment deployment;
    struct prng prng;
    int64_t now_ms;
    bool frozen;           /* the clock stands still */
    uint32_t crash_chance; /* in 1,000 of a turn */
    struct persist_produced chains[2][CHECKPOINTS];
    struct writer writers[WRITERS];
    size_t writer_count;
    /* Of each content that was emitted: its record hash, which may never change. */
    struct mr_sha256 emitted_hash[2][CHECKPOINTS];
    bool emitted[2][CHECKPOINTS];
    uint64_t abandoned, crashes, waits;
};

/* ---- Checkpoints ------------------------------------------------------------------------------------------- */

static void payload_of(const char *chain, size_t index, char ret_text[32])
{
    (void)snprintf(ret_text, 32, "checkpoint %s%zu", chain, index);
}

static void make_chain(struct world *world, size_t chain)
{
    for (size_t i = 0; i < CHECKPOINTS; i++) {
        char text[32], key[MR_VERSION_KEY_SIZE];
        struct persist_produced *made = &world->chains[chain][i];
        payload_of(chain == 0 ? "a" : "b", i, text);
        *made = (struct persist_produced){
            .content_hash = mr_sha256_of(mr_bytes_of_text(text)),
            .size = strlen(text),
            .has_previous = i > 0,
            .step = 10 * (i + 1),
            .event_time_ms = 1700000000000 + (int64_t)i,
            .loss = 1.0f / (float)(i + 1),
            .bump = i == 3 ? MR_BUMP_MINOR : MR_BUMP_PATCH,
            .position = {.offset = 10 * i + 7},
        };
        memcpy(made->position.log_id, world->deployment.log_id.bytes, sizeof made->position.log_id);
        memcpy(made->model_id, model, sizeof model);
        memcpy(made->run_id, "run-1", sizeof "run-1");
        memcpy(made->arithmetic_profile, "mr-f32-v1", sizeof "mr-f32-v1");
        (void)snprintf(made->message, sizeof made->message, "Checkpoint at step %zu", 10 * (i + 1));
        if (i > 0) {
            made->previous = world->chains[chain][i - 1].content_hash;
        }
        mr_key_spool(model, &made->content_hash, key);
        memory_store_set(world->store, key, text);
    }
}

static void world_open(struct world *world, uint64_t seed, size_t writers)
{
    *world = (struct world){.store = memory_store_new(seed), .prng = {.state = seed ^ 0x5eed}, .writer_count = writers};
    memset(world->deployment.log_id.bytes, 0xab, sizeof world->deployment.log_id.bytes);
    world->deployment.partitions = 1;
    make_chain(world, 0);
    for (size_t i = 0; i < writers; i++) {
        world->writers[i].checkpoints = world->chains[0];
    }
}

static void world_close(struct world *world)
{
    for (size_t i = 0; i < world->writer_count; i++) {
        persist_commit_free(world->writers[i].commit);
    }
    mr_store_close(world->store);
}

/* ---- Turns ------------------------------------------------------------------------------------------------- */

static void decide(struct writer *writer, const struct persist_event *event)
{
    struct persist_commit *commit = writer->commit;
    const struct persist_step step = persist_decide(&commit->state, event);
    commit->state = step.next;
    commit->decision = step.decision;
    if (commit->decision.kind < PERSIST_DECISION_WAIT) {
        persist_commit_prepare(commit);
        for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
            writer->left[i] = persist_commit_has_part(commit, i);
        }
    }
}

static void begin(struct world *world, struct writer *writer)
{
    struct persist_commit *commit = calloc(1, sizeof *commit);
    ck_assert_ptr_nonnull(commit);
    commit->store = world->store;
    commit->deployment = &world->deployment;
    commit->clock = (struct mr_clock){.self = &world->now_ms, .wall_ms = fixed_wall};
    commit->writer = "test";
    commit->build = "test";
    commit->produced = writer->checkpoints[writer->next];
    commit->state.kind = PERSIST_STATE_IDLE;
    const uint64_t prev = writer->next > 0 ? writer->checkpoints[writer->next - 1].position.offset : 0;
    const struct persist_event event = {
        .kind = PERSIST_EVENT_BEGAN,
        .of = {.began = persist_checkpoint_of(&commit->produced, writer->next > 0, prev, &world->deployment)},
    };
    writer->commit = commit;
    decide(writer, &event);
}

static void crash(struct world *world, struct writer *writer)
{
    persist_commit_free(writer->commit);
    writer->commit = NULL;
    writer->next = writer->committed_offset;
    world->crashes++;
}

/* The version event is out; the next crash may come before its acknowledgement, or after it and before the removal. */
static void emitted(struct world *world, struct writer *writer)
{
    struct persist_commit *commit = writer->commit;
    const bool already = commit->decision.of.emit == PERSIST_EMIT_ALREADY_COMMITTED;
    const struct mr_sha256 *record_hash = already ? &commit->read_hash : &commit->record_hash;
    const size_t chain = writer->checkpoints == world->chains[0] ? 0 : 1;
    struct mr_sha256 *first = &world->emitted_hash[chain][writer->next];
    ck_assert(!world->emitted[chain][writer->next] || mr_sha256_equal(first, record_hash));
    world->emitted[chain][writer->next] = true;
    *first = *record_hash;
    if (prng_below(&world->prng, 1000) < world->crash_chance * 4) {
        crash(world, writer);
        return;
    }
    persist_commit_remove_spool(commit);
    persist_commit_free(commit);
    writer->commit = NULL;
    writer->next++;
    if (prng_below(&world->prng, 2) == 0) {
        writer->committed_offset = writer->next; /* the group's offset lags behind */
    }
}

static void abandoned(struct world *world, struct writer *writer)
{
    persist_commit_free(writer->commit);
    writer->commit = NULL;
    writer->committed_offset = ++writer->next;
    world->abandoned++;
}

/* One operation on the store, any that is left; after the last, what the whole effect leads to. In between others have
 * their turns, and crashes. */
static void perform(struct world *world, struct writer *writer)
{
    size_t parts[PERSIST_OBJECTS], count = 0;
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        if (writer->left[i]) {
            parts[count++] = i;
        }
    }
    if (count > 0) {
        const size_t part = parts[prng_below(&world->prng, count)];
        writer->left[part] = false;
        persist_commit_perform(writer->commit, part);
        return;
    }
    persist_commit_finish(writer->commit);
    const struct persist_event event = writer->commit->event;
    decide(writer, &event);
}

static void turn(struct world *world, struct writer *writer)
{
    static const struct persist_event elapsed = {.kind = PERSIST_EVENT_ELAPSED};
    struct persist_commit *commit = writer->commit;
    if (commit == NULL) {
        begin(world, writer);
        return;
    }
    if (commit->decision.kind == PERSIST_DECISION_WAIT) {
        world->waits++;
        decide(writer, &elapsed);
    } else if (commit->decision.kind == PERSIST_DECISION_EMIT) {
        emitted(world, writer);
    } else if (commit->decision.kind == PERSIST_DECISION_ABANDON) {
        abandoned(world, writer);
    } else if (commit->decision.kind < PERSIST_DECISION_WAIT) {
        perform(world, writer);
    } else {
        ck_abort_msg("%s: %s", persist_decision_text(&commit->decision), commit->detail);
    }
}

/* Any writer's turn, in any order, until all have been through all checkpoints. */
static void run(struct world *world)
{
    for (uint32_t turns = 0;; turns++) {
        size_t busy[WRITERS], count = 0;
        for (size_t i = 0; i < world->writer_count; i++) {
            if (world->writers[i].next < CHECKPOINTS) {
                busy[count++] = i;
            }
        }
        if (count == 0) {
            return;
        }
        ck_assert_msg(turns < TURNS_MAX, "no end");
        struct writer *writer = &world->writers[busy[prng_below(&world->prng, count)]];
        world->now_ms += world->frozen ? 0 : (int64_t)prng_below(&world->prng, 3);
        if (prng_below(&world->prng, 1000) < world->crash_chance) {
            crash(world, writer);
        } else {
            turn(world, writer);
        }
    }
}

/* ---- What must hold ---------------------------------------------------------------------------------------- */

static void expect_good(struct world *world, uint64_t seed)
{
    memory_store_set_faults(world->store, (struct memory_store_faults){0});
    const struct mr_verify_result result = mr_versions_verify(world->store, model);
    ck_assert_msg(result.verdict == MR_VERIFY_GOOD, "seed %lu: %s", (unsigned long)seed, result.detail);
    ck_assert_uint_eq(result.versions, CHECKPOINTS);
    /* Nothing but handed-over spool objects is ever removed. */
    ck_assert_uint_eq(memory_store_removals(world->store, "/"), memory_store_removals(world->store, "/spool/"));
}

/* head.json, and with it by hashes all metadata and payloads. */
static void quiet_head(struct mr_buffer *ret_head)
{
    struct world world;
    world_open(&world, 1, 1);
    run(&world);
    expect_good(&world, 1);
    const struct mr_bytes head = memory_store_peek(world.store, "model-a/head.json");
    ck_assert(!mr_failed(mr_buffer_append(ret_head, head.data, head.size)));
    ck_assert_uint_eq(world.abandoned, 0);
    world_close(&world);
}

START_TEST(quiet_run)
{
    struct mr_buffer head = {0};
    struct mr_head decoded;
    quiet_head(&head);
    ck_assert(!mr_failed(mr_head_decode(mr_buffer_view(&head), &decoded)));
    ck_assert_uint_eq(decoded.counter, CHECKPOINTS - 1);
    ck_assert_uint_eq(decoded.semantic_version.minor, 1);
    ck_assert_uint_eq(decoded.semantic_version.patch, 1);
    mr_buffer_deinit(&head);
}
END_TEST

START_TEST(replicas_with_faults_and_crashes)
{
    struct mr_buffer quiet = {0};
    uint64_t crashes = 0, waits = 0;
    quiet_head(&quiet);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world world;
        world_open(&world, seed, 1 + seed % WRITERS);
        world.crash_chance = seed % 2 == 0 ? 20 : 0;
        memory_store_set_faults(world.store, (struct memory_store_faults){
                                                 .lost_after = 100, .lost_before = 60, .refused = 60, .unread = 80});
        run(&world);
        expect_good(&world, seed);
        ck_assert_msg(mr_bytes_equal(memory_store_peek(world.store, "model-a/head.json"), mr_buffer_view(&quiet)),
                      "seed %lu: another chain than the quiet run's", (unsigned long)seed);
        ck_assert_uint_eq(world.abandoned, 0);
        crashes += world.crashes;
        waits += world.waits;
        world_close(&world);
    }
    ck_assert_uint_gt(crashes, SEEDS);
    ck_assert_uint_gt(waits, SEEDS);
    mr_buffer_deinit(&quiet);
}
END_TEST

/* Two writers with different content at equal positions: one chain wins whole, the other ends in alarms. */
START_TEST(rivals)
{
    bool won[2] = {false, false};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world world;
        world_open(&world, seed, 2);
        make_chain(&world, 1);
        world.writers[1].checkpoints = world.chains[1];
        world.crash_chance = seed % 3 == 0 ? 10 : 0;
        memory_store_set_faults(world.store, (struct memory_store_faults){
                                                 .lost_after = 120, .lost_before = 60, .refused = 60, .unread = 80});
        run(&world);
        expect_good(&world, seed);
        const size_t winner = world.emitted[0][0] ? 0 : 1;
        for (size_t i = 0; i < CHECKPOINTS; i++) {
            char key[MR_VERSION_KEY_SIZE];
            ck_assert(world.emitted[winner][i] && !world.emitted[1 - winner][i]);
            mr_key_spool(model, &world.chains[1 - winner][i].content_hash, key);
            ck_assert_uint_gt(memory_store_peek(world.store, key).size, 0); /* the loser's are kept */
        }
        ck_assert_uint_ge(world.abandoned, CHECKPOINTS);
        won[winner] = true;
        world_close(&world);
    }
    ck_assert(won[0] && won[1]);
}
END_TEST

/* Another Millrace has written the same version with other metadata and died before the swap: head names what is
 * stored, and so does an audit entry, though the clock stands still. */
START_TEST(metadata_of_another_build_is_adopted)
{
    struct world quiet, world;
    world_open(&quiet, 1, 1);
    run(&quiet);
    char key[MR_VERSION_KEY_SIZE], version_id[MR_VERSION_ID_SIZE];
    mr_version_id(0, &quiet.chains[0][0].content_hash, version_id);
    mr_key_version(model, version_id, "metadata.json", key);
    const struct mr_bytes metadata = memory_store_peek(quiet.store, key);
    char *other = strndup((const char *)metadata.data, metadata.size);
    ck_assert_ptr_nonnull(other);
    memcpy(strstr(other, "Checkpoint at step"), "Checkpoint by hand", 18);

    world_open(&world, 2, 1);
    world.frozen = true;
    memory_store_set(world.store, key, other);
    run(&world);
    expect_good(&world, 2);
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of_text(other));
    ck_assert(mr_sha256_equal(&world.emitted_hash[0][0], &hash));
    ck_assert(mr_bytes_equal(memory_store_peek(world.store, key), mr_bytes_of_text(other)));
    free(other);
    world_close(&world);
    world_close(&quiet);
}
END_TEST

/* As many turns of one writer; false: it was through before. */
static bool take_turns(struct world *world, struct writer *writer, uint32_t turns)
{
    for (uint32_t i = 0; i < turns; i++) {
        if (writer->next >= CHECKPOINTS) {
            return false;
        }
        turn(world, writer);
    }
    return true;
}

/* One is asleep after each of its steps in turn, while the other, with the same checkpoints, commits all of them: it
 * wakes up to find that everything it was about is committed. */
START_TEST(asleep_while_all_is_committed)
{
    struct mr_buffer quiet = {0};
    quiet_head(&quiet);
    bool slept = true;
    uint32_t turns = 0;
    for (; slept; turns++) {
        struct world world;
        world_open(&world, 1, 2);
        slept = take_turns(&world, &world.writers[0], turns);
        (void)take_turns(&world, &world.writers[1], ALL_TURNS);
        world.now_ms += 3600000;
        run(&world);
        expect_good(&world, turns);
        ck_assert(mr_bytes_equal(memory_store_peek(world.store, "model-a/head.json"), mr_buffer_view(&quiet)));
        ck_assert_uint_eq(world.abandoned, 0);
        world_close(&world);
    }
    ck_assert_uint_gt(turns, 10 * CHECKPOINTS);
    mr_buffer_deinit(&quiet);
}
END_TEST

/* The same, but the other has other content: the sleeper's first that is not in the chain is a conflict, and what it
 * has put by then harms nobody. */
START_TEST(asleep_while_others_win)
{
    bool slept = true;
    for (uint32_t turns = 0; slept; turns++) {
        struct world world;
        world_open(&world, 1, 2);
        make_chain(&world, 1);
        world.writers[1].checkpoints = world.chains[1];
        slept = take_turns(&world, &world.writers[0], turns);
        const bool first = world.emitted[0][0] ||
                           memory_store_peek(world.store, "model-a/head.json").size > 0; /* the sleeper's is genesis */
        (void)take_turns(&world, &world.writers[1], ALL_TURNS);
        world.now_ms += 3600000;
        run(&world);
        memory_store_set_faults(world.store, (struct memory_store_faults){0});
        ck_assert_int_eq(mr_versions_verify(world.store, model).verdict, MR_VERIFY_GOOD);
        ck_assert(world.emitted[first ? 0 : 1][0] && !world.emitted[first ? 1 : 0][0]);
        ck_assert_uint_eq(world.abandoned, CHECKPOINTS);
        world_close(&world);
    }
}
END_TEST

/* A crash after each step in turn: the next process completes the chain. */
START_TEST(crash_after_every_step)
{
    struct mr_buffer quiet = {0};
    quiet_head(&quiet);
    bool crashed = true;
    for (uint32_t turns = 0; crashed; turns++) {
        struct world world;
        world_open(&world, 1, 1);
        crashed = take_turns(&world, &world.writers[0], turns);
        crash(&world, &world.writers[0]);
        run(&world);
        expect_good(&world, turns);
        ck_assert(mr_bytes_equal(memory_store_peek(world.store, "model-a/head.json"), mr_buffer_view(&quiet)));
        world_close(&world);
    }
    mr_buffer_deinit(&quiet);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, asleep_while_all_is_committed);
    tcase_add_test(tcase, asleep_while_others_win);
    tcase_add_test(tcase, crash_after_every_step);
    tcase_add_test(tcase, quiet_run);
    tcase_add_test(tcase, metadata_of_another_build_is_adopted);
    tcase_add_test(tcase, replicas_with_faults_and_crashes);
    tcase_add_test(tcase, rivals);
}

int main(void)
{
    return check_main("persist_commits", add);
}
