/*
 * What the s3:// back end makes of servers and networks that fail: which outcome, how often a request is sent, and what
 * is in it. Against a server of ours that does exactly what it is told.
 */
#include "check_main.h"
#include "fault_server.h"
#include "s3_environment.h"
#include "store_conformance.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECRET "sEcReT/key+of=nobody"
#define TOKEN "tOkEn/of+a=session"
#define OK_PUT "HTTP/1.1 200 OK\r\nETag: \"e1\"\r\nContent-Length: 0\r\n\r\n"
#define OK_GET "HTTP/1.1 200 OK\r\nETag: \"e1\"\r\nContent-Length: 5\r\n\r\nhello"
#define ERROR_OF(status, code)                                                                            \
    "HTTP/1.1 " status "\r\nContent-Type: application/xml\r\nConnection: close\r\n\r\n<Error><Code>" code \
    "</Code></Error>"

static struct fault_server *server;
static struct mr_store *store;

static void set(const char *name, const char *value)
{
    ck_assert_int_eq(setenv(name, value, 1), 0);
}

static void setup(void)
{
    s3_environment_clear();
    set("AWS_ACCESS_KEY_ID", "AKNOBODY");
    set("AWS_SECRET_ACCESS_KEY", SECRET);
    set("AWS_SESSION_TOKEN", TOKEN);
    set("NO_PROXY", "127.0.0.1");
    set("MILLRACE_S3_REGION", "eu-test-1");
    server = NULL;
    store = NULL;
}

static void open_store(void)
{
    const struct mr_error error = mr_store_open("s3://bucket/pre/fix", &store);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
}

static void begin(const struct fault_step *steps, size_t count)
{
    char endpoint[64];
    server = fault_server_start(steps, count, 0);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fault_server_port(server));
    set("MILLRACE_S3_ENDPOINT", endpoint);
    open_store();
}
#define BEGIN(...)                                           \
    static const struct fault_step steps_[] = {__VA_ARGS__}; \
    begin(steps_, MR_COUNT_OF(steps_))

static void teardown(void)
{
    mr_store_close(store);
    if (server != NULL) {
        fault_server_stop(server);
    }
}

static struct mr_store_result put(const char *text, struct mr_store_condition condition)
{
    return mr_store_put(store, "k", mr_bytes_of_text(text), condition);
}

static struct mr_store_result get(struct mr_store_range range, const char *wanted)
{
    struct mr_buffer body = {0};
    ck_assert(!mr_failed(mr_buffer_append(&body, ">", 1)));
    const struct mr_store_result got = store->ops->get(store, "k", range, &body);
    ck_assert_uint_eq(body.size, 1 + strlen(wanted));
    ck_assert_mem_eq(body.data + 1, wanted, body.size - 1);
    mr_buffer_deinit(&body);
    return got;
}

static const struct mr_store_range whole = {0, 0};

static void expect(struct mr_store_result got, enum mr_store_outcome outcome, const char *says, size_t requests)
{
    ck_assert_msg(got.outcome == outcome, "%s: %s", mr_store_outcome_text(got.outcome), got.detail);
    ck_assert_msg(strstr(got.detail, says) != NULL, "%s", got.detail);
    ck_assert_ptr_null(strstr(got.detail, SECRET));
    ck_assert_ptr_null(strstr(got.detail, TOKEN));
    ck_assert_uint_eq(fault_server_requests(server), requests);
}

static void expect_line(size_t request, const char *line, bool there)
{
    char head[FAULT_HEAD_SIZE], wanted[256];
    fault_server_head(server, request, head);
    (void)snprintf(wanted, sizeof wanted, "%s\r\n", line);
    ck_assert_msg((strstr(head, wanted) != NULL) == there, "%s in %s", line, head);
}

/* ---- What is sent ---------------------------------------------------------------------------------------- */

START_TEST(requests_are_signed_and_say_no_secret)
{
    BEGIN({FAULT_REPLY, OK_PUT});
    ck_assert_int_eq(put("one", absent).outcome, MR_STORE_DONE);
    ck_assert_int_eq(put("two", match((struct mr_etag){"0a1b"})).outcome, MR_STORE_DONE);
    expect_line(0, "PUT /bucket/pre/fix/k HTTP/1.1", true);
    expect_line(0, "Expect: 100-continue", false); /* a round trip */
    expect_line(0, "if-none-match: *", true);
    expect_line(0, "x-amz-content-sha256: 7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed", true);
    expect_line(0, "x-amz-security-token: " TOKEN, true);
    expect_line(1, "if-match: 0a1b", true); /* without quotes */
    for (size_t i = 0; i < 2; i++) {
        char head[FAULT_HEAD_SIZE];
        fault_server_head(server, i, head);
        ck_assert_ptr_null(strstr(head, SECRET));
        ck_assert_ptr_nonnull(strstr(head, "authorization: AWS4-HMAC-SHA256 Credential=AKNOBODY/"));
        ck_assert_ptr_nonnull(strstr(head, "/eu-test-1/s3/aws4_request, SignedHeaders="));
        ck_assert_ptr_nonnull(strstr(head, "content-type;host;if-"));
    }
}
END_TEST

/* But for a put without a body, which goes alone: libcurl could send it twice. */
START_TEST(a_connection_is_kept)
{
    BEGIN({FAULT_REPLY, OK_PUT}, {FAULT_REPLY, OK_GET});
    ck_assert_int_eq(put("one", absent).outcome, MR_STORE_DONE);
    for (size_t i = 0; i < 10; i++) {
        ck_assert_int_eq(get(whole, "hello").outcome, MR_STORE_DONE);
    }
    ck_assert_uint_eq(fault_server_requests(server), 11);
    ck_assert_uint_eq(fault_server_connections(server), 1);
}
END_TEST

START_TEST(a_condition_that_cannot_be_sent_is_refused)
{
    BEGIN({FAULT_REPLY, OK_PUT});
    static const char *const bad[] = {"", "a\r\nx-evil: 1", "\"quoted\"", "a b"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        struct mr_etag etag = {{0}};
        (void)snprintf(etag.text, sizeof etag.text, "%s", bad[i]);
        expect(put("x", match(etag)), MR_STORE_DENIED, "the ETag to match is none", 0);
    }
}
END_TEST

/* ---- Writes whose answer is lost --------------------------------------------------------------------------- */

START_TEST(a_lost_reply_to_a_write_is_unknown)
{
    BEGIN({FAULT_DROP, NULL});
    expect(put("x", always), MR_STORE_UNKNOWN, "the connection was closed before a reply", 1);
    expect(put("x", absent), MR_STORE_UNKNOWN, "", 2);
    expect(put("x", match((struct mr_etag){"e1"})), MR_STORE_UNKNOWN, "", 3);
    expect(mr_store_remove(store, "k"), MR_STORE_UNKNOWN, "", 4);
}
END_TEST

/* libcurl would send it again on a new connection, and the second one would meet what the first one wrote. */
START_TEST(a_write_is_not_repeated_when_a_kept_connection_dies)
{
    BEGIN({FAULT_REPLY, OK_PUT}, {FAULT_DROP, NULL}, {FAULT_REPLY, OK_PUT}, {FAULT_DROP, NULL}, {FAULT_REPLY, OK_PUT});
    ck_assert_int_eq(put("x", absent).outcome, MR_STORE_DONE);
    expect(put("x", absent), MR_STORE_UNKNOWN, "", 2);
    ck_assert_int_eq(put("x", absent).outcome, MR_STORE_DONE);
    expect(put("", absent), MR_STORE_UNKNOWN, "", 4); /* without a body too */
}
END_TEST

START_TEST(half_a_reply_to_a_write_is_unknown)
{
    BEGIN({FAULT_LAST_REPLY, "HTTP/1.1 200 OK\r\nETag: \"e"},
          {FAULT_LAST_REPLY, "HTTP/1.1 200 OK\r\nETag: \"e1\"\r\nContent-Length: 9\r\n\r\nhalf"},
          {FAULT_LAST_REPLY, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
          {FAULT_LAST_REPLY, "garbage\r\n\r\n"});
    for (size_t i = 1; i <= 4; i++) {
        expect(put("x", absent), MR_STORE_UNKNOWN, i == 3 ? "no ETag" : "", i);
    }
}
END_TEST

/* What has not arrived whole cannot have been taken; so it may be sent again, and is. */
START_TEST(half_a_request_did_nothing)
{
    static uint8_t big[8 << 20];
    set("MILLRACE_S3_ATTEMPTS", "2");
    BEGIN({FAULT_DROP_BODY, NULL});
    const struct mr_store_result got = mr_store_put(store, "k", mr_bytes_of(big, sizeof big), absent);
    expect(got, MR_STORE_UNAVAILABLE, "", 2);
    ck_assert_uint_lt(fault_server_body(server, 0), sizeof big);
}
END_TEST

START_TEST(nobody_there)
{
    set("MILLRACE_S3_ATTEMPTS", "2");
    set("MILLRACE_S3_ENDPOINT", "http://127.0.0.1:9");
    open_store();
    const struct mr_store_result got = put("x", absent);
    ck_assert_int_eq(got.outcome, MR_STORE_UNAVAILABLE);
    ck_assert_int_lt(got.native, 0);
    set("MILLRACE_S3_ENDPOINT", "http://no-such-host.invalid");
    mr_store_close(store);
    open_store();
    ck_assert_int_eq(put("x", absent).outcome, MR_STORE_UNAVAILABLE);
}
END_TEST

/* A listener whose queue is full: further connections get no answer at all. */
START_TEST(a_connection_that_is_never_made)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int sockets[4];
    char endpoint[64];
    for (size_t i = 0; i < MR_COUNT_OF(sockets); i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(sockets[i], 0);
    }
    ck_assert_int_eq(bind(sockets[0], (const struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(sockets[0], 0), 0);
    ck_assert_int_eq(getsockname(sockets[0], (struct sockaddr *)&address, &size), 0);
    for (size_t i = 1; i < MR_COUNT_OF(sockets); i++) {
        ck_assert_int_eq(fcntl(sockets[i], F_SETFL, O_NONBLOCK), 0);
        (void)connect(sockets[i], (const struct sockaddr *)&address, sizeof address);
    }
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", ntohs(address.sin_port));
    set("MILLRACE_S3_ENDPOINT", endpoint);
    set("MILLRACE_S3_CONNECT_TIMEOUT_MS", "200");
    set("MILLRACE_S3_ATTEMPTS", "1");
    open_store();
    const struct mr_store_result got = put("x", absent);
    ck_assert_int_eq(got.outcome, MR_STORE_UNAVAILABLE); /* nothing was sent: it certainly did not apply */
    ck_assert_msg(strstr(got.detail, "timed out") != NULL, "%s", got.detail);
    for (size_t i = 0; i < MR_COUNT_OF(sockets); i++) {
        (void)close(sockets[i]);
    }
}
END_TEST

START_TEST(a_server_that_never_answers)
{
    set("MILLRACE_S3_TIMEOUT_MS", "300");
    set("MILLRACE_S3_ATTEMPTS", "1");
    BEGIN({FAULT_STALL, NULL});
    expect(put("x", absent), MR_STORE_UNKNOWN, "it took too long", 1);
    expect(get(whole, ""), MR_STORE_UNAVAILABLE, "it took too long", 2);
    set("MILLRACE_S3_TIMEOUT_MS", "60000");
    set("MILLRACE_S3_IDLE_TIMEOUT_MS", "1000");
    mr_store_close(store);
    open_store();
    expect(put("x", absent), MR_STORE_UNKNOWN, "timed out", 3);
}
END_TEST

/* ---- Answers -------------------------------------------------------------------------------------------------- */

START_TEST(refusals)
{
    BEGIN({FAULT_LAST_REPLY, ERROR_OF("403 Forbidden", "SignatureDoesNotMatch")},
          {FAULT_LAST_REPLY, ERROR_OF("412 Precondition Failed", "PreconditionFailed")},
          {FAULT_LAST_REPLY, ERROR_OF("409 Conflict", "ConditionalRequestConflict")},
          {FAULT_LAST_REPLY, ERROR_OF("404 Not Found", "NoSuchKey")},
          {FAULT_LAST_REPLY, ERROR_OF("500 Internal Server Error", "UnknownError")},
          {FAULT_LAST_REPLY, ERROR_OF("503 Slow Down", "SlowDown")},
          {FAULT_LAST_REPLY, ERROR_OF("503 Service Unavailable", "ServiceUnavailable")},
          {FAULT_LAST_REPLY, ERROR_OF("501 Not Implemented", "NotImplemented")},
          {FAULT_LAST_REPLY, ERROR_OF("403 Forbidden", "RequestTimeTooSkewed")},
          {FAULT_LAST_REPLY, ERROR_OF("301 Moved", "PermanentRedirect")});
    const struct mr_store_condition same = match((struct mr_etag){"e1"});
    expect(put("x", same), MR_STORE_DENIED, "HTTP 403 SignatureDoesNotMatch: correct the credentials", 1);
    expect(put("x", same), MR_STORE_PRECONDITION_FAILED, "HTTP 412", 2);
    expect(put("x", same), MR_STORE_CONFLICT, "HTTP 409", 3);
    expect(put("x", same), MR_STORE_MISSING, "HTTP 404", 4);
    expect(put("x", same), MR_STORE_UNKNOWN, "HTTP 500 UnknownError", 5);
    expect(put("x", same), MR_STORE_THROTTLED, "HTTP 503 SlowDown", 6);
    expect(put("x", same), MR_STORE_UNKNOWN, "HTTP 503", 7);
    expect(put("x", same), MR_STORE_DENIED, "HTTP 501", 8);
    expect(put("x", same), MR_STORE_UNAVAILABLE, "set this machine's clock", 9);
    expect(put("x", same), MR_STORE_DENIED, "set MILLRACE_S3_REGION", 10);
}
END_TEST

/* "Not found" would begin a model anew: only the server's word about this key counts. */
START_TEST(what_is_not_found)
{
    BEGIN({FAULT_LAST_REPLY, ERROR_OF("404 Not Found", "NoSuchKey")},
          {FAULT_LAST_REPLY, ERROR_OF("404 Not Found", "NoSuchBucket")},
          {FAULT_LAST_REPLY, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 13\r\n\r\n<html></html>"},
          {FAULT_LAST_REPLY, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 13\r\n\r\n<html></html>"},
          {FAULT_LAST_REPLY, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 13\r\n\r\n<html></html>"},
          {FAULT_LAST_REPLY, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 99\r\n\r\n"}, /* head */
          {FAULT_LAST_REPLY, ERROR_OF("404 Not Found", "NoSuchKey")},
          {FAULT_LAST_REPLY, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 99\r\n\r\n"},
          {FAULT_LAST_REPLY, ERROR_OF("404 Not Found", "NoSuchBucket")});
    set("MILLRACE_S3_ATTEMPTS", "1");
    expect(get(whole, ""), MR_STORE_MISSING, "HTTP 404 NoSuchKey", 1);
    expect(get(whole, ""), MR_STORE_UNAVAILABLE, "NoSuchBucket: create the bucket", 2);
    expect(get(whole, ""), MR_STORE_UNAVAILABLE, "is MILLRACE_S3_ENDPOINT an S3 server?", 5); /* three attempts */
    mr_store_close(store);
    open_store();
    expect(mr_store_head(store, "k"), MR_STORE_MISSING, "", 7);
    expect(mr_store_head(store, "k"), MR_STORE_UNAVAILABLE, "create the bucket", 9);
}
END_TEST

/* ---- Reads ---------------------------------------------------------------------------------------------------- */

START_TEST(reads_are_repeated)
{
    BEGIN({FAULT_DROP, NULL}, {FAULT_LAST_REPLY, ERROR_OF("503 Slow Down", "SlowDown")}, {FAULT_REPLY, OK_GET},
          {FAULT_LAST_REPLY, "HTTP/1.1 200 OK\r\nETag: \"e1\"\r\nContent-Length: 5\r\n\r\nhal"});
    expect(get(whole, "hello"), MR_STORE_DONE, "", 3);
    expect(get(whole, ""), MR_STORE_UNAVAILABLE, "", 6); /* nothing of the halves is left in the buffer */
}
END_TEST

START_TEST(ranges_of_strange_servers)
{
    BEGIN({FAULT_REPLY, OK_GET}, /* the whole object, whatever is asked for */
          {FAULT_REPLY, OK_GET}, {FAULT_REPLY, OK_GET},
          {FAULT_REPLY,
           "HTTP/1.1 206 Partial\r\nETag: \"e1\"\r\nContent-Length: 2\r\nContent-Range: bytes 1-2/5\r\n\r\nel"},
          {FAULT_REPLY,
           "HTTP/1.1 206 Partial\r\nETag: \"e1\"\r\nContent-Length: 2\r\nContent-Range: bytes 2-3/5\r\n\r\nll"},
          {FAULT_REPLY, "HTTP/1.1 206 Partial\r\nETag: \"e1\"\r\nContent-Length: 2\r\n\r\nel"},
          {FAULT_REPLY,
           "HTTP/1.1 206 Partial\r\nETag: \"e1\"\r\nContent-Length: 1\r\nContent-Range: bytes 1-1/5\r\n\r\ne"},
          {FAULT_LAST_REPLY, "HTTP/1.1 200 OK\r\nETag: \"e1\"\r\n\r\nhello"}, /* its end is nowhere said */
          {FAULT_LAST_REPLY, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"});
    const struct mr_store_range middle = {1, 2};
    ck_assert_uint_eq(get(middle, "el").size, 5);
    expect_line(0, "range: bytes=1-2", true);
    expect(get((struct mr_store_range){9, 2}, ""), MR_STORE_DONE, "", 2);
    expect(get((struct mr_store_range){3, 0}, "lo"), MR_STORE_DONE, "", 3);
    ck_assert_uint_eq(get(middle, "el").size, 5);
    for (size_t i = 5; i <= 7; i++) {
        expect(get(middle, ""), MR_STORE_UNAVAILABLE, "another range", i);
    }
    expect(get(whole, ""), MR_STORE_UNAVAILABLE, "how long it is", 8);
    expect(get(whole, ""), MR_STORE_UNAVAILABLE, "no ETag", 9);
}
END_TEST

#define LIST(entries, truncated)                                                                                     \
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult><IsTruncated>" truncated "</IsTruncated>" entries \
    "</ListBucketResult>"
#define ENTRY(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"

/* Objects that are not Millrace's are passed over, and never end a listing early. */
START_TEST(lists_with_strange_keys)
{
    struct mr_store_page page = {0};
    BEGIN({FAULT_LAST_REPLY, LIST(ENTRY("pre/fix/a b") ENTRY("pre/fix/a//c"), "true")},
          {FAULT_LAST_REPLY, LIST(ENTRY("pre/fix/b!") ENTRY("pre/fix/c"), "false")},
          {FAULT_LAST_REPLY, LIST(ENTRY("pre/fiy"), "false")}, {FAULT_LAST_REPLY, LIST(ENTRY("pre/fix/a"), "true")},
          {FAULT_LAST_REPLY, LIST(ENTRY("pre/fix/a"), "true")});
    expect(mr_store_list(store, "", "", 10, &page), MR_STORE_DONE, "", 2);
    ck_assert_uint_eq(page.count, 1);
    ck_assert_str_eq(page.entries[0].key, "c");
    mr_store_page_deinit(&page);
    expect_line(0, "GET /bucket?encoding-type=url&list-type=2&max-keys=10&prefix=pre%2Ffix%2F HTTP/1.1", true);
    expect_line(1,
                "GET /bucket?encoding-type=url&list-type=2&max-keys=10&prefix=pre%2Ffix%2F"
                "&start-after=pre%2Ffix%2Fa%2F%2Fc HTTP/1.1",
                true);
    expect(mr_store_list(store, "", "", 10, &page), MR_STORE_UNAVAILABLE, "without that prefix", 3);
    /* The same page again would be listed for ever. */
    expect(mr_store_list(store, "", "a", 10, &page), MR_STORE_UNAVAILABLE, "ascending", 4);
    ck_assert_uint_eq(page.count, 0);
}
END_TEST

/* ---- Uploads in parts ------------------------------------------------------------------------------------------ */

#define OK_BEGIN                                                                                            \
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<InitiateMultipartUploadResult><UploadId>2~x/y</UploadId>" \
    "</InitiateMultipartUploadResult>"

static struct mr_store_result put_parts(void)
{
    static uint8_t big[17 << 20];
    return mr_store_put(store, "k", mr_bytes_of(big, sizeof big), always);
}

/* COMPLETE says 200 and fails in its body: it may have been completed. A part that is lost is sent again. */
START_TEST(parts)
{
    set("MILLRACE_S3_MULTIPART_BYTES", "5242880");
    BEGIN({FAULT_LAST_REPLY, OK_BEGIN}, {FAULT_DROP, NULL}, {FAULT_REPLY, OK_PUT}, {FAULT_REPLY, OK_PUT},
          {FAULT_LAST_REPLY, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<Error><Code>InternalError</Code></Error>"},
          {FAULT_LAST_REPLY, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
          /* the second time */
          {FAULT_LAST_REPLY, OK_BEGIN}, {FAULT_LAST_REPLY, ERROR_OF("403 Forbidden", "AccessDenied")},
          {FAULT_LAST_REPLY, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
          /* the third time */
          {FAULT_LAST_REPLY, OK_BEGIN}, {FAULT_REPLY, OK_PUT}, {FAULT_REPLY, OK_PUT}, {FAULT_DROP, NULL},
          {FAULT_LAST_REPLY, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"});
    expect(put_parts(), MR_STORE_UNKNOWN, "InternalError", 6);
    expect_line(0, "POST /bucket/pre/fix/k?uploads= HTTP/1.1", true);
    expect_line(1, "PUT /bucket/pre/fix/k?partNumber=1&uploadId=2~x%2Fy HTTP/1.1", true);
    expect_line(2, "PUT /bucket/pre/fix/k?partNumber=1&uploadId=2~x%2Fy HTTP/1.1", true);
    expect_line(3, "PUT /bucket/pre/fix/k?partNumber=2&uploadId=2~x%2Fy HTTP/1.1", true);
    expect_line(5, "DELETE /bucket/pre/fix/k?uploadId=2~x%2Fy HTTP/1.1", true);
    expect(put_parts(), MR_STORE_DENIED, "AccessDenied", 9);
    expect(put_parts(), MR_STORE_UNKNOWN, "", 14);
}
END_TEST

/* With a condition it is one request, however large. */
START_TEST(no_parts_with_a_condition)
{
    static uint8_t big[6 << 20];
    set("MILLRACE_S3_MULTIPART_BYTES", "5242880");
    BEGIN({FAULT_REPLY, OK_PUT});
    expect(mr_store_put(store, "k", mr_bytes_of(big, sizeof big), absent), MR_STORE_DONE, "", 1);
    expect_line(0, "if-none-match: *", true);
    expect_line(0, "Expect: 100-continue", true);
    ck_assert_uint_eq(fault_server_body(server, 0), sizeof big);
}
END_TEST

/* ---- Credentials ------------------------------------------------------------------------------------------------ */

static void write_profile(const char *path, const char *key)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fprintf(file, "[default]\naws_access_key_id=%s\naws_secret_access_key=" SECRET "\n", key);
    ck_assert_int_eq(fclose(file), 0);
}

/* Somebody has renewed the file since: a token that the server calls expired is looked up again, once. */
START_TEST(expired_credentials_are_read_again)
{
    char path[] = "/tmp/mr_s3_XXXXXX";
    const int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    (void)close(file);
    ck_assert_int_eq(unsetenv("AWS_ACCESS_KEY_ID"), 0);
    ck_assert_int_eq(unsetenv("AWS_SECRET_ACCESS_KEY"), 0);
    set("AWS_SHARED_CREDENTIALS_FILE", path);
    write_profile(path, "AKOLD");
    BEGIN({FAULT_LAST_REPLY, ERROR_OF("400 Bad Request", "ExpiredToken")}, {FAULT_REPLY, OK_PUT},
          {FAULT_LAST_REPLY, ERROR_OF("400 Bad Request", "ExpiredToken")});
    write_profile(path, "AKNEW");
    expect(put("x", absent), MR_STORE_DONE, "", 2);
    char head[FAULT_HEAD_SIZE];
    fault_server_head(server, 0, head);
    ck_assert_ptr_nonnull(strstr(head, "Credential=AKOLD/"));
    fault_server_head(server, 1, head);
    ck_assert_ptr_nonnull(strstr(head, "Credential=AKNEW/"));
    expect(put("x", absent), MR_STORE_DENIED, "get a new session token", 4);
    (void)unlink(path);
}
END_TEST

#define REPLY_OF(size, text) "HTTP/1.1 200 OK\r\nContent-Length: " #size "\r\n\r\n" text
#define ROLE                                                                               \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"AKROLE\",\"SecretAccessKey\":\"" SECRET "\"," \
    "\"Token\":\"" TOKEN "\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"

#define NEXT_ROLE                                                                          \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"AKNEXT\",\"SecretAccessKey\":\"" SECRET "\"," \
    "\"Token\":\"" TOKEN "\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"

START_TEST(credentials_of_the_instance)
{
    char endpoint[64];
    static const struct fault_step metadata[] = {
        {FAULT_LAST_REPLY, ERROR_OF("500 Oops", "None")},
        {FAULT_REPLY, REPLY_OF(9, "api-token")},
        {FAULT_REPLY, REPLY_OF(7, "my role")},
        {FAULT_LAST_REPLY, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" ROLE},
        /* when the server calls the token expired */
        {FAULT_REPLY, REPLY_OF(9, "api-token")},
        {FAULT_REPLY, REPLY_OF(7, "my role")},
        {FAULT_LAST_REPLY, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" NEXT_ROLE},
    };
    struct fault_server *instance = fault_server_start(metadata, MR_COUNT_OF(metadata), 0);
    ck_assert_int_eq(unsetenv("AWS_ACCESS_KEY_ID"), 0);
    ck_assert_int_eq(unsetenv("AWS_SECRET_ACCESS_KEY"), 0);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fault_server_port(instance));
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint);
    set("HOME", "/nonexistent");
    set("MILLRACE_S3_INSTANCE_METADATA", "on");
    BEGIN({FAULT_REPLY, OK_PUT}, {FAULT_REPLY, OK_PUT}, {FAULT_LAST_REPLY, ERROR_OF("400 Bad Request", "ExpiredToken")},
          {FAULT_REPLY, OK_PUT});
    expect(put("x", absent), MR_STORE_UNAVAILABLE, "the instance's metadata", 0);
    expect(put("x", absent), MR_STORE_DONE, "", 1);
    expect(put("x", absent), MR_STORE_DONE, "", 2);
    ck_assert_uint_eq(fault_server_requests(instance), 4); /* kept until shortly before they expire */
    char head[FAULT_HEAD_SIZE];
    fault_server_head(instance, 3, head);
    ck_assert_ptr_nonnull(strstr(head, "GET /latest/meta-data/iam/security-credentials/my%20role HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(head, "x-aws-ec2-metadata-token: api-token\r\n"));
    fault_server_head(server, 0, head);
    ck_assert_ptr_nonnull(strstr(head, "Credential=AKROLE/"));
    ck_assert_ptr_nonnull(strstr(head, "x-amz-security-token: " TOKEN "\r\n"));
    expect(put("x", absent), MR_STORE_DONE, "", 4);
    fault_server_head(server, 3, head);
    ck_assert_ptr_nonnull(strstr(head, "Credential=AKNEXT/"));
    /* What comes before it in the order is never passed over for it. */
    set("AWS_ACCESS_KEY_ID", "AKNOBODY");
    set("AWS_SECRET_ACCESS_KEY", SECRET);
    mr_store_close(store);
    open_store();
    expect(put("x", absent), MR_STORE_DONE, "", 5);
    ck_assert_uint_eq(fault_server_requests(instance), 7);
    fault_server_stop(instance);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, requests_are_signed_and_say_no_secret);
    tcase_add_test(tcase, a_connection_is_kept);
    tcase_add_test(tcase, a_condition_that_cannot_be_sent_is_refused);
    tcase_add_test(tcase, a_lost_reply_to_a_write_is_unknown);
    tcase_add_test(tcase, a_write_is_not_repeated_when_a_kept_connection_dies);
    tcase_add_test(tcase, half_a_reply_to_a_write_is_unknown);
    tcase_add_test(tcase, half_a_request_did_nothing);
    tcase_add_test(tcase, nobody_there);
    tcase_add_test(tcase, a_connection_that_is_never_made);
    tcase_add_test(tcase, a_server_that_never_answers);
    tcase_add_test(tcase, refusals);
    tcase_add_test(tcase, what_is_not_found);
    tcase_add_test(tcase, reads_are_repeated);
    tcase_add_test(tcase, ranges_of_strange_servers);
    tcase_add_test(tcase, lists_with_strange_keys);
    tcase_add_test(tcase, parts);
    tcase_add_test(tcase, no_parts_with_a_condition);
    tcase_add_test(tcase, expired_credentials_are_read_again);
    tcase_add_test(tcase, credentials_of_the_instance);
}

int main(void)
{
    return check_main("s3_faults", add);
}
