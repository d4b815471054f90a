/*
 * What the file:/// back end makes durable before it says DONE: every fsync is seen, and may fail. What is known to
 * stay is not synced again.
 */
#define _GNU_SOURCE
#include "check_main.h"
#include "millrace/store.h"
#include "store_scratch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>

enum { SYNCS_MAX = 16 };

static struct scratch scratch;
static struct mr_store *store;
static ino_t synced[SYNCS_MAX];
static size_t sync_count;
static ino_t failing; /* its fsync fails */

/* In place of the C library's. */
int fsync(int file)
{
    struct stat about;
    ck_assert_int_eq(fstat(file, &about), 0);
    ck_assert_uint_lt(sync_count, SYNCS_MAX);
    synced[sync_count++] = about.st_ino;
    if (about.st_ino == failing) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, file);
}

static ino_t number_of(const char *name)
{
    char path[160];
    struct stat about;
    (void)snprintf(path, sizeof path, "%s/%s", scratch.path, name);
    ck_assert_int_eq(stat(path, &about), 0);
    return about.st_ino;
}

/* In this order, and nothing else. */
static void expect_synced(const char *const *names)
{
    size_t count = 0;
    for (; names[count] != NULL; count++) {
        ck_assert_msg(count < sync_count && synced[count] == number_of(names[count]), "%zu is not %s", count,
                      names[count]);
    }
    ck_assert_uint_eq(sync_count, count);
    sync_count = 0;
}
#define EXPECT_SYNCED(...) expect_synced((const char *const[]){__VA_ARGS__, NULL})

static enum mr_store_outcome put(const char *key)
{
    return mr_store_put(store, key, mr_bytes_of_text(key), (struct mr_store_condition){.kind = MR_STORE_IF_ABSENT})
        .outcome;
}

static void reopen(void)
{
    mr_store_close(store);
    ck_assert(!mr_failed(mr_store_open(scratch.uri, &store)));
    sync_count = 0;
}

static void setup(void)
{
    scratch = scratch_make();
    store = NULL;
    failing = 0;
    reopen();
}

static void teardown(void)
{
    mr_store_close(store);
    scratch_drop(&scratch);
}

START_TEST(what_is_new_is_synced_up_to_the_root)
{
    ck_assert_int_eq(put("m/v/one"), MR_STORE_DONE);
    EXPECT_SYNCED("m/v/one", "m/v", "m", ".");
    ck_assert_int_eq(put("m/v/two"), MR_STORE_DONE);
    EXPECT_SYNCED("m/v/two", "m/v");
    ck_assert_int_eq(put("m/w/one"), MR_STORE_DONE);
    EXPECT_SYNCED("m/w/one", "m/w", "m");
}
END_TEST

/* Somebody else made them, and may have died before it synced them: once for each process. */
START_TEST(what_others_made_is_synced_too)
{
    ck_assert_int_eq(put("m/v/one"), MR_STORE_DONE);
    reopen();
    ck_assert_int_eq(put("m/v/two"), MR_STORE_DONE);
    EXPECT_SYNCED("m/v/two", "m/v", "m", ".");
    reopen();
    ck_assert_int_eq(put("m/v/two"), MR_STORE_PRECONDITION_FAILED); /* the caller may build on it */
    ck_assert_uint_eq(sync_count, 4);                               /* with the temporary file, which is gone */
    ck_assert_int_eq(put("m/v/two"), MR_STORE_PRECONDITION_FAILED);
    ck_assert_uint_eq(sync_count, 4 + 2);
}
END_TEST

/* Removed by hand and made anew, perhaps under the same number: that it was known means nothing. */
START_TEST(a_folder_that_was_made_anew_is_synced_again)
{
    char path[160];
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(put("m/v/one"), MR_STORE_DONE);
        EXPECT_SYNCED("m/v/one", "m/v", "m", ".");
        (void)snprintf(path, sizeof path, "%s/m", scratch.path);
        ck_assert_int_eq(nftw(path, scratch_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
    }
}
END_TEST

START_TEST(a_failed_sync_is_unknown_and_teaches_nothing)
{
    ck_assert_int_eq(put("m/v/one"), MR_STORE_DONE);
    EXPECT_SYNCED("m/v/one", "m/v", "m", ".");
    failing = number_of("m");
    ck_assert_int_eq(put("m/w/one"), MR_STORE_UNKNOWN);
    EXPECT_SYNCED("m/w/one", "m/w", "m");
    failing = 0;
    ck_assert_int_eq(put("m/w/two"), MR_STORE_DONE);
    EXPECT_SYNCED("m/w/two", "m/w", "m");
    ck_assert_int_eq(put("m/w/three"), MR_STORE_DONE);
    EXPECT_SYNCED("m/w/three", "m/w");
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_is_new_is_synced_up_to_the_root);
    tcase_add_test(tcase, what_others_made_is_synced_too);
    tcase_add_test(tcase, a_folder_that_was_made_anew_is_synced_again);
    tcase_add_test(tcase, a_failed_sync_is_unknown_and_teaches_nothing);
}

int main(void)
{
    return check_main("store_sync", add);
}
