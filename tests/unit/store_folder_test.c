/* A folder with more names than the file:/// back end holds at once, listed while others add and remove. */
#define _XOPEN_SOURCE 700
#include "check_main.h"
#include "millrace/store.h"
#include "prng.h"
#include "store_scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { NAMES = 34000 }; /* over twice what is held at once; every second one stays */

static struct scratch scratch;
static struct mr_store *store;
static int folder;

static void add_file(size_t number)
{
    char name[16];
    (void)snprintf(name, sizeof name, "n%05zu", number);
    const int file = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    ck_assert_int_ge(file, 0);
    (void)close(file);
}

static void remove_file(size_t number)
{
    char name[16];
    (void)snprintf(name, sizeof name, "n%05zu", number);
    ck_assert(unlinkat(folder, name, 0) == 0 || errno == ENOENT);
}

static void setup(void)
{
    const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
    scratch = scratch_make();
    ck_assert(!mr_failed(mr_store_open(scratch.uri, &store)));
    ck_assert_int_eq(mr_store_put(store, "a", mr_bytes_of_text("x"), always).outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_put(store, "large/n00000", mr_bytes_of_text(""), always).outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_put(store, "z", mr_bytes_of_text("x"), always).outcome, MR_STORE_DONE);
    char path[96];
    (void)snprintf(path, sizeof path, "%s/large", scratch.path);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(folder, 0);
    for (size_t i = 0; i < NAMES; i++) {
        add_file(i * 7919 % NAMES); /* in no order */
    }
}

static void teardown(void)
{
    (void)close(folder);
    mr_store_close(store);
    scratch_drop(&scratch);
}

struct seen {
    char last[32];
    size_t keys, even; /* of the even numbers, the next */
    struct prng prng;
    bool meddles;
};

static size_t odd(struct prng *prng)
{
    return (size_t)(prng_next(prng) % (NAMES / 2)) * 2 + 1;
}

/* Ascending, which is to say that none came twice; and no even one is left out. */
static void note(struct seen *seen, const char *key)
{
    unsigned number = 0;
    ck_assert_msg(strcmp(seen->last, key) < 0, "%s after %s", key, seen->last);
    (void)snprintf(seen->last, sizeof seen->last, "%s", key);
    seen->keys++;
    if (sscanf(key, "large/n%5u", &number) == 1 && number % 2 == 0 && strchr(key, '-') == NULL) {
        ck_assert_uint_eq(number, seen->even);
        seen->even += 2;
    }
}

static bool take(void *self, const struct mr_store_entry *entry)
{
    struct seen *seen = self;
    note(seen, entry->key);
    if (seen->meddles && seen->keys % 8 == 0) {
        remove_file(odd(&seen->prng));
        add_file(odd(&seen->prng));
    }
    return true;
}

START_TEST(all_of_it)
{
    struct seen seen = {0};
    ck_assert_int_eq(mr_store_each(store, "", take, &seen).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(seen.keys, NAMES + 2);
    ck_assert_str_eq(seen.last, "z");
    seen = (struct seen){.even = 33990};
    ck_assert_int_eq(mr_store_each(store, "large/n3399", take, &seen).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(seen.keys, 10);
}
END_TEST

START_TEST(what_stays_is_given_once_whatever_comes_and_goes)
{
    struct seen seen = {.prng = {.state = 4}, .meddles = true};
    ck_assert_int_eq(mr_store_each(store, "", take, &seen).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(seen.even, NAMES);
    ck_assert_str_eq(seen.last, "z");
}
END_TEST

START_TEST(pages_too_and_each_sees_what_was_written_before_it)
{
    const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
    struct seen seen = {.prng = {.state = 5}};
    for (bool more = true; more;) {
        struct mr_store_page page = {0};
        char written[48];
        (void)snprintf(written, sizeof written, "%s-", seen.last); /* the next in order */
        if (seen.keys > 0) {
            ck_assert_int_eq(mr_store_put(store, written, mr_bytes_of_text("x"), always).outcome, MR_STORE_DONE);
        }
        ck_assert_int_eq(mr_store_list(store, "", seen.last, 1000, &page).outcome, MR_STORE_DONE);
        if (seen.keys > 0) {
            ck_assert_str_eq(page.entries[0].key, written);
        }
        for (size_t i = 0; i < page.count; i++) {
            note(&seen, page.entries[i].key);
            if (i % 8 == 0) {
                remove_file(odd(&seen.prng));
            }
        }
        more = page.more;
        mr_store_page_deinit(&page);
    }
    ck_assert_uint_eq(seen.even, NAMES);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_set_timeout(tcase, 60);
    tcase_add_unchecked_fixture(tcase, setup, teardown); /* one folder for all: it takes long to make */
    tcase_add_test(tcase, all_of_it);
    tcase_add_test(tcase, what_stays_is_given_once_whatever_comes_and_goes);
    tcase_add_test(tcase, pages_too_and_each_sees_what_was_written_before_it);
}

int main(void)
{
    return check_main("store_folder", add);
}
