/*
 * The s3:// back end keeps the promises of store.h on a real server, and tells what is wrong where it cannot. The
 * environment has the server's endpoint and credentials, and MILLRACE_TEST_RGW its folder: see with_rgw.sh.
 */
#include "check_main.h"
#include "fault_server.h"
#include "millrace/store_doctor.h"
#include "rgw_environment.h"
#include "s3_internal.h"
#include "store_conformance.h"
#include "store_races.h"

#include <stdio.h>
#include <string.h>

static char uri[RGW_URI_SIZE];

static struct mr_store *open_uri(const char *which)
{
    struct mr_store *store = NULL;
    const struct mr_error error = mr_store_open(which, &store);
    ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
    return store;
}

static void setup(void)
{
    rgw_environment(uri);
    ck_assert_int_eq(setenv("MILLRACE_S3_MULTIPART_BYTES", "6000000", 1), 0);
    conformance_store = open_uri(uri);
}

static void teardown(void)
{
    mr_store_close(conformance_store);
}

static void setup_race(void)
{
    rgw_environment(races_uri);
}

/* Opens the same store after a variable was set, and says what a read and a write of it come to. */
static void expect_outcome(const char *which, enum mr_store_outcome outcome, const char *says)
{
    struct mr_buffer body = {0};
    struct mr_store_page page = {0};
    struct mr_store *store = open_uri(which);
    const struct mr_store_result results[] = {
        mr_store_get(store, "k", &body),
        mr_store_head(store, "k"),
        mr_store_put(store, "k", mr_bytes_of_text("x"), always),
        mr_store_put(store, "k", mr_bytes_of_text("x"), absent),
        mr_store_put(store, "k", mr_bytes_of_text("x"), match((struct mr_etag){"0123"})),
        mr_store_list(store, "", "", 10, &page),
        mr_store_remove(store, "k"),
    };
    for (size_t i = 0; i < MR_COUNT_OF(results); i++) {
        ck_assert_msg(results[i].outcome == outcome, "%zu: %s: %s", i, mr_store_outcome_text(results[i].outcome),
                      results[i].detail);
        ck_assert_msg(strstr(results[i].detail, says) != NULL, "%zu: %s", i, results[i].detail);
    }
    mr_store_close(store);
}

START_TEST(wrong_secret_is_denied)
{
    ck_assert_int_eq(setenv("AWS_ACCESS_KEY_ID", "AKNOBODY", 1), 0);
    ck_assert_int_eq(setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret", 1), 0);
    expect_outcome(uri, MR_STORE_DENIED, "HTTP 403");
    struct mr_store *store = open_uri(uri);
    struct mr_error error = mr_store_probe(store);
    ck_assert_int_eq(error.kind, MR_ERROR_FATAL);
    ck_assert_str_eq(error.code, "denied");
    ck_assert_ptr_null(strstr(error.detail, "not-the-secret"));
    mr_store_close(store);
}
END_TEST

START_TEST(bucket_that_is_not_there)
{
    expect_outcome("s3://no-such-bucket/p", MR_STORE_UNAVAILABLE, "NoSuchBucket: create the bucket");
}
END_TEST

START_TEST(endpoint_that_is_down)
{
    ck_assert_int_eq(setenv("MILLRACE_S3_ENDPOINT", "http://127.0.0.1:9", 1), 0);
    ck_assert_int_eq(setenv("MILLRACE_S3_ATTEMPTS", "2", 1), 0);
    expect_outcome(uri, MR_STORE_UNAVAILABLE, "at http://127.0.0.1:9: ");
}
END_TEST

static bool is_minio(void)
{
    const char *kind = getenv("MILLRACE_TEST_S3");
    return kind != NULL && strcmp(kind, "minio") == 0;
}

START_TEST(tls)
{
    char endpoint[64], authority[256];
    if (is_minio()) {
        return; /* ./dev minio has none */
    }
    rgw_line("endpoint-tls", endpoint, sizeof endpoint);
    ck_assert_int_eq(setenv("MILLRACE_S3_ENDPOINT", endpoint, 1), 0);
    ck_assert_int_eq(setenv("MILLRACE_S3_ATTEMPTS", "1", 1), 0);
    expect_outcome(uri, MR_STORE_UNAVAILABLE, "is not trusted: set MILLRACE_S3_CA_FILE");
    (void)snprintf(authority, sizeof authority, "%s/authority.pem", getenv("MILLRACE_TEST_RGW"));
    ck_assert_int_eq(setenv("MILLRACE_S3_CA_FILE", authority, 1), 0);
    struct mr_store *store = open_uri(uri);
    struct mr_error error = mr_store_probe(store);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    mr_store_close(store);
    /* With the bucket's name in the host, which the certificate has to cover. */
    (void)snprintf(authority, sizeof authority, "https://localhost%s", strrchr(endpoint, ':'));
    ck_assert_int_eq(setenv("MILLRACE_S3_ENDPOINT", authority, 1), 0);
    ck_assert_int_eq(setenv("MILLRACE_S3_STYLE", "virtual", 1), 0);
    store = open_uri(uri);
    error = mr_store_probe(store);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    mr_store_close(store);
}
END_TEST

/* The bucket's name in the host: millrace.localhost, which curl looks for on this machine. */
START_TEST(virtual_style)
{
    char endpoint[64], local[64];
    rgw_line("endpoint", endpoint, sizeof endpoint);
    (void)snprintf(local, sizeof local, "http://localhost%s", strrchr(endpoint, ':'));
    ck_assert_int_eq(setenv("MILLRACE_S3_ENDPOINT", local, 1), 0);
    ck_assert_int_eq(setenv("MILLRACE_S3_STYLE", "virtual", 1), 0);
    struct mr_store *store = open_uri(uri);
    struct mr_store_page page = {0};
    const struct mr_error error = mr_store_probe(store);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    ck_assert_int_eq(mr_store_put(store, "a/k:1", mr_bytes_of_text("virtual"), always).outcome, MR_STORE_DONE);
    ck_assert_int_eq(mr_store_list(store, "a/", "", 10, &page).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(page.count, 1);
    mr_store_page_deinit(&page);
    conformance_expect_text("a/k:1", "virtual"); /* by path it is the same object */
    mr_store_close(store);
}
END_TEST

/* Two stores in one bucket do not see each other. */
START_TEST(prefixes_are_apart)
{
    char inner[200];
    struct mr_store_page page = {0};
    ck_assert_int_eq(conformance_put("sub/k", "x", always).outcome, MR_STORE_DONE);
    ck_assert_int_eq(conformance_put("k", "y", always).outcome, MR_STORE_DONE);
    (void)snprintf(inner, sizeof inner, "%s/sub/", uri);
    struct mr_store *store = open_uri(inner);
    ck_assert_int_eq(mr_store_list(store, "", "", 10, &page).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(page.count, 1);
    ck_assert_str_eq(page.entries[0].key, "k");
    mr_store_page_deinit(&page);
    ck_assert_int_eq(mr_store_remove(store, "k").outcome, MR_STORE_DONE);
    conformance_expect_text("k", "y");
    mr_store_close(store);
}
END_TEST

/* Between us and the server somebody takes each request and drops each reply: all is written, and all is unknown. */
START_TEST(writes_whose_replies_are_lost)
{
    static const struct fault_step drop[] = {{FAULT_FORWARD_DROP, NULL}};
    char endpoint[64];
    rgw_line("endpoint", endpoint, sizeof endpoint);
    struct fault_server *proxy = fault_server_start(drop, 1, (uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fault_server_port(proxy));
    ck_assert_int_eq(setenv("MILLRACE_S3_ENDPOINT", endpoint, 1), 0);
    struct mr_store *store = open_uri(uri);
    ck_assert_int_eq(mr_store_put(store, "k", mr_bytes_of_text("one"), absent).outcome, MR_STORE_UNKNOWN);
    conformance_expect_text("k", "one");
    const struct mr_store_condition same = match(mr_store_head(conformance_store, "k").etag);
    ck_assert_int_eq(mr_store_put(store, "k", mr_bytes_of_text("two"), same).outcome, MR_STORE_UNKNOWN);
    conformance_expect_text("k", "two");
    ck_assert_int_eq(mr_store_remove(store, "k").outcome, MR_STORE_UNKNOWN);
    ck_assert_int_eq(mr_store_head(conformance_store, "k").outcome, MR_STORE_MISSING);
    ck_assert_uint_eq(fault_server_requests(proxy), 3); /* none was sent twice */
    mr_store_close(store);
    fault_server_stop(proxy);
}
END_TEST

/* ---- The doctor ---- */

static void examine(const char *which, struct mr_doctor_report *ret_report)
{
    const struct mr_doctor_options options = {.writers = 16, .rounds = 20, .large_bytes = 17 << 20};
    struct mr_store *store = open_uri(which);
    struct mr_store_page page = {0};
    ck_assert(!mr_failed(mr_store_doctor(store, &options, ret_report)));
    ck_assert_int_eq(mr_store_list(store, ".doctor/", "", 10, &page).outcome, MR_STORE_DONE);
    ck_assert_uint_eq(page.count, 0);
    mr_store_page_deinit(&page);
    mr_store_close(store);
}

START_TEST(doctor_finds_it_good)
{
    struct mr_doctor_report report;
    ck_assert_int_eq(conformance_put("m/head.json", "live", absent).outcome, MR_STORE_DONE);
    examine(uri, &report);
    for (size_t i = 0; i < report.count; i++) {
        const struct mr_doctor_finding *finding = &report.findings[i];
        ck_assert_msg(finding->verdict == MR_DOCTOR_GOOD, "%s: %s", mr_doctor_check_text(finding->check),
                      finding->detail);
    }
    ck_assert_uint_eq(report.count, MR_DOCTOR_CHECK_LAST);
    conformance_expect_text("m/head.json", "live"); /* it is safe beside what is stored */
}
END_TEST

/* As `uri`, in a bucket of its own that keeps old versions of objects. */
static struct mr_store *open_versioned(void)
{
    static const char enable[] = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                                 "<Status>Enabled</Status></VersioningConfiguration>";
    const struct s3_call calls[] = {
        {.operation = S3_PUT, .method = "PUT", .query = "", .sends_body = true},
        {.operation = S3_PUT,
         .method = "PUT",
         .query = "versioning=",
         .sends_body = true,
         .body = mr_bytes_of_text(enable)},
    };
    struct mr_store *store = open_uri("s3://millrace-versioned/p");
    for (size_t i = 0; i < MR_COUNT_OF(calls); i++) {
        struct s3_http_reply reply;
        const struct mr_store_result got = s3_call((struct mr_s3_store *)store, &calls[i], &reply);
        ck_assert_msg(got.outcome == MR_STORE_DONE || got.native == 409, "%s", got.detail);
        s3_http_reply_deinit(&reply);
    }
    return store;
}

START_TEST(doctor_knows_versioned_buckets)
{
    struct mr_doctor_report report;
    struct mr_store *store = open_versioned();
    const struct mr_error error = mr_store_probe(store);
    mr_store_close(store);
    examine("s3://millrace-versioned/p", &report);
    if (is_minio()) { /* it keeps conditions there */
        ck_assert_msg(!mr_failed(error), "%s", error.detail);
        ck_assert_int_eq(report.verdict, MR_DOCTOR_GOOD);
        ck_assert_ptr_nonnull(strstr(report.findings[MR_DOCTOR_VERSIONED_BUCKET - 1].detail, "conditions hold"));
        return;
    }
    ck_assert_str_eq(error.code, "dishonest_store");
    ck_assert_int_eq(report.findings[MR_DOCTOR_CREATE_IF_ABSENT - 1].verdict, MR_DOCTOR_BROKEN);
    ck_assert_int_eq(report.findings[MR_DOCTOR_COMPARE_AND_SWAP - 1].verdict, MR_DOCTOR_BROKEN);
    ck_assert_int_eq(report.findings[MR_DOCTOR_SWAP_RACE - 1].verdict, MR_DOCTOR_BROKEN);
    ck_assert_int_eq(report.findings[MR_DOCTOR_VERSIONED_BUCKET - 1].verdict, MR_DOCTOR_BROKEN);
    ck_assert_int_eq(report.verdict, MR_DOCTOR_BROKEN);
}
END_TEST

static void add_races(TCase *tcase)
{
    tcase_add_unchecked_fixture(tcase, setup_race, NULL);
    races_sizes(8, 40);
    tcase_set_timeout(tcase, races_timeout_s());
    store_races_add(tcase);
}

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    store_conformance_add(tcase);
    tcase_add_test(tcase, wrong_secret_is_denied);
    tcase_add_test(tcase, bucket_that_is_not_there);
    tcase_add_test(tcase, endpoint_that_is_down);
    tcase_add_test(tcase, tls);
    tcase_add_test(tcase, virtual_style);
    tcase_add_test(tcase, prefixes_are_apart);
    tcase_add_test(tcase, writes_whose_replies_are_lost);
    tcase_add_test(tcase, doctor_finds_it_good);
    tcase_add_test(tcase, doctor_knows_versioned_buckets);
}

int main(void)
{
    const int failed = getenv("MILLRACE_TEST_RACES_ONLY") != NULL ? EXIT_SUCCESS : check_main("s3_store", add);
    return check_main("s3_races", add_races) == EXIT_SUCCESS ? failed : EXIT_FAILURE;
}
