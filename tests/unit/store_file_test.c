/* The file:/// back end keeps the promises of store.h, and its own. */
#define _XOPEN_SOURCE 700
#include "check_main.h"
#include "millrace/hash.h"
#include "millrace/store_doctor.h"
#include "store_conformance.h"
#include "store_scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct scratch scratch;
static struct mr_store *store;

static void setup(void)
{
    scratch = scratch_make();
    store = NULL;
    ck_assert(!mr_failed(mr_store_open(scratch.uri, &store)));
    conformance_store = store;
}

static void teardown(void)
{
    mr_store_close(store);
    scratch_drop(&scratch);
}

static struct mr_store_result put(const char *key, const char *text, struct mr_store_condition condition)
{
    return conformance_put(key, text, condition);
}

static void path_of(const char *key, char *ret_path, size_t size)
{
    (void)snprintf(ret_path, size, "%s/%s", scratch.path, key);
}

START_TEST(uris)
{
    struct mr_store *other = NULL;
    struct mr_error error = mr_store_open("ftp://host/prefix", &other);
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    ck_assert_str_eq(error.code, "unsupported_scheme");
    ck_assert_ptr_nonnull(strstr(error.detail, "\"ftp\""));
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

START_TEST(keys_cannot_lead_out)
{
    char path[128];
    static const char *const own[] = {".millrace", ".millrace/tmp/x"};
    for (size_t i = 0; i < MR_COUNT_OF(own); i++) {
        struct mr_buffer body = {0};
        ck_assert_msg(put(own[i], "x", always).outcome == MR_STORE_DENIED, "%s", own[i]);
        ck_assert_int_eq(mr_store_get(store, own[i], &body).outcome, MR_STORE_DENIED);
        ck_assert_int_eq(mr_store_head(store, own[i]).native, EINVAL);
        ck_assert_int_eq(mr_store_remove(store, own[i]).outcome, MR_STORE_DENIED);
    }

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
    conformance_expect_text("k", "old");
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
    conformance_expect_text("m/k", "text");
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

static struct mr_store_result lying_head(struct mr_store *base, const char *key)
{
    (void)base;
    return mr_store_head(store, key);
}

static struct mr_store_result lying_list(struct mr_store *base, const char *prefix, const char *after, uint32_t limit,
                                         struct mr_store_page *ret_page)
{
    (void)base;
    return mr_store_list(store, prefix, after, limit, ret_page);
}

static struct mr_store_result lying_remove(struct mr_store *base, const char *key)
{
    (void)base;
    return mr_store_remove(store, key);
}

START_TEST(probe_finds_liars)
{
    const struct mr_store_ops lying = {
        .get = lying_get, .head = lying_head, .put = lying_put, .list = lying_list, .remove = lying_remove};
    struct mr_store_page page = {0};
    for (int lie = 1; lie <= LIE_LAST; lie++) {
        struct liar liar = {.base = {&lying}, .lie = (enum lie)lie};
        const struct mr_error error = mr_store_probe(&liar.base);
        ck_assert_int_eq(error.kind, MR_ERROR_FATAL);
        ck_assert_str_eq(error.code, "dishonest_store");
    }
    struct liar down = {.base = {&lying}, .lie = LIE_CREATES_TWICE, .down = true};
    ck_assert_int_eq(mr_store_probe(&down.base).kind, MR_ERROR_TRANSIENT);
    ck_assert_int_eq(mr_store_list(store, "", "", 10, &page).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(page.count, 0); /* nor does one that found a liar leave anything */
    mr_store_page_deinit(&page);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, uris);
    tcase_add_test(tcase, paths_of_uris_are_decoded);
    tcase_add_test(tcase, objects_are_plain_files);
    store_conformance_add(tcase);
    tcase_add_test(tcase, etag_is_of_the_content);
    tcase_add_test(tcase, keys_cannot_lead_out);
    tcase_add_test(tcase, removed_folder_is_not_an_empty_store);
    tcase_add_test(tcase, full_disk_changes_nothing);
    tcase_add_test(tcase, read_only_store);
    tcase_add_test(tcase, probe_finds_liars);
}

int main(void)
{
    return check_main("store_file", add);
}
