/* The file:/// back end keeps the promises of store.h. */
#define _XOPEN_SOURCE 700
#include "check_main.h"
#include "millrace/hash.h"
#include "millrace/store.h"
#include "store_scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct scratch scratch;
static struct mr_store *store;

static const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
static const struct mr_store_condition absent = {.kind = MR_STORE_IF_ABSENT};

static struct mr_store_condition match(struct mr_etag etag)
{
    return (struct mr_store_condition){.kind = MR_STORE_IF_MATCH, .etag = etag};
}

static void setup(void)
{
    scratch = scratch_make();
    store = NULL;
    ck_assert(!mr_failed(mr_store_open(scratch.uri, &store)));
}

static void teardown(void)
{
    mr_store_close(store);
    scratch_drop(&scratch);
}

static struct mr_store_result put(const char *key, const char *text, struct mr_store_condition condition)
{
    return mr_store_put(store, key, mr_bytes_of_text(text), condition);
}

static void expect_text(const char *key, const char *text)
{
    struct mr_buffer body = {0};
    ck_assert_int_eq(mr_store_get(store, key, &body).outcome, MR_STORE_DONE);
    ck_assert(mr_bytes_equal(mr_buffer_view(&body), mr_bytes_of_text(text)));
    mr_buffer_deinit(&body);
}

static void path_of(const char *key, char *ret_path, size_t size)
{
    (void)snprintf(ret_path, size, "%s/%s", scratch.path, key);
}

START_TEST(uris)
{
    struct mr_store *other = NULL;
    struct mr_error error = mr_store_open("s3://bucket/prefix", &other);
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    ck_assert_str_eq(error.code, "unsupported_scheme");
    ck_assert_ptr_nonnull(strstr(error.detail, "\"s3\""));
    static const char *const bad[] = {"",           "/tmp/x", "file://host/x", "file:/x", "file:///a?b", "file:///a%zz",
                                      "file:///%00"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        error = mr_store_open(bad[i], &other);
        ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
        ck_assert_str_eq(error.code, "bad_uri");
    }
    ck_assert_ptr_null(other);
    char uri[128], path[128];
    struct stat about;
    (void)snprintf(uri, sizeof uri, "%s/new/two%%20words", scratch.uri);
    ck_assert(!mr_failed(mr_store_open(uri, &other)));
    mr_store_close(other);
    path_of("new/two words", path, sizeof path);
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert(S_ISDIR(about.st_mode));
}
END_TEST

START_TEST(paths_of_uris_are_decoded)
{
    char path[MR_FILE_PATH_SIZE] = "untouched", uri[MR_FILE_PATH_SIZE + 16];
    static const char *const bad[] = {"s3:///a",     "file://host/a", "/a",          "file:///a%00b",
                                      "file:///a%2", "file:///a%g0",  "file:///a?b", "file:///a#b"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_msg(!mr_file_uri_path(bad[i], path), "\"%s\" was taken", bad[i]);
    }
    (void)snprintf(uri, sizeof uri, "file:///%0*d", MR_FILE_PATH_SIZE - 1, 0);
    ck_assert(!mr_file_uri_path(uri, path));
    ck_assert_str_eq(path, "untouched");
    uri[strlen(uri) - 1] = '\0';
    ck_assert(mr_file_uri_path(uri, path));
    ck_assert_uint_eq(strlen(path), MR_FILE_PATH_SIZE - 1);
    ck_assert(mr_file_uri_path("file:///a%20b/%C3%a9", path));
    ck_assert_str_eq(path, "/a b/\xc3\xa9");
}
END_TEST

START_TEST(objects_are_plain_files)
{
    char path[128], read_back[16] = "";
    ck_assert_int_eq(put("m/versions/v1/checkpoint.pb", "bytes", always).outcome, MR_STORE_DONE);
    path_of("m/versions/v1/checkpoint.pb", path, sizeof path);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fread(read_back, 1, sizeof read_back, file), 5);
    (void)fclose(file);
    ck_assert_str_eq(read_back, "bytes");
}
END_TEST

START_TEST(conditions)
{
    ck_assert_int_eq(put("k", "x", match((struct mr_etag){"0"})).outcome, MR_STORE_MISSING);
    const struct mr_store_result first = put("k", "one", absent);
    ck_assert_int_eq(first.outcome, MR_STORE_DONE);
    ck_assert_int_eq(put("k", "two", absent).outcome, MR_STORE_PRECONDITION_FAILED);
    ck_assert_int_eq(put("k", "two", match((struct mr_etag){"0"})).outcome, MR_STORE_PRECONDITION_FAILED);
    expect_text("k", "one");
    const struct mr_store_result second = put("k", "two", match(first.etag));
    ck_assert_int_eq(second.outcome, MR_STORE_DONE);
    ck_assert_str_ne(first.etag.text, second.etag.text);
    ck_assert_int_eq(put("k", "three", match(first.etag)).outcome, MR_STORE_PRECONDITION_FAILED);
    expect_text("k", "two");
    ck_assert_int_eq(put("k", "four", always).outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_remove(store, "k").outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_remove(store, "k").outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_remove(store, "no/such/folder").outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_head(store, "k").outcome, MR_STORE_MISSING);
}
END_TEST

START_TEST(etag_is_of_the_content)
{
    struct mr_buffer body = {0};
    char hash_text[MR_SHA256_TEXT_SIZE];
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of_text("content"));
    mr_sha256_text(&hash, hash_text);
    ck_assert_str_eq(put("a/b", "content", always).etag.text, hash_text);
    const struct mr_store_result head = mr_store_head(store, "a/b");
    ck_assert_str_eq(head.etag.text, hash_text);
    ck_assert_uint_eq(head.size, 7);
    const struct mr_store_result got = mr_store_get(store, "a/b", &body);
    ck_assert_str_eq(got.etag.text, hash_text);
    ck_assert_uint_eq(got.size, 7);
    mr_buffer_deinit(&body);
}
END_TEST

START_TEST(ranges)
{
    static const struct {
        struct mr_store_range range;
        const char *text;
    } rows[] = {{{0, 0}, "0123456789"}, {{3, 4}, "3456"}, {{8, 9}, "89"},
                {{10, 1}, ""},          {{99, 0}, ""},    {{9, UINT64_MAX}, "9"}};
    ck_assert_int_eq(put("k", "0123456789", always).outcome, MR_STORE_DONE);
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        struct mr_buffer body = {0};
        ck_assert(!mr_failed(mr_buffer_append(&body, ">", 1)));
        const struct mr_store_result got = store->ops->get(store, "k", rows[i].range, &body);
        ck_assert_int_eq(got.outcome, MR_STORE_DONE);
        ck_assert_uint_eq(got.size, 10);
        ck_assert_uint_eq(body.size, 1 + strlen(rows[i].text));
        ck_assert_mem_eq(body.data + 1, rows[i].text, body.size - 1);
        mr_buffer_deinit(&body);
    }
}
END_TEST

START_TEST(keys_cannot_lead_out)
{
    char deep[80] = "a", path[128];
    for (int i = 0; i < 32; i++) {
        (void)strncat(deep, "/a", sizeof deep - strlen(deep) - 1);
    }
    const char *const bad[] = {"",     "/a",   "a/",       "a//b",      ".",
                               "..",   "../x", "a/../b",   "a/./b",     "a b",
                               "a\\b", "a\nb", "\xc3\xa4", ".millrace", ".millrace/tmp/x",
                               deep};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        struct mr_buffer body = {0};
        ck_assert_msg(put(bad[i], "x", always).outcome == MR_STORE_DENIED, "%s", bad[i]);
        ck_assert_int_eq(mr_store_get(store, bad[i], &body).outcome, MR_STORE_DENIED);
        ck_assert_int_eq(mr_store_head(store, bad[i]).native, EINVAL);
        ck_assert_int_eq(mr_store_remove(store, bad[i]).outcome, MR_STORE_DENIED);
    }
    ck_assert_int_eq(put("05T12:00:00.123456Z_ab-c.json", "x", always).outcome, MR_STORE_DONE);

    /* Nor does a symbolic link that somebody laid into the store. */
    path_of("link", path, sizeof path);
    ck_assert_int_eq(symlink("/tmp", path), 0);
    ck_assert_int_eq(put("link/x", "x", always).outcome, MR_STORE_DENIED);
    ck_assert_int_eq(mr_store_head(store, "link").outcome, MR_STORE_MISSING);
    ck_assert_int_eq(put("k", "x", always).outcome, MR_STORE_DONE);
    ck_assert_int_eq(put("k/below", "x", always).outcome, MR_STORE_DENIED);
    ck_assert_int_eq(mr_store_head(store, "k/below").outcome, MR_STORE_MISSING);
    ck_assert_int_eq(put("d/x", "x", always).outcome, MR_STORE_DONE);
    ck_assert_int_eq(put("d", "x", always).outcome, MR_STORE_DENIED);
}
END_TEST

/* Byte order of whole keys: '-' and '.' come before '/'. */
static const char *const ordered[] = {"a-b", "a.b/c", "a/b", "a/b.c/d", "a/c", "a0", "b/x/1", "b/x/2", "b/y", "c"};

START_TEST(listing_pages_in_byte_order)
{
    for (size_t i = MR_COUNT_OF(ordered); i-- > 0;) {
        ck_assert_int_eq(put(ordered[i], "12345", always).outcome, MR_STORE_DONE);
    }
    for (uint32_t limit = 1; limit <= MR_COUNT_OF(ordered) + 1; limit++) {
        size_t seen = 0;
        char after[32] = "";
        for (bool more = true; more;) {
            struct mr_store_page page = {0};
            ck_assert_int_eq(mr_store_list(store, "", after, limit, &page).outcome, MR_STORE_DONE);
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
        ck_assert_int_eq(put(ordered[i], "x", always).outcome, MR_STORE_DONE);
    }
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        ck_assert_int_eq(mr_store_list(store, rows[i].prefix, rows[i].after, 1000, &page).outcome, MR_STORE_DONE);
        ck_assert_msg(page.count == rows[i].count, "row %zu: %zu", i, page.count);
        for (size_t n = 0; n < page.count; n++) {
            ck_assert_str_eq(page.entries[n].key, ordered[rows[i].first + n]);
        }
        mr_store_page_deinit(&page);
    }
    ck_assert_int_eq(mr_store_list(store, "", "", 0, &page).outcome, MR_STORE_DENIED);
    ck_assert_int_eq(mr_store_list(store, "", "", 1001, &page).outcome, MR_STORE_DENIED);
}
END_TEST

/* "Not found" would start a model's second genesis: a store whose folder is gone must not say it. */
START_TEST(removed_folder_is_not_an_empty_store)
{
    char path[128];
    struct mr_store *other = NULL;
    struct mr_store_page page = {0};
    char uri[128];
    (void)snprintf(uri, sizeof uri, "%s/gone", scratch.uri);
    ck_assert(!mr_failed(mr_store_open(uri, &other)));
    ck_assert_int_eq(mr_store_head(other, "k").outcome, MR_STORE_MISSING);
    path_of("gone", path, sizeof path);
    ck_assert_int_eq(nftw(path, scratch_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
    ck_assert_int_eq(mr_store_head(other, "k").outcome, MR_STORE_UNAVAILABLE);
    ck_assert_int_eq(mr_store_list(other, "", "", 10, &page).outcome, MR_STORE_UNAVAILABLE);
    ck_assert_int_eq(mr_store_put(other, "k", mr_bytes_of_text("x"), absent).outcome, MR_STORE_UNAVAILABLE);
    mr_store_close(other);
}
END_TEST

/* A write that runs out of space says so, and leaves what was there. */
START_TEST(full_disk_changes_nothing)
{
    static uint8_t big[1 << 16];
    ck_assert_int_eq(put("k", "old", always).outcome, MR_STORE_DONE);
    const pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGXFSZ, SIG_IGN);
        const struct rlimit limit = {4096, 4096};
        (void)setrlimit(RLIMIT_FSIZE, &limit);
        const struct mr_store_result got = mr_store_put(store, "k", mr_bytes_of(big, sizeof big), always);
        _exit(got.outcome == MR_STORE_UNAVAILABLE && got.native == EFBIG && strstr(got.detail, "nothing changed") ? 0
                                                                                                                  : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_text("k", "old");
}
END_TEST

/* As somebody who may not write, root's rights given up. */
START_TEST(read_only_store)
{
    if (getuid() != 0) {
        return; /* cannot become somebody else */
    }
    ck_assert_int_eq(put("m/k", "text", always).outcome, MR_STORE_DONE);
    ck_assert_int_eq(chmod(scratch.path, 0755), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct mr_store *other = NULL;
        struct mr_buffer body = {0};
        bool good = setgid(65534) == 0 && setuid(65534) == 0 && !mr_failed(mr_store_open(scratch.uri, &other));
        good = good && mr_store_get(other, "m/k", &body).outcome == MR_STORE_DONE && body.size == 4;
        good = good && mr_store_put(other, "m/k", mr_bytes_of_text("x"), always).outcome == MR_STORE_DENIED;
        good = good && mr_store_remove(other, "m/k").outcome == MR_STORE_DENIED;
        const struct mr_error error = good ? mr_store_probe(other) : mr_ok();
        _exit(good && error.kind == MR_ERROR_FATAL && strcmp(error.code, "denied") == 0 ? 0 : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_text("m/k", "text");
}
END_TEST

/* ---- The probe, against stores that do not keep their word ---- */

enum lie { LIE_CREATES_TWICE = 1, LIE_IGNORES_MATCH, LIE_STALE_READ, LIE_REFUSES_MATCH, LIE_LAST = LIE_REFUSES_MATCH };
struct liar {
    struct mr_store base;
    enum lie lie;
    bool down;
};

static struct mr_store_result lying_put(struct mr_store *base, const char *key, struct mr_bytes body,
                                        struct mr_store_condition condition)
{
    const struct liar *liar = (const struct liar *)base;
    if (liar->down) {
        return (struct mr_store_result){.outcome = MR_STORE_UNKNOWN};
    }
    if ((liar->lie == LIE_CREATES_TWICE && condition.kind == MR_STORE_IF_ABSENT) ||
        (liar->lie == LIE_IGNORES_MATCH && condition.kind == MR_STORE_IF_MATCH)) {
        condition = always;
    }
    if (liar->lie == LIE_REFUSES_MATCH && condition.kind == MR_STORE_IF_MATCH) {
        return (struct mr_store_result){.outcome = MR_STORE_PRECONDITION_FAILED};
    }
    return mr_store_put(store, key, body, condition);
}

static struct mr_store_result lying_get(struct mr_store *base, const char *key, struct mr_store_range range,
                                        struct mr_buffer *ret_body)
{
    const struct liar *liar = (const struct liar *)base;
    struct mr_store_result result = store->ops->get(store, key, range, ret_body);
    if (liar->lie == LIE_STALE_READ && ret_body->size > 0) {
        ret_body->data[0] ^= 1;
    }
    return result;
}

static struct mr_store_result lying_remove(struct mr_store *base, const char *key)
{
    (void)base;
    return mr_store_remove(store, key);
}

START_TEST(probe)
{
    const struct mr_store_ops lying = {.get = lying_get, .put = lying_put, .remove = lying_remove};
    struct mr_store_page page = {0};
    ck_assert(!mr_failed(mr_store_probe(store)));
    for (int lie = 1; lie <= LIE_LAST; lie++) {
        struct liar liar = {.base = {&lying}, .lie = (enum lie)lie};
        const struct mr_error error = mr_store_probe(&liar.base);
        ck_assert_int_eq(error.kind, MR_ERROR_FATAL);
        ck_assert_str_eq(error.code, "dishonest_store");
    }
    struct liar down = {.base = {&lying}, .lie = LIE_CREATES_TWICE, .down = true};
    ck_assert_int_eq(mr_store_probe(&down.base).kind, MR_ERROR_TRANSIENT);
    ck_assert_int_eq(mr_store_list(store, "", "", 10, &page).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(page.count, 0); /* it leaves nothing behind */
    mr_store_page_deinit(&page);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, uris);
    tcase_add_test(tcase, paths_of_uris_are_decoded);
    tcase_add_test(tcase, objects_are_plain_files);
    tcase_add_test(tcase, conditions);
    tcase_add_test(tcase, etag_is_of_the_content);
    tcase_add_test(tcase, ranges);
    tcase_add_test(tcase, keys_cannot_lead_out);
    tcase_add_test(tcase, listing_pages_in_byte_order);
    tcase_add_test(tcase, listing_by_prefix);
    tcase_add_test(tcase, removed_folder_is_not_an_empty_store);
    tcase_add_test(tcase, full_disk_changes_nothing);
    tcase_add_test(tcase, read_only_store);
    tcase_add_test(tcase, probe);
}

int main(void)
{
    return check_main("store_file", add);
}
