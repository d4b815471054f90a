/*
 * Commits to a real server through a proxy that loses, cuts, doubles and delays what passes, from writers that are
 * killed at every request: each commit is settled, and the chain is byte for byte that of a quiet run.
 */
#include "check_main.h"
#include "commit_races.h"
#include "committing.h"
#include "fault_server.h"
#include "rgw_environment.h"
#include "store_races.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMMITS = 3, WAITS_MAX = 1000, EXTRA_MAX = 2 };

static char uri[RGW_URI_SIZE];
static struct fault_server *proxy;
static struct mr_store *direct; /* without a proxy */
static struct mr_sha256 quiet_hashes[COMMITS];

static struct mr_store *open_store(void)
{
    struct mr_store *store = NULL;
    const struct mr_error error = mr_store_open(uri, &store);
    ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
    return store;
}

/* Stores that are opened from now on go through a proxy with these steps. */
static void begin_proxy(const struct fault_step *steps, size_t count)
{
    proxy = fault_server_start(steps, count, rgw_port());
    rgw_use_port(fault_server_port(proxy));
}

static void end_proxy(void)
{
    fault_server_stop(proxy);
    proxy = NULL;
    rgw_use_port(rgw_port());
}

static struct persist_produced checkpoint(const struct committing *committing, uint64_t n)
{
    char content[32], before[32];
    (void)snprintf(content, sizeof content, "checkpoint %lu", (unsigned long)n);
    (void)snprintf(before, sizeof before, "checkpoint %lu", (unsigned long)n - 1);
    const struct mr_sha256 previous = mr_sha256_of(mr_bytes_of_text(before));
    return committing_checkpoint(committing, n, content, n > 0 ? &previous : NULL);
}

static void spool_all(void)
{
    struct committing committing;
    committing_init(&committing, direct, "train");
    for (uint64_t n = 0; n < COMMITS; n++) {
        char content[32];
        (void)snprintf(content, sizeof content, "checkpoint %lu", (unsigned long)n);
        const struct persist_produced produced = checkpoint(&committing, n);
        ck_assert(committing_spool(&committing, &produced, content));
    }
}

/* A new prefix, with the checkpoints in its spool. */
static void fresh(void)
{
    mr_store_close(direct);
    rgw_environment(uri);
    direct = open_store();
    spool_all();
}

/* Commits all; ret_requests, if there is a proxy: how many each took. */
static void commit_all(struct mr_store *store, size_t ret_requests[COMMITS], struct mr_sha256 ret_hashes[COMMITS])
{
    struct committing committing;
    committing_init(&committing, store, "persist");
    for (uint64_t n = 0; n < COMMITS; n++) {
        const struct persist_produced produced = checkpoint(&committing, n);
        const size_t before = proxy == NULL ? 0 : fault_server_requests(proxy);
        ck_assert_int_eq(committing_run(&committing, &produced, WAITS_MAX, &ret_hashes[n]), PERSIST_DECISION_EMIT);
        ret_requests[n] = proxy == NULL ? 0 : fault_server_requests(proxy) - before;
    }
}

static void expect_quiet_chain(const struct mr_sha256 hashes[COMMITS])
{
    const struct mr_verify_result result = mr_versions_verify(direct, COMMITTING_MODEL);
    ck_assert_msg(result.verdict == MR_VERIFY_GOOD, "%s", result.detail);
    ck_assert_uint_eq(result.versions, COMMITS);
    ck_assert_mem_eq(hashes, quiet_hashes, sizeof quiet_hashes);
}

static void setup(void)
{
    size_t requests[COMMITS];
    proxy = NULL;
    direct = NULL;
    fresh();
    commit_all(direct, requests, quiet_hashes);
}

static void teardown(void)
{
    mr_store_close(direct);
}

/* ---- Replies ------------------------------------------------------------------------------------------------ */

/* All commits through a proxy that does this to every request of the method with that in its path. */
static void commit_through(enum fault_kind kind, const char *method, const char *path_part,
                           size_t ret_requests[COMMITS])
{
    const struct fault_step step = {kind, NULL};
    struct mr_sha256 hashes[COMMITS];
    fresh();
    begin_proxy(&step, 1);
    fault_server_only(proxy, method, path_part);
    struct mr_store *store = open_store();
    commit_all(store, ret_requests, hashes);
    mr_store_close(store);
    end_proxy();
    expect_quiet_chain(hashes);
}

/* Every reply to a head that was swapped is lost: no commit is taken for a failure, and none costs more than two
 * further requests. */
START_TEST(lost_replies_to_head_writes)
{
    size_t quiet[COMMITS], lost[COMMITS];
    commit_through(FAULT_FORWARD, "PUT", "/head.json", quiet);
    commit_through(FAULT_FORWARD_DROP_DONE, "PUT", "/head.json", lost);
    for (size_t n = 0; n < COMMITS; n++) {
        ck_assert_uint_gt(lost[n], quiet[n]);
        ck_assert_uint_le(lost[n], quiet[n] + EXTRA_MAX);
    }
    ck_assert_uint_eq(quiet[0], 8); /* head, spool, is there any version?, four objects, head */
    ck_assert_uint_eq(quiet[1], 7);
}
END_TEST

/* Of every write. Half of a reply may have said enough. */
START_TEST(replies_to_all_writes)
{
    static const enum fault_kind kinds[] = {FAULT_FORWARD_CUT, FAULT_FORWARD_DROP, FAULT_FORWARD_TWICE};
    for (size_t i = 0; i < MR_COUNT_OF(kinds); i++) {
        size_t requests[COMMITS];
        commit_through(kinds[i], "PUT", "", requests);
        for (size_t n = 0; n < COMMITS; n++) {
            const size_t quiet = n == 0 ? 8 : 7, read_back = kinds[i] == FAULT_FORWARD_CUT ? 0 : 5;
            ck_assert_uint_ge(requests[n], quiet + read_back);
        }
    }
}
END_TEST

/* The first of every two, so that each is asked again. */
START_TEST(lost_reads)
{
    static const struct fault_step steps[] = {{FAULT_FORWARD_DROP, NULL}, {FAULT_FORWARD_CUT, NULL},
                                              {FAULT_FORWARD, NULL},      {FAULT_DROP, NULL},
                                              {FAULT_FORWARD_CUT, NULL},  {FAULT_FORWARD, NULL}};
    struct mr_sha256 hashes[COMMITS];
    size_t requests[COMMITS];
    fresh();
    begin_proxy(steps, MR_COUNT_OF(steps));
    fault_server_only(proxy, "GET", "");
    struct mr_store *store = open_store();
    commit_all(store, requests, hashes);
    mr_store_close(store);
    end_proxy();
    expect_quiet_chain(hashes);
}
END_TEST

/* The writer gives up waiting, and only then does the server get the write: the same one, sent again, may come first.
 */
START_TEST(a_write_that_comes_after_its_timeout)
{
    static const struct fault_step steps[] = {{FAULT_FORWARD_LATE, NULL}, {FAULT_FORWARD, NULL}};
    static const char *const ends[] = {"/head.json", "/checkpoint.pb", "/content_hash.txt", "/metadata.json"};
    for (size_t i = 0; i < MR_COUNT_OF(ends); i++) {
        struct mr_sha256 hashes[COMMITS];
        size_t requests[COMMITS];
        fresh();
        begin_proxy(steps, MR_COUNT_OF(steps));
        fault_server_only(proxy, "PUT", ends[i]);
        ck_assert_int_eq(setenv("MILLRACE_S3_TIMEOUT_MS", "300", 1), 0);
        struct mr_store *store = open_store();
        commit_all(store, requests, hashes);
        mr_store_close(store);
        ck_assert_int_eq(unsetenv("MILLRACE_S3_TIMEOUT_MS"), 0);
        end_proxy();
        expect_quiet_chain(hashes);
    }
}
END_TEST

/* ---- Kills ---------------------------------------------------------------------------------------------------- */

enum { REQUESTS = 8 + 7 + 7 }; /* of all commits, when nothing is in the way */

/* Begins when it is told the port of its proxy. */
static void commit_in_child(int port_from)
{
    uint16_t port = 0;
    size_t requests[COMMITS];
    struct mr_sha256 hashes[COMMITS];
    ck_assert_int_eq(read(port_from, &port, sizeof port), sizeof port);
    rgw_use_port(port);
    struct mr_store *store = open_store();
    commit_all(store, requests, hashes);
    _exit(0);
}

/* SIGKILL while the writer waits for the answer to its request number `at`, from 0 on. */
static void kill_at(size_t at, enum fault_kind kind)
{
    struct fault_step steps[REQUESTS + 1];
    int port_to[2];
    for (size_t i = 0; i < MR_COUNT_OF(steps); i++) {
        steps[i] = (struct fault_step){i == at ? kind : FAULT_FORWARD, NULL};
    }
    ck_assert_int_eq(pipe(port_to), 0);
    const pid_t writer = fork(); /* before there are threads */
    if (writer == 0) {
        commit_in_child(port_to[0]);
    }
    begin_proxy(steps, at + 2 <= MR_COUNT_OF(steps) ? at + 2 : MR_COUNT_OF(steps));
    const uint16_t port = fault_server_port(proxy);
    ck_assert_int_eq(write(port_to[1], &port, sizeof port), sizeof port);
    fault_server_await_stall(proxy);
    ck_assert_int_eq(kill(writer, SIGKILL), 0);
    ck_assert_int_eq(waitpid(writer, NULL, 0), writer);
    (void)close(port_to[0]);
    (void)close(port_to[1]);
}

static void kill_at_every_request(enum fault_kind kind)
{
    for (size_t at = 0; at < REQUESTS; at++) {
        size_t requests[COMMITS];
        struct mr_sha256 hashes[COMMITS];
        fresh();
        kill_at(at, kind);
        struct mr_verify_result result = mr_versions_verify(direct, COMMITTING_MODEL);
        ck_assert_msg(result.verdict == MR_VERIFY_GOOD || result.versions == 0, "%zu: %s", at, result.detail);
        struct fault_server *killed = proxy; /* a write that it holds back may come while the next one is at work */
        proxy = NULL;
        commit_all(direct, requests, hashes);
        expect_quiet_chain(hashes);
        fault_server_stop(killed);
        expect_quiet_chain(hashes);
        rgw_use_port(rgw_port());
    }
}

START_TEST(killed_before_the_server_has_it)
{
    kill_at_every_request(FAULT_STALL);
}
END_TEST

START_TEST(killed_when_the_server_has_done_it)
{
    kill_at_every_request(FAULT_FORWARD_STALL);
}
END_TEST

START_TEST(killed_and_the_server_does_it_later)
{
    kill_at_every_request(FAULT_FORWARD_LATE);
}
END_TEST

static void setup_race(void)
{
    rgw_environment(races_uri);
}

static void add_races(TCase *tcase)
{
    races_sizes(8, 10);
    tcase_set_timeout(tcase, races_timeout_s());
    tcase_add_unchecked_fixture(tcase, setup_race, NULL);
    commit_races_add(tcase);
}

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, lost_replies_to_head_writes);
    tcase_add_test(tcase, replies_to_all_writes);
    tcase_add_test(tcase, lost_reads);
    tcase_add_test(tcase, a_write_that_comes_after_its_timeout);
    tcase_add_test(tcase, killed_before_the_server_has_it);
    tcase_add_test(tcase, killed_when_the_server_has_done_it);
    tcase_add_test(tcase, killed_and_the_server_does_it_later);
}

int main(void)
{
    const int failed = getenv("MILLRACE_TEST_RACES_ONLY") != NULL ? EXIT_SUCCESS : check_main("s3_commits", add);
    return check_main("s3_commit_races", add_races) == EXIT_SUCCESS ? failed : EXIT_FAILURE;
}
