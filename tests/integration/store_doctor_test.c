/*
 * The doctor of stores finds what is wrong with each server that is honest but for one thing, says so by name, and
 * leaves nothing behind; so does its short form, as far as versions would be lost by it.
 */
#include "bad_s3.h"
#include "check_main.h"
#include "millrace/store_doctor.h"
#include "s3_environment.h"

#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { CREATE = 1 << MR_DOCTOR_CREATE_IF_ABSENT, SWAP = 1 << MR_DOCTOR_COMPARE_AND_SWAP };
enum { ETAGS = 1 << MR_DOCTOR_ETAGS, READS = 1 << MR_DOCTOR_READ_AFTER_WRITE, RANGES = 1 << MR_DOCTOR_RANGES };
enum { LISTS = 1 << MR_DOCTOR_LIST_AFTER_WRITE, PAGES = 1 << MR_DOCTOR_LIST_PAGES };
enum { LARGE = 1 << MR_DOCTOR_LARGE_OBJECTS, CREATES = 1 << MR_DOCTOR_CREATE_RACE, SWAPS = 1 << MR_DOCTOR_SWAP_RACE };
enum { VERSIONS = 1 << MR_DOCTOR_VERSIONED_BUCKET, CLEANUP = 1 << MR_DOCTOR_CLEANUP };

/* What the doctor must find broken, and `refused`: what services would refuse. */
static const struct {
    enum bad_s3_kind kind;
    unsigned broken;
    bool refused;
    const char *says;
} rows[] = {
    {BAD_S3_NOTHING, 0, false, NULL},
    {BAD_S3_IGNORES_CONDITIONS, CREATE | SWAP | LARGE | CREATES | SWAPS, true, "was answered done"},
    {BAD_S3_CHECKS_THEN_WRITES, CREATES | SWAPS, true, "more than one writer was told that it had won"},
    {BAD_S3_REFUSES_CONDITIONS, CREATE | SWAP | ETAGS | LARGE, true, "HTTP 501 NotImplemented"},
    {BAD_S3_SWAPS_WHAT_IS_NONE, SWAP, true, "a swap of an object that was not there was answered done"},
    {BAD_S3_NEVER_MATCHES, SWAP | ETAGS | SWAPS, true, "a swap by the right ETag was answered precondition_failed"},
    {BAD_S3_APPLIES_LATER, SWAPS, true, "was overwritten by one that had lost"},
    {BAD_S3_ETAG_OF_SIZE, SWAP | ETAGS | SWAPS, true, "gave the same ETag"},
    {BAD_S3_READS_STALE, READS | SWAP | SWAPS, true, "a get right after the put gave other bytes"},
    {BAD_S3_BAD_RANGES, RANGES | LARGE, false, "another range"},
    {BAD_S3_LISTS_LATE, LISTS | PAGES, false, "a list right after a put did not give the keys"},
    {BAD_S3_LISTS_REMOVED, LISTS | CLEANUP, true, "a list right after a removal did not give the keys"},
    {BAD_S3_SKIPS_BETWEEN_PAGES, PAGES, false, "a list by pages did not give the keys"},
    {BAD_S3_KEEPS_VERSIONS, 0, false, "the bucket is versioned, and conditions hold"},
    {BAD_S3_VERSIONED, CREATE | SWAP | ETAGS | LARGE | CREATES | SWAPS | VERSIONS, true, "the bucket is versioned"},
};

static struct bad_s3 *server;
static struct mr_store *store;

static void begin(enum bad_s3_kind kind)
{
    char endpoint[64];
    s3_environment_clear();
    server = bad_s3_start(kind);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", bad_s3_port(server));
    ck_assert_int_eq(setenv("MILLRACE_S3_ENDPOINT", endpoint, 1), 0);
    ck_assert_int_eq(setenv("AWS_ACCESS_KEY_ID", "AKNOBODY", 1), 0);
    ck_assert_int_eq(setenv("AWS_SECRET_ACCESS_KEY", "nothing", 1), 0);
    ck_assert_int_eq(setenv("NO_PROXY", "127.0.0.1", 1), 0);
    const struct mr_error error = mr_store_open("s3://bucket/pre", &store);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
}

static void end(void)
{
    mr_store_close(store);
    bad_s3_stop(server);
}

static bool says(const struct mr_doctor_report *report, const char *text)
{
    for (size_t i = 0; i < report->count; i++) {
        if (strstr(report->findings[i].detail, text) != NULL) {
            return true;
        }
    }
    return false;
}

/* What is not listed is not found again. */
static void expect_clean(enum bad_s3_kind kind)
{
    ck_assert_uint_le(bad_s3_objects(server), kind == BAD_S3_LISTS_LATE ? 1 : 0);
}

START_TEST(doctor_names_what_is_broken)
{
    struct mr_doctor_report report;
    const struct mr_doctor_options options = {.writers = 6, .rounds = 4, .large_bytes = 300000};
    begin(rows[_i].kind);
    ck_assert(!mr_failed(mr_store_doctor(store, &options, &report)));
    ck_assert_uint_eq(report.count, MR_DOCTOR_CHECK_LAST);
    for (size_t i = 0; i < report.count; i++) {
        const struct mr_doctor_finding *finding = &report.findings[i];
        const bool broken = (rows[_i].broken & (1U << finding->check)) != 0;
        ck_assert_int_eq((int)finding->check, (int)i + 1);
        ck_assert_msg((finding->verdict == MR_DOCTOR_BROKEN) == broken, "%d: %s is %s: %s", rows[_i].kind,
                      mr_doctor_check_text(finding->check), mr_doctor_verdict_text(finding->verdict), finding->detail);
        ck_assert((finding->would_lose != NULL) == broken);
    }
    ck_assert_int_eq(report.verdict, rows[_i].broken != 0 ? MR_DOCTOR_BROKEN : MR_DOCTOR_GOOD);
    ck_assert_msg(rows[_i].says == NULL || says(&report, rows[_i].says), "%d", rows[_i].kind);
    expect_clean(rows[_i].kind);
    end();
}
END_TEST

START_TEST(services_refuse_what_would_lose_versions)
{
    begin(rows[_i].kind);
    const struct mr_error error = mr_store_probe(store);
    if (rows[_i].refused) {
        ck_assert_msg(error.kind == MR_ERROR_FATAL, "%d: %s", rows[_i].kind, error.detail);
        ck_assert_str_eq(error.code, "dishonest_store");
        ck_assert_ptr_nonnull(strstr(error.detail, "millrace store doctor"));
    } else if (rows[_i].broken == 0) {
        ck_assert_msg(!mr_failed(error), "%d: %s", rows[_i].kind, error.detail);
    }
    expect_clean(rows[_i].kind);
    end();
}
END_TEST

/* Runs persist on the store; what it says, and its exit code. */
static int run_service(char *ret_said, size_t size)
{
    char program[512];
    char *argv[] = {program, (char[]){"--store=s3://bucket/pre"}, (char[]){"--brokers=127.0.0.1:9"},
                    (char[]){"--log-level=info"}, NULL};
    posix_spawn_file_actions_t actions;
    int said[2], status = 0;
    size_t got = 0;
    pid_t pid;
    ck_assert_ptr_nonnull(getenv("MILLRACE_BIN"));
    (void)snprintf(program, sizeof program, "%s/millrace-persist", getenv("MILLRACE_BIN"));
    ck_assert_int_eq(pipe(said), 0);
    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    ck_assert_int_eq(posix_spawn_file_actions_adddup2(&actions, said[1], STDERR_FILENO), 0);
    ck_assert_int_eq(posix_spawn(&pid, program, &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(said[1]);
    for (ssize_t more = 1; more > 0 && got + 1 < size; got += more > 0 ? (size_t)more : 0) {
        more = read(said[0], ret_said + got, size - got - 1);
    }
    ret_said[got] = '\0';
    (void)close(said[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(a_service_ends_and_says_why)
{
    static const enum bad_s3_kind kinds[] = {BAD_S3_IGNORES_CONDITIONS, BAD_S3_CHECKS_THEN_WRITES,
                                             BAD_S3_REFUSES_CONDITIONS, BAD_S3_VERSIONED};
    char said[4096];
    begin(kinds[_i]);
    ck_assert_int_eq(run_service(said, sizeof said), 69);
    ck_assert_msg(strstr(said, "CannotStart") != NULL && strstr(said, "dishonest_store") != NULL &&
                      strstr(said, "is broken: ") != NULL && strstr(said, "Use another store") != NULL,
                  "%s", said);
    end();
}
END_TEST

START_TEST(nothing_is_told_of_a_store_that_is_down)
{
    struct mr_doctor_report report;
    const struct mr_doctor_options options = {.writers = 2, .rounds = 1};
    begin(BAD_S3_NOTHING);
    mr_store_close(store);
    ck_assert_int_eq(setenv("MILLRACE_S3_ENDPOINT", "http://127.0.0.1:9", 1), 0);
    ck_assert_int_eq(setenv("MILLRACE_S3_ATTEMPTS", "1", 1), 0);
    ck_assert(!mr_failed(mr_store_open("s3://bucket/pre", &store)));
    ck_assert(!mr_failed(mr_store_doctor(store, &options, &report)));
    ck_assert_int_eq(report.verdict, MR_DOCTOR_COULD_NOT_TELL);
    ck_assert_uint_eq(report.count, 1); /* it does not go on waiting for each check */
    const struct mr_error error = mr_store_probe(store);
    ck_assert_int_eq(error.kind, MR_ERROR_TRANSIENT);
    ck_assert_str_eq(error.code, "undecided");
    end();
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_loop_test(tcase, doctor_names_what_is_broken, 0, MR_COUNT_OF(rows));
    tcase_add_loop_test(tcase, services_refuse_what_would_lose_versions, 0, MR_COUNT_OF(rows));
    tcase_add_loop_test(tcase, a_service_ends_and_says_why, 0, 4);
    tcase_add_test(tcase, nothing_is_told_of_a_store_that_is_down);
}

int main(void)
{
    return check_main("store_doctor", add);
}
