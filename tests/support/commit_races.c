#include "commit_races.h"

#include "committing.h"
#include "store_races.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAITS_MAX = 100000 };

/* Of all processes. */
struct race {
    pthread_barrier_t round;
    uint32_t committed[]; /* by round and writer */
};

static uint32_t *place(struct race *race, uint32_t round, uint32_t writer)
{
    return &race->committed[(size_t)round * races_writers + writer];
}

static bool is_shared(uint32_t round)
{
    return round % 2 == 1;
}

/* One checkpoint behind what head is now, whoever's it is. */
static bool compete(struct race *race, const struct committing *me, uint32_t writer, uint32_t round)
{
    char content[64];
    bool some = false;
    struct mr_head head;
    if (is_shared(round)) {
        (void)snprintf(content, sizeof content, "round %u of all", round);
    } else {
        (void)snprintf(content, sizeof content, "round %u of writer %u", round, writer);
    }
    if (mr_failed(mr_head_read(me->store, COMMITTING_MODEL, &some, &head, NULL)) || some != (round > 0)) {
        (void)fprintf(stderr, "round %u: no head\n", round);
        return false;
    }
    (void)pthread_barrier_wait(&race->round); /* all have read it */
    const struct persist_produced produced =
        committing_checkpoint(me, round, content, some ? &head.content_hash : NULL);
    if (!committing_spool(me, &produced, content)) {
        (void)fprintf(stderr, "round %u: the spool\n", round);
        return false;
    }
    struct persist_commit *commit = committing_begin(me, &produced);
    const enum persist_decision_kind kind = committing_go(commit, 0, WAITS_MAX);
    const bool good = kind == PERSIST_DECISION_EMIT || kind == PERSIST_DECISION_ABANDON;
    if (!good) {
        (void)fprintf(stderr, "round %u: %s: %s\n", round, persist_decision_text(&commit->decision), commit->detail);
    }
    *place(race, round, writer) = kind == PERSIST_DECISION_EMIT;
    persist_commit_free(commit);
    return good;
}

static int write_rounds(void *self, uint32_t writer)
{
    struct race *race = self;
    char name[32];
    struct mr_store *store = NULL;
    struct committing me;
    (void)snprintf(name, sizeof name, "writer %u", writer);
    (void)alarm(3600); /* whoever fails leaves the others at the barrier */
    if (mr_failed(mr_store_open(races_uri, &store))) {
        return 1;
    }
    committing_init(&me, store, name);
    for (uint32_t round = 0; round < races_rounds; round++) {
        (void)pthread_barrier_wait(&race->round); /* the one before is decided for all */
        if (!compete(race, &me, writer, round)) {
            return 1;
        }
    }
    mr_store_close(store);
    return 0;
}

static struct race *new_race(void)
{
    pthread_barrierattr_t attributes;
    struct race *race = races_shared_memory(sizeof *race + sizeof race->committed[0] * races_rounds * races_writers);
    ck_assert_int_eq(pthread_barrierattr_init(&attributes), 0);
    ck_assert_int_eq(pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), 0);
    ck_assert_int_eq(pthread_barrier_init(&race->round, &attributes, races_writers), 0);
    ck_assert_int_eq(pthread_barrierattr_destroy(&attributes), 0);
    return race;
}

/* The chain's content of each round is that of the writer that was told so. */
static void expect_winner(struct race *race, const struct mr_version *version)
{
    const uint32_t round = (uint32_t)version->counter;
    uint32_t winners = 0, winner = 0;
    for (uint32_t i = 0; i < races_writers; i++) {
        winners += *place(race, round, i);
        winner = *place(race, round, i) != 0 ? i : winner;
    }
    char content[64];
    if (is_shared(round)) {
        ck_assert_uint_eq(winners, races_writers);
        (void)snprintf(content, sizeof content, "round %u of all", round);
    } else {
        ck_assert_uint_eq(winners, 1);
        (void)snprintf(content, sizeof content, "round %u of writer %u", round, winner);
    }
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of_text(content));
    ck_assert(mr_sha256_equal(&hash, &version->content_hash));
}

START_TEST(one_version_a_round)
{
    struct race *race = new_race();
    races_run(write_rounds, race);
    struct mr_store *store = NULL;
    ck_assert(!mr_failed(mr_store_open(races_uri, &store)));
    const struct mr_verify_result result = mr_versions_verify(store, COMMITTING_MODEL);
    ck_assert_msg(result.verdict == MR_VERIFY_GOOD, "%s", result.detail);
    ck_assert_uint_eq(result.versions, races_rounds);
    struct mr_version_walk walk;
    ck_assert(!mr_failed(mr_version_walk_begin(store, COMMITTING_MODEL, &walk, NULL)));
    for (uint32_t seen = 0; seen < races_rounds; seen++) {
        bool some = false;
        struct mr_version_entry entry;
        ck_assert(!mr_failed(mr_version_walk_next(&walk, &some, &entry)) && some);
        ck_assert_uint_eq(entry.version.counter, races_rounds - 1 - seen);
        expect_winner(race, &entry.version);
    }
    mr_store_close(store);
}
END_TEST

void commit_races_add(TCase *tcase)
{
    tcase_add_test(tcase, one_version_a_round);
}
