#include "store_races.h"

#include "millrace/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 8, ROUNDS = 40, SWAPS = 25, TOKEN_SIZE = 16 };

char races_uri[160];

static struct mr_store *open_store(void)
{
    struct mr_store *store = NULL;
    const struct mr_error error = mr_store_open(races_uri, &store);
    if (mr_failed(error)) {
        (void)fprintf(stderr, "%s: %s\n", races_uri, error.detail);
        return NULL;
    }
    return store;
}

/* Anonymous memory that children share with the test. */
static void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static void wait_all(const pid_t *children)
{
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
    }
}

/* Whether the object holds this text now; false too when it cannot be read, which *ret_good tells. */
static bool holds(struct mr_store *store, const char *key, const char *text, bool *ret_good)
{
    struct mr_buffer body = {0};
    const struct mr_store_result got = mr_store_get(store, key, &body);
    const bool same = mr_failed(mr_buffer_append(&body, "", 1)) ? false : strstr((char *)body.data, text) != NULL;
    *ret_good = got.outcome == MR_STORE_DONE || got.outcome == MR_STORE_MISSING;
    mr_buffer_deinit(&body);
    return got.outcome == MR_STORE_DONE && same;
}

/* Whether this put was applied. *ret_good false: an answer that there should not be. */
static bool applied(struct mr_store *store, const char *key, const char *text, const struct mr_store_result *got,
                    bool *ret_good)
{
    *ret_good = true;
    switch (got->outcome) {
    case MR_STORE_DONE: return true;
    case MR_STORE_PRECONDITION_FAILED:
    case MR_STORE_CONFLICT:
    case MR_STORE_THROTTLED: return false;
    case MR_STORE_UNKNOWN: return holds(store, key, text, ret_good);
    case MR_STORE_MISSING:
    case MR_STORE_DENIED:
    case MR_STORE_UNAVAILABLE: break;
    }
    (void)fprintf(stderr, "put %s: %s: %s\n", key, mr_store_outcome_text(got->outcome), got->detail);
    *ret_good = false;
    return false;
}

static int create_rounds(uint32_t me, uint32_t (*wins)[PROCESSES])
{
    struct mr_store *store = open_store();
    bool good = store != NULL;
    for (int round = 0; good && round < ROUNDS; round++) {
        char key[32], body[32];
        (void)snprintf(key, sizeof key, "race/%d", round);
        (void)snprintf(body, sizeof body, "writer %u.", me);
        const struct mr_store_result got =
            mr_store_put(store, key, mr_bytes_of_text(body), (struct mr_store_condition){.kind = MR_STORE_IF_ABSENT});
        wins[round][me] = applied(store, key, body, &got, &good);
    }
    mr_store_close(store);
    return good ? 0 : 1;
}

START_TEST(create_has_one_winner)
{
    uint32_t(*wins)[PROCESSES] = shared_memory(sizeof(uint32_t[ROUNDS][PROCESSES]));
    pid_t children[PROCESSES];
    for (uint32_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            _exit(create_rounds(i, wins));
        }
    }
    wait_all(children);
    struct mr_store *store = open_store();
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t winners = 0, winner = 0;
        for (uint32_t i = 0; i < PROCESSES; i++) {
            winners += wins[round][i];
            winner = wins[round][i] != 0 ? i : winner;
        }
        ck_assert_uint_eq(winners, 1);
        char key[32], body[32];
        struct mr_buffer got = {0};
        (void)snprintf(key, sizeof key, "race/%d", round);
        (void)snprintf(body, sizeof body, "writer %u.", winner);
        ck_assert_int_eq(mr_store_get(store, key, &got).outcome, MR_STORE_DONE);
        ck_assert(mr_bytes_equal(mr_buffer_view(&got), mr_bytes_of_text(body)));
        mr_buffer_deinit(&got);
    }
    mr_store_close(store);
}
END_TEST

/* The object is the list of all swaps that were applied: each process appends SWAPS tokens, by compare-and-swap. */
static bool append_once(struct mr_store *store, const char *token, bool *ret_good)
{
    struct mr_buffer body = {0};
    const struct mr_store_result got = mr_store_get(store, "list", &body);
    *ret_good = got.outcome == MR_STORE_DONE && !mr_failed(mr_buffer_append(&body, token, strlen(token)));
    bool won = false;
    if (*ret_good) {
        const struct mr_store_condition same = {.kind = MR_STORE_IF_MATCH, .etag = got.etag};
        const struct mr_store_result put = mr_store_put(store, "list", mr_buffer_view(&body), same);
        won = applied(store, "list", token, &put, ret_good);
    }
    mr_buffer_deinit(&body);
    return won;
}

static int swap_rounds(uint32_t me)
{
    struct mr_store *store = open_store();
    bool good = store != NULL;
    for (uint32_t done = 0; good && done < SWAPS;) {
        char token[TOKEN_SIZE];
        (void)snprintf(token, sizeof token, "<%u.%u>", me, done);
        done += append_once(store, token, &good);
    }
    mr_store_close(store);
    return good ? 0 : 1;
}

static size_t occurrences(const char *text, const char *token)
{
    size_t count = 0;
    for (const char *at = strstr(text, token); at != NULL; at = strstr(at + 1, token)) {
        count++;
    }
    return count;
}

START_TEST(swaps_lose_nothing)
{
    pid_t children[PROCESSES];
    struct mr_store *store = open_store();
    struct mr_buffer body = {0};
    const struct mr_store_condition absent = {.kind = MR_STORE_IF_ABSENT};
    ck_assert_ptr_nonnull(store);
    ck_assert_int_eq(mr_store_put(store, "list", mr_bytes_of_text("0"), absent).outcome, MR_STORE_DONE);
    mr_store_close(store); /* no connection is shared with a child */
    for (uint32_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            _exit(swap_rounds(i));
        }
    }
    wait_all(children);
    store = open_store();
    ck_assert_int_eq(mr_store_get(store, "list", &body).outcome, MR_STORE_DONE);
    ck_assert(!mr_failed(mr_buffer_append(&body, "", 1)));
    for (uint32_t i = 0; i < PROCESSES * SWAPS; i++) {
        char token[TOKEN_SIZE];
        (void)snprintf(token, sizeof token, "<%u.%u>", i / SWAPS, i % SWAPS);
        ck_assert_uint_eq(occurrences((const char *)body.data, token), 1);
    }
    mr_buffer_deinit(&body);
    mr_store_close(store);
}
END_TEST

void store_races_add(TCase *tcase)
{
    tcase_add_test(tcase, create_has_one_winner);
    tcase_add_test(tcase, swaps_lose_nothing);
}
