#include "store_conformance.h"

#include "millrace/store_doctor.h"
#include "prng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1100, LARGE = (20 << 20) + 7 };

struct mr_store *conformance_store;

struct mr_store_result conformance_put(const char *key, const char *text, struct mr_store_condition condition)
{
    return mr_store_put(conformance_store, key, mr_bytes_of_text(text), condition);
}

void conformance_expect_text(const char *key, const char *text)
{
    struct mr_buffer body = {0};
    const struct mr_store_result got = mr_store_get(conformance_store, key, &body);
    ck_assert_msg(got.outcome == MR_STORE_DONE, "%s: %s", mr_store_outcome_text(got.outcome), got.detail);
    ck_assert(mr_bytes_equal(mr_buffer_view(&body), mr_bytes_of_text(text)));
    mr_buffer_deinit(&body);
}

static struct mr_store_result head(const char *key)
{
    return mr_store_head(conformance_store, key);
}

/* Another back end may say PRECONDITION_FAILED where an object to match is not there: Ceph does. */
static void expect_no_match(struct mr_store_result got)
{
    ck_assert(got.outcome == MR_STORE_MISSING || got.outcome == MR_STORE_PRECONDITION_FAILED);
}

START_TEST(conditions)
{
    const struct mr_etag wrong = {"0123456789abcdef0123456789abcdef"};
    expect_no_match(conformance_put("k", "x", match(wrong)));
    const struct mr_store_result first = conformance_put("k", "one", absent);
    ck_assert_int_eq(first.outcome, MR_STORE_DONE);
    ck_assert_int_eq(conformance_put("k", "two", absent).outcome, MR_STORE_PRECONDITION_FAILED);
    ck_assert_int_eq(conformance_put("k", "two", match(wrong)).outcome, MR_STORE_PRECONDITION_FAILED);
    conformance_expect_text("k", "one");
    const struct mr_store_result second = conformance_put("k", "two", match(first.etag));
    ck_assert_int_eq(second.outcome, MR_STORE_DONE);
    ck_assert_str_ne(first.etag.text, second.etag.text);
    ck_assert_int_eq(conformance_put("k", "three", match(first.etag)).outcome, MR_STORE_PRECONDITION_FAILED);
    conformance_expect_text("k", "two");
    ck_assert_int_eq(conformance_put("k", "four", always).outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_remove(conformance_store, "k").outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_remove(conformance_store, "k").outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_remove(conformance_store, "no/such/folder").outcome, MR_STORE_DONE);
    ck_assert_int_eq(head("k").outcome, MR_STORE_MISSING);
    expect_no_match(conformance_put("k", "five", match(second.etag)));
    ck_assert_int_eq(conformance_put("k", "six", absent).outcome, MR_STORE_DONE);
}
END_TEST

/* The ABA of store.h: what went back to the same bytes has the same ETag again. */
START_TEST(etags)
{
    struct mr_buffer body = {0};
    const struct mr_store_result put = conformance_put("a/b", "content", always);
    ck_assert_str_ne(put.etag.text, "");
    const struct mr_store_result headed = head("a/b");
    ck_assert_int_eq(headed.outcome, MR_STORE_DONE);
    ck_assert_str_eq(headed.etag.text, put.etag.text);
    ck_assert_uint_eq(headed.size, 7);
    const struct mr_store_result got = mr_store_get(conformance_store, "a/b", &body);
    ck_assert_str_eq(got.etag.text, put.etag.text);
    ck_assert_uint_eq(got.size, 7);
    mr_buffer_deinit(&body);
    ck_assert_str_ne(conformance_put("a/b", "other", always).etag.text, put.etag.text);
    ck_assert_str_eq(conformance_put("a/b", "content", always).etag.text, put.etag.text);
}
END_TEST

START_TEST(what_is_missing)
{
    struct mr_buffer body = {0};
    ck_assert_int_eq(mr_store_get(conformance_store, "no/such/key", &body).outcome, MR_STORE_MISSING);
    ck_assert_int_eq(head("no/such/key").outcome, MR_STORE_MISSING);
    ck_assert_int_eq(conformance_store->ops->get(conformance_store, "k", (struct mr_store_range){3, 4}, &body).outcome,
                     MR_STORE_MISSING);
    ck_assert_uint_eq(body.size, 0);
    mr_buffer_deinit(&body);
}
END_TEST

static void expect_range(const char *key, struct mr_store_range range, const char *text, uint64_t size)
{
    struct mr_buffer body = {0};
    ck_assert(!mr_failed(mr_buffer_append(&body, ">", 1)));
    const struct mr_store_result got = conformance_store->ops->get(conformance_store, key, range, &body);
    ck_assert_msg(got.outcome == MR_STORE_DONE, "%s: %s", mr_store_outcome_text(got.outcome), got.detail);
    ck_assert_uint_eq(got.size, size);
    ck_assert_uint_eq(body.size, 1 + strlen(text));
    ck_assert_mem_eq(body.data + 1, text, body.size - 1);
    mr_buffer_deinit(&body);
}

START_TEST(ranges)
{
    static const struct {
        struct mr_store_range range;
        const char *text;
    } rows[] = {{{0, 0}, "0123456789"}, {{3, 4}, "3456"}, {{8, 9}, "89"}, {{0, 10}, "0123456789"}, {{0, 1}, "0"},
                {{9, UINT64_MAX}, "9"}, {{10, 1}, ""},    {{99, 0}, ""},  {{UINT64_MAX, 5}, ""}};
    ck_assert_int_eq(conformance_put("k", "0123456789", always).outcome, MR_STORE_DONE);
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        expect_range("k", rows[i].range, rows[i].text, 10);
    }
    ck_assert_int_eq(conformance_put("empty", "", absent).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(head("empty").size, 0);
    ck_assert_int_eq(head("empty").outcome, MR_STORE_DONE);
    expect_range("empty", (struct mr_store_range){0, 0}, "", 0);
    expect_range("empty", (struct mr_store_range){0, 4}, "", 0);
}
END_TEST

START_TEST(keys)
{
    char deep[80] = "a";
    for (int i = 0; i < 32; i++) {
        (void)strncat(deep, "/a", sizeof deep - strlen(deep) - 1);
    }
    const char *const bad[] = {"",       "/a",    "a/",  "a//b", ".",    "..",       "../x",
                               "a/../b", "a/./b", "a b", "a\\b", "a\nb", "\xc3\xa4", deep};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        struct mr_buffer body = {0};
        ck_assert_msg(conformance_put(bad[i], "x", always).outcome == MR_STORE_DENIED, "%s", bad[i]);
        ck_assert_int_eq(mr_store_get(conformance_store, bad[i], &body).outcome, MR_STORE_DENIED);
        ck_assert_int_eq(head(bad[i]).outcome, MR_STORE_DENIED);
        ck_assert_int_eq(mr_store_remove(conformance_store, bad[i]).outcome, MR_STORE_DENIED);
    }
    ck_assert_int_eq(conformance_put("audit/05T12:00:00.123456Z_ab-c.json", "x", always).outcome, MR_STORE_DONE);
    conformance_expect_text("audit/05T12:00:00.123456Z_ab-c.json", "x");
}
END_TEST

/* Byte order of whole keys: '-' and '.' come before '/'. */
static const char *const ordered[] = {"a-b", "a.b/c", "a/b", "a/b.c/d", "a/c", "a0", "b/x/1", "b/x/2", "b/y", "c"};

START_TEST(listing_pages_in_byte_order)
{
    for (size_t i = MR_COUNT_OF(ordered); i-- > 0;) {
        ck_assert_int_eq(conformance_put(ordered[i], "12345", always).outcome, MR_STORE_DONE);
    }
    for (uint32_t limit = 1; limit <= MR_COUNT_OF(ordered) + 1; limit++) {
        size_t seen = 0;
        char after[32] = "";
        for (bool more = true; more;) {
            struct mr_store_page page = {0};
            ck_assert_int_eq(mr_store_list(conformance_store, "", after, limit, &page).outcome, MR_STORE_DONE);
            ck_assert_uint_le(page.count, limit);
            for (size_t i = 0; i < page.count; i++) {
                ck_assert_str_eq(page.entries[i].key, ordered[seen++]);
                ck_assert_uint_eq(page.entries[i].size, 5);
                (void)snprintf(after, sizeof after, "%s", page.entries[i].key);
            }
            more = page.more;
            ck_assert_int_eq(more, seen < MR_COUNT_OF(ordered));
            mr_store_page_deinit(&page);
        }
        ck_assert_uint_eq(seen, MR_COUNT_OF(ordered));
    }
}
END_TEST

START_TEST(listing_by_prefix)
{
    static const struct {
        const char *prefix, *after;
        size_t first, count;
    } rows[] = {{"a", "", 0, 6},     {"a/", "", 2, 3},  {"a/b", "", 2, 2},      {"b/x/", "b/x/1", 7, 1},
                {"b/x/1", "", 6, 1}, {"zzz", "", 0, 0}, {"a/b.", "", 3, 1},     {"", "a/b~", 4, 6},
                {"b/", "b/x", 6, 3}, {"", "c", 0, 0},   {"a/", "a/b.c/~", 4, 1}};
    struct mr_store_page page = {0};
    for (size_t i = 0; i < MR_COUNT_OF(ordered); i++) {
        ck_assert_int_eq(conformance_put(ordered[i], "x", always).outcome, MR_STORE_DONE);
    }
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        const struct mr_store_result got = mr_store_list(conformance_store, rows[i].prefix, rows[i].after, 1000, &page);
        ck_assert_msg(got.outcome == MR_STORE_DONE, "row %zu: %s", i, got.detail);
        ck_assert_msg(page.count == rows[i].count, "row %zu: %zu", i, page.count);
        for (size_t n = 0; n < page.count; n++) {
            ck_assert_str_eq(page.entries[n].key, ordered[rows[i].first + n]);
        }
        mr_store_page_deinit(&page);
    }
    ck_assert_int_eq(mr_store_list(conformance_store, "", "", 0, &page).outcome, MR_STORE_DENIED);
    ck_assert_int_eq(mr_store_list(conformance_store, "", "", 1001, &page).outcome, MR_STORE_DENIED);
}
END_TEST

static bool take_many(void *self, const struct mr_store_entry *entry)
{
    size_t *seen = self;
    char key[32];
    (void)snprintf(key, sizeof key, "many/%05zu", (*seen)++);
    ck_assert_str_eq(entry->key, key);
    return true;
}

/* More than a server gives in one answer. */
START_TEST(many_objects)
{
    char key[32], after[32] = "";
    size_t seen = 0;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(key, sizeof key, "many/%05d", i);
        ck_assert_int_eq(conformance_put(key, "", absent).outcome, MR_STORE_DONE);
    }
    for (bool more = true; more;) {
        struct mr_store_page page = {0};
        ck_assert_int_eq(mr_store_list(conformance_store, "many/", after, 1000, &page).outcome, MR_STORE_DONE);
        for (size_t i = 0; i < page.count; i++) {
            (void)snprintf(key, sizeof key, "many/%05zu", seen++);
            ck_assert_str_eq(page.entries[i].key, key);
        }
        (void)snprintf(after, sizeof after, "%s", key);
        more = page.more;
        mr_store_page_deinit(&page);
    }
    ck_assert_uint_eq(seen, MANY);
    seen = 0;
    ck_assert_int_eq(mr_store_each(conformance_store, "many/", take_many, &seen).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(seen, MANY);
}
END_TEST

struct given {
    size_t first, count; /* of ordered[]: what is still to come */
    size_t stop_after;
};

static bool take_given(void *self, const struct mr_store_entry *entry)
{
    struct given *given = self;
    ck_assert_uint_gt(given->count, 0);
    ck_assert_str_eq(entry->key, ordered[given->first]);
    ck_assert_uint_eq(entry->size, 1);
    given->first++;
    given->count--;
    return --given->stop_after > 0;
}

START_TEST(each_key_of_a_prefix)
{
    static const struct {
        const char *prefix;
        size_t first, count;
    } rows[] = {{"", 0, MR_COUNT_OF(ordered)}, {"a", 0, 6}, {"a/b", 2, 2}, {"b/x/1", 6, 1}, {"zzz", 0, 0}};
    for (size_t i = 0; i < MR_COUNT_OF(ordered); i++) {
        ck_assert_int_eq(conformance_put(ordered[i], "x", always).outcome, MR_STORE_DONE);
    }
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        struct given given = {.first = rows[i].first, .count = rows[i].count, .stop_after = SIZE_MAX};
        ck_assert_int_eq(mr_store_each(conformance_store, rows[i].prefix, take_given, &given).outcome, MR_STORE_DONE);
        ck_assert_uint_eq(given.count, 0);
    }
    struct given given = {.first = 0, .count = 4, .stop_after = 4};
    ck_assert_int_eq(mr_store_each(conformance_store, "", take_given, &given).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(given.count, 0); /* and take_given saw none beyond */
}
END_TEST

static uint8_t *large_body(void)
{
    uint8_t *bytes = malloc(LARGE);
    struct prng prng = {.state = 9};
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < LARGE; i += 8) {
        const uint64_t word = prng_next(&prng);
        memcpy(bytes + i, &word, LARGE - i < 8 ? LARGE - i : 8);
    }
    return bytes;
}

START_TEST(large_objects)
{
    uint8_t *bytes = large_body();
    const struct mr_bytes body = mr_bytes_of(bytes, LARGE);
    const struct mr_store_condition kinds[] = {absent, always};
    for (size_t i = 0; i < MR_COUNT_OF(kinds); i++) {
        struct mr_buffer got = {0};
        const char *key = i == 0 ? "large/one" : "large/in-parts";
        const struct mr_store_result put = mr_store_put(conformance_store, key, body, kinds[i]);
        ck_assert_msg(put.outcome == MR_STORE_DONE, "%s", put.detail);
        ck_assert_int_eq(mr_store_get(conformance_store, key, &got).outcome, MR_STORE_DONE);
        ck_assert(mr_bytes_equal(mr_buffer_view(&got), body));
        ck_assert_uint_eq(head(key).size, LARGE);
        got.size = 0;
        const struct mr_store_range range = {(16 << 20) - 5, 11};
        ck_assert_int_eq(conformance_store->ops->get(conformance_store, key, range, &got).outcome, MR_STORE_DONE);
        ck_assert(mr_bytes_equal(mr_buffer_view(&got), mr_bytes_of(bytes + range.first, 11)));
        ck_assert_int_eq(mr_store_put(conformance_store, key, body, absent).outcome, MR_STORE_PRECONDITION_FAILED);
        mr_buffer_deinit(&got);
    }
    free(bytes);
}
END_TEST

START_TEST(probe_finds_it_honest)
{
    struct mr_store_page page = {0};
    const struct mr_error error = mr_store_probe(conformance_store);
    ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
    ck_assert_int_eq(mr_store_list(conformance_store, "", "", 10, &page).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(page.count, 0); /* it leaves nothing behind */
    mr_store_page_deinit(&page);
}
END_TEST

void store_conformance_add(TCase *tcase)
{
    tcase_add_test(tcase, conditions);
    tcase_add_test(tcase, etags);
    tcase_add_test(tcase, what_is_missing);
    tcase_add_test(tcase, ranges);
    tcase_add_test(tcase, keys);
    tcase_add_test(tcase, listing_pages_in_byte_order);
    tcase_add_test(tcase, listing_by_prefix);
    tcase_add_test(tcase, each_key_of_a_prefix);
    tcase_add_test(tcase, many_objects);
    tcase_add_test(tcase, large_objects);
    tcase_add_test(tcase, probe_finds_it_honest);
}
