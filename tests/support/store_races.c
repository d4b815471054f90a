#include "store_races.h"

#include "millrace/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS_MAX = 256, TOKEN_SIZE = 24 };

char races_uri[160];
uint32_t races_writers, races_rounds;

static uint32_t from_environment(const char *name, uint32_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : (uint32_t)strtoul(text, NULL, 10);
}

void races_sizes(uint32_t writers, uint32_t rounds)
{
    races_writers = from_environment("MILLRACE_TEST_WRITERS", writers);
    races_rounds = from_environment("MILLRACE_TEST_ROUNDS", rounds);
    MR_ASSERT(races_writers >= 2 && races_writers <= WRITERS_MAX && races_rounds > 0);
}

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

double races_timeout_s(void)
{
    return 60 + (double)races_writers * races_rounds / 2;
}

void *races_shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

void races_run(int (*writer)(void *self, uint32_t me), void *self)
{
    pid_t children[WRITERS_MAX];
    for (uint32_t i = 0; i < races_writers; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            _exit(writer(self, i));
        }
    }
    for (uint32_t i = 0; i < races_writers; i++) {
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

/* `self`: by round and writer, whether it won. */
static int create_rounds(void *self, uint32_t me)
{
    uint32_t *wins = self;
    struct mr_store *store = open_store();
    bool good = store != NULL;
    for (uint32_t round = 0; good && round < races_rounds; round++) {
        char key[32], body[32];
        (void)snprintf(key, sizeof key, "race/%u", round);
        (void)snprintf(body, sizeof body, "writer %u.", me);
        const struct mr_store_result got =
            mr_store_put(store, key, mr_bytes_of_text(body), (struct mr_store_condition){.kind = MR_STORE_IF_ABSENT});
        wins[(size_t)round * races_writers + me] = applied(store, key, body, &got, &good);
    }
    mr_store_close(store);
    return good ? 0 : 1;
}

START_TEST(create_has_one_winner)
{
    uint32_t *wins = races_shared_memory(sizeof *wins * races_rounds * races_writers);
    races_run(create_rounds, wins);
    struct mr_store *store = open_store();
    for (uint32_t round = 0; round < races_rounds; round++) {
        uint32_t winners = 0, winner = 0;
        for (uint32_t i = 0; i < races_writers; i++) {
            winners += wins[(size_t)round * races_writers + i];
            winner = wins[(size_t)round * races_writers + i] != 0 ? i : winner;
        }
        ck_assert_uint_eq(winners, 1);
        char key[32], body[32];
        struct mr_buffer got = {0};
        (void)snprintf(key, sizeof key, "race/%u", round);
        (void)snprintf(body, sizeof body, "writer %u.", winner);
        ck_assert_int_eq(mr_store_get(store, key, &got).outcome, MR_STORE_DONE);
        ck_assert(mr_bytes_equal(mr_buffer_view(&got), mr_bytes_of_text(body)));
        mr_buffer_deinit(&got);
    }
    mr_store_close(store);
}
END_TEST

/* The object is the list of all swaps that were applied: each process appends its tokens, by compare-and-swap. */
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

static uint32_t swaps_each(void)
{
    return races_rounds * 5 / 8;
}

static int swap_rounds(void *self, uint32_t me)
{
    (void)self;
    struct mr_store *store = open_store();
    bool good = store != NULL;
    for (uint32_t done = 0; good && done < swaps_each();) {
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
    struct mr_store *store = open_store();
    struct mr_buffer body = {0};
    const struct mr_store_condition absent = {.kind = MR_STORE_IF_ABSENT};
    ck_assert_ptr_nonnull(store);
    ck_assert_int_eq(mr_store_put(store, "list", mr_bytes_of_text("0"), absent).outcome, MR_STORE_DONE);
    mr_store_close(store); /* no connection is shared with a child */
    races_run(swap_rounds, NULL);
    store = open_store();
    ck_assert_int_eq(mr_store_get(store, "list", &body).outcome, MR_STORE_DONE);
    ck_assert(!mr_failed(mr_buffer_append(&body, "", 1)));
    for (uint32_t i = 0; i < races_writers * swaps_each(); i++) {
        char token[TOKEN_SIZE];
        (void)snprintf(token, sizeof token, "<%u.%u>", i / swaps_each(), i % swaps_each());
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
