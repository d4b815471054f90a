/* URIs, settings and credentials from the environment: what is taken, in which order, and what each error names. */
#define _XOPEN_SOURCE 700
#include "check_main.h"
#include "s3_credentials.h"
#include "s3_environment.h"
#include "s3_settings.h"
#include "store_scratch.h"

#include <string.h>
#include <sys/stat.h>

static struct scratch scratch;

static void setup(void)
{
    s3_environment_clear();
    scratch = scratch_make();
    ck_assert_int_eq(setenv("HOME", scratch.path, 1), 0);
}

static void teardown(void)
{
    scratch_drop(&scratch);
}

static void set(const char *name, const char *value)
{
    ck_assert_int_eq(setenv(name, value, 1), 0);
}

static struct s3_settings load(const char *uri)
{
    struct s3_settings settings;
    const struct mr_error error = s3_settings_load(uri, &settings);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    return settings;
}

static void expect_refused(const char *uri, const char *code, const char *says)
{
    struct s3_settings settings;
    const struct mr_error error = s3_settings_load(uri, &settings);
    ck_assert_msg(error.kind == MR_ERROR_REJECT && strcmp(error.code, code) == 0, "%s: %s", uri, error.code);
    ck_assert_msg(strstr(error.detail, says) != NULL, "%s", error.detail);
}

START_TEST(uris)
{
    ck_assert_str_eq(load("s3://bucket").prefix, "");
    ck_assert_str_eq(load("s3://bucket/").prefix, "");
    ck_assert_str_eq(load("s3://bucket/a").prefix, "a/");
    ck_assert_str_eq(load("s3://bucket/a/b/").prefix, "a/b/");
    ck_assert_str_eq(load("s3://my-bucket/a").bucket, "my-bucket");
    static const char *const bad[] = {"s3://",         "s3:///p",          "s3://ab/p",      "s3://Bucket/p",
                                      "s3://bucket//", "s3://bucket/a//b", "s3://bucket/ a", "s3://bucket/../a",
                                      "s3://b_c_d/p",  "s3://u:p@bucket/x"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        struct s3_settings settings;
        ck_assert_msg(s3_settings_load(bad[i], &settings).kind == MR_ERROR_REJECT, "%s", bad[i]);
    }
}
END_TEST

START_TEST(where_requests_go)
{
    static const struct {
        const char *endpoint, *region, *style, *origin, *host;
        bool in_path;
    } rows[] = {
        {"", "", "auto", "https://bucket.s3.us-east-1.amazonaws.com", "bucket.s3.us-east-1.amazonaws.com", false},
        {"", "eu-north-1", "path", "https://s3.eu-north-1.amazonaws.com", "s3.eu-north-1.amazonaws.com", true},
        {"http://127.0.0.1:9000", "", "auto", "http://127.0.0.1:9000", "127.0.0.1:9000", true},
        {"http://127.0.0.1:9000/", "", "auto", "http://127.0.0.1:9000", "127.0.0.1:9000", true},
        {"https://minio.test:443", "", "path", "https://minio.test", "minio.test", true},
        {"http://minio.test:80", "", "path", "http://minio.test", "minio.test", true},
        {"http://minio.test:443", "", "virtual", "http://bucket.minio.test:443", "bucket.minio.test:443", false},
        {"https://[::1]:9000", "", "auto", "https://[::1]:9000", "[::1]:9000", true},
    };
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        set("MILLRACE_S3_ENDPOINT", rows[i].endpoint);
        set("MILLRACE_S3_REGION", rows[i].region);
        set("MILLRACE_S3_STYLE", rows[i].style);
        const struct s3_settings settings = load("s3://bucket/p");
        ck_assert_str_eq(settings.origin, rows[i].origin);
        ck_assert_str_eq(settings.host, rows[i].host);
        ck_assert_int_eq(settings.in_path, rows[i].in_path);
    }
}
END_TEST

START_TEST(bad_settings_are_named)
{
    static const char *const endpoints[] = {"minio:9000",        "ftp://host",       "http://",
                                            "http://host/path",  "http://u:pw@host", "http://host?q=1",
                                            "http://host:99999", "http://ho st",     "https://host#f"};
    for (size_t i = 0; i < MR_COUNT_OF(endpoints); i++) {
        set("MILLRACE_S3_ENDPOINT", endpoints[i]);
        expect_refused("s3://bucket/p", "bad_setting", "MILLRACE_S3_ENDPOINT: expected");
    }
    set("MILLRACE_S3_ENDPOINT", "https://host");
    set("MILLRACE_S3_STYLE", "virtual");
    expect_refused("s3://my.bucket/p", "bad_setting", "MILLRACE_S3_STYLE");
    set("MILLRACE_S3_STYLE", "host");
    expect_refused("s3://bucket/p", "bad_value", "MILLRACE_S3_STYLE: expected one of auto|path|virtual");
    set("MILLRACE_S3_STYLE", "auto");
    set("MILLRACE_S3_REGION", "eu/north");
    expect_refused("s3://bucket/p", "bad_setting", "MILLRACE_S3_REGION");
    set("MILLRACE_S3_REGION", "");
    set("AWS_DEFAULT_REGION", "eu-1");
    ck_assert_str_eq(load("s3://bucket/p").region, "eu-1");
    set("AWS_REGION", "eu-2");
    ck_assert_str_eq(load("s3://bucket/p").region, "eu-2");
    set("MILLRACE_S3_CA_FILE", "/nonexistent/ca.pem");
    expect_refused("s3://bucket/p", "bad_setting", "MILLRACE_S3_CA_FILE");
    set("MILLRACE_S3_CA_FILE", "");
    set("MILLRACE_S3_ATTEMPTS", "0");
    expect_refused("s3://bucket/p", "bad_value", "MILLRACE_S3_ATTEMPTS: expected a whole number from 1 to 10");
}
END_TEST

/* ---- Credentials ---------------------------------------------------------------------------------------- */

static void write_file(const char *name, const char *text, char ret_path[128])
{
    (void)snprintf(ret_path, 128, "%s/%s", scratch.path, name);
    FILE *file = fopen(ret_path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void expect_key(const char *key)
{
    struct s3_provider *provider = NULL;
    struct s3_credentials credentials;
    const struct mr_error error = s3_provider_open(false, &provider);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    ck_assert(!mr_failed(s3_provider_get(provider, false, &credentials)));
    ck_assert_str_eq(credentials.access_key, key);
    s3_provider_close(provider);
}

static void expect_none(const char *code, const char *says)
{
    struct s3_provider *provider = NULL;
    const struct mr_error error = s3_provider_open(false, &provider);
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    ck_assert_str_eq(error.code, code);
    ck_assert_msg(strstr(error.detail, says) != NULL, "%s", error.detail);
    ck_assert_ptr_null(strstr(error.detail, "sEcReT"));
    ck_assert_ptr_null(provider);
}

START_TEST(order_of_credentials)
{
    char path[128];
    expect_none("no_credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    (void)snprintf(path, sizeof path, "%s/.aws", scratch.path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    write_file(".aws/credentials",
               "[default]\naws_access_key_id=AKHOME\naws_secret_access_key=sEcReT\n"
               "[other]\naws_access_key_id=AKOTHER\naws_secret_access_key=sEcReT\n",
               path);
    expect_key("AKHOME");
    set("AWS_PROFILE", "other");
    expect_key("AKOTHER");
    write_file("mine", "[other]\naws_access_key_id=AKFILE\naws_secret_access_key=sEcReT\n", path);
    set("AWS_SHARED_CREDENTIALS_FILE", path);
    expect_key("AKFILE");
    set("AWS_ACCESS_KEY_ID", "AKENV");
    set("AWS_SECRET_ACCESS_KEY", "sEcReT");
    expect_key("AKENV");
    ck_assert_int_eq(unsetenv("AWS_SECRET_ACCESS_KEY"), 0);
    expect_none("bad_credentials", "set AWS_SECRET_ACCESS_KEY too");
}
END_TEST

START_TEST(half_credentials_are_errors)
{
    char path[128];
    set("AWS_SECRET_ACCESS_KEY", "sEcReT");
    expect_none("bad_credentials", "set AWS_ACCESS_KEY_ID too");
    set("AWS_ACCESS_KEY_ID", "AK");
    set("AWS_SECRET_ACCESS_KEY", "sEcReT with spaces");
    expect_none("bad_credentials", "not visible ASCII");
    ck_assert_int_eq(unsetenv("AWS_ACCESS_KEY_ID"), 0);
    ck_assert_int_eq(unsetenv("AWS_SECRET_ACCESS_KEY"), 0);
    set("AWS_PROFILE", "chosen");
    expect_none("bad_credentials", "No such file");
    set("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials");
    expect_none("bad_credentials", "/nonexistent/credentials");
    write_file("mine",
               "[default]\naws_access_key_id=AK\naws_secret_access_key=sEcReT\n[half]\naws_access_key_id=AK\n"
               "[bad]\naws_access_key_id=AK\naws_secret_access_key=sEcReT \x01\n",
               path);
    set("AWS_SHARED_CREDENTIALS_FILE", path);
    expect_none("bad_credentials", "has no profile [chosen]");
    set("AWS_PROFILE", "half");
    expect_none("bad_credentials", "lacks aws_access_key_id or aws_secret_access_key");
    set("AWS_PROFILE", "bad");
    expect_none("bad_credentials", "no credential");
}
END_TEST

START_TEST(roles)
{
    static const char good[] = "{\"Code\":\"Success\",\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
                               "\"Expiration\":\"2026-11-22T05:00:01Z\"}";
    struct s3_credentials credentials;
    int64_t expires = 0;
    ck_assert(s3_role_parse(mr_bytes_of_text(good), &credentials, &expires));
    ck_assert_str_eq(credentials.access_key, "AK");
    ck_assert_str_eq(credentials.token, "t");
    ck_assert_int_eq(expires, 1795323601);
    static const char *const bad[] = {
        "",
        "[]",
        "null",
        "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"s\",\"Token\":\"t\"}",
        "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"s\",\"Expiration\":\"2026-11-22T05:00:01Z\"}",
        "{\"AccessKeyId\":\"A K\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"2026-11-22T05:00:01Z\"}",
        "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"tomorrow\"}",
        "{\"AccessKeyId\":1,\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"2026-11-22T05:00:01Z\"}"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_msg(!s3_role_parse(mr_bytes_of_text(bad[i]), &credentials, &expires), "%s", bad[i]);
    }
    for (size_t size = 0; size + 1 < sizeof good; size++) { /* every beginning of it */
        ck_assert(!s3_role_parse(mr_bytes_of(good, size), &credentials, &expires) || size == sizeof good - 1);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, uris);
    tcase_add_test(tcase, where_requests_go);
    tcase_add_test(tcase, bad_settings_are_named);
    tcase_add_test(tcase, order_of_credentials);
    tcase_add_test(tcase, half_credentials_are_errors);
    tcase_add_test(tcase, roles);
}

int main(void)
{
    return check_main("s3_settings", add);
}
