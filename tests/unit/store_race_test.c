/*
 * The file:/// back end between processes: one winner a round, no lost update, nothing torn by SIGKILL, and the
 * leftovers of the dead swept while those of the living stay.
 */
#define _XOPEN_SOURCE 700
#include "check_main.h"
#include "millrace/store.h"
#include "prng.h"
#include "store_races.h"
#include "store_scratch.h"

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { KILLS = 30, BODY_SIZE = 1 << 16 };

static struct scratch scratch;

static struct mr_store *open_store(void)
{
    struct mr_store *store = NULL;
    const struct mr_error error = mr_store_open(scratch.uri, &store);
    return mr_failed(error) ? NULL : store;
}

static void setup(void)
{
    scratch = scratch_make();
    (void)snprintf(races_uri, sizeof races_uri, "%s", scratch.uri);
}

static void teardown(void)
{
    scratch_drop(&scratch);
}

/* Writes the same object for ever, each time with one repeated byte, and tells of each acknowledgement. */
static void write_for_ever(int acknowledged)
{
    static uint8_t body[BODY_SIZE];
    struct mr_store *store = open_store();
    for (uint8_t fill = 1; store != NULL; fill++) {
        memset(body, fill, sizeof body);
        const struct mr_store_result got = mr_store_put(store, "torn/object", mr_bytes_of(body, sizeof body),
                                                        (struct mr_store_condition){.kind = MR_STORE_ALWAYS});
        if (got.outcome != MR_STORE_DONE || write(acknowledged, &fill, 1) != 1) {
            break;
        }
    }
    _exit(1);
}

/* After so many acknowledged writes, while it is at the next. */
static void kill_after(uint64_t writes)
{
    int acknowledged[2];
    ck_assert_int_eq(pipe(acknowledged), 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)close(acknowledged[0]);
        write_for_ever(acknowledged[1]);
    }
    (void)close(acknowledged[1]);
    for (uint64_t seen = 0; seen < writes; seen++) {
        uint8_t fill;
        ck_assert_int_eq(read(acknowledged[0], &fill, 1), 1);
    }
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    (void)close(acknowledged[0]);
}

static void expect_whole(struct mr_store *store)
{
    struct mr_buffer body = {0};
    ck_assert_int_eq(mr_store_get(store, "torn/object", &body).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(body.size, BODY_SIZE);
    for (size_t i = 1; i < body.size; i++) {
        ck_assert_uint_eq(body.data[i], body.data[0]);
    }
    mr_buffer_deinit(&body);
}

static size_t writers_left(void)
{
    char path[128];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/.millrace/tmp", scratch.path);
    DIR *folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(folder);
    return count;
}

START_TEST(kill_tears_nothing)
{
    struct prng prng = {.state = 7};
    struct mr_store *alive = open_store();
    for (int kill_count = 0; kill_count < KILLS; kill_count++) {
        kill_after(1 + prng_below(&prng, 8));
        expect_whole(alive);
    }
    struct mr_store_page page = {0};
    ck_assert_int_eq(mr_store_list(alive, "", "", 100, &page).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(page.count, 1); /* no leftover is listed */
    mr_store_page_deinit(&page);

    /* The next to open sweeps what the dead left; the living one keeps its folder, and can still write. */
    struct mr_store *next = open_store();
    ck_assert_uint_eq(writers_left(), 2);
    ck_assert_int_eq(
        mr_store_put(alive, "after", mr_bytes_of_text("x"), (struct mr_store_condition){.kind = MR_STORE_ALWAYS})
            .outcome,
        MR_STORE_DONE);
    mr_store_close(next);
    mr_store_close(alive);
    ck_assert_uint_eq(writers_left(), 0);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    races_sizes(8, 40);
    tcase_set_timeout(tcase, races_timeout_s());
    store_races_add(tcase);
    tcase_add_test(tcase, kill_tears_nothing);
}

int main(void)
{
    return check_main("store_race", add);
}
