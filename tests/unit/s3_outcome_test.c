/* Every answer of an S3 server has one outcome, and no write is called refused that may have been applied. */
#include "check_main.h"
#include "s3_outcome.h"

#include <string.h>

#define ANY 0

static const enum s3_operation operations[] = {S3_GET,           S3_HEAD,          S3_LIST,   S3_PUT,
                                               S3_PUT_IF_ABSENT, S3_PUT_IF_MATCH,  S3_REMOVE, S3_BEGIN_PARTS,
                                               S3_PUT_PART,      S3_COMPLETE_PARTS};

static bool reads(enum s3_operation operation)
{
    return operation == S3_GET || operation == S3_HEAD || operation == S3_LIST;
}

/* An upload is not visible before it is completed. */
static bool invisible(enum s3_operation operation)
{
    return reads(operation) || operation == S3_BEGIN_PARTS || operation == S3_PUT_PART;
}

static enum mr_store_outcome decide(enum s3_operation operation, enum s3_exchange exchange, int status,
                                    enum s3_code code)
{
    const struct s3_answer answer = {exchange, status, code};
    return s3_outcome_decide(operation, &answer);
}

START_TEST(answers_that_did_not_come)
{
    for (size_t i = 0; i < MR_COUNT_OF(operations); i++) {
        const enum s3_operation operation = operations[i];
        const enum mr_store_outcome lost = invisible(operation) ? MR_STORE_UNAVAILABLE : MR_STORE_UNKNOWN;
        ck_assert_int_eq(decide(operation, S3_EXCHANGE_NOT_SENT, 0, S3_CODE_NONE), MR_STORE_UNAVAILABLE);
        ck_assert_int_eq(decide(operation, S3_EXCHANGE_CUT, 0, S3_CODE_NONE), MR_STORE_UNAVAILABLE);
        ck_assert_int_eq(decide(operation, S3_EXCHANGE_LOST, 0, S3_CODE_NONE), lost);
        for (int status = 200; status < 600; status++) {
            ck_assert_int_eq(decide(operation, S3_EXCHANGE_BROKEN, status, S3_CODE_NONE), lost);
        }
    }
}
END_TEST

/* The cases that matter one by one; operation ANY: all of them. */
static const struct {
    enum s3_operation operation;
    int status;
    enum s3_code code;
    enum mr_store_outcome outcome;
} rows[] = {
    {S3_GET, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_GET, 206, S3_CODE_NONE, MR_STORE_DONE},
    {S3_HEAD, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_LIST, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_PUT, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_PUT_IF_ABSENT, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_PUT_IF_MATCH, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_PUT_IF_MATCH, 204, S3_CODE_NONE, MR_STORE_DONE},
    {S3_REMOVE, 204, S3_CODE_NONE, MR_STORE_DONE},
    {S3_REMOVE, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_BEGIN_PARTS, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_PUT_PART, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_COMPLETE_PARTS, 200, S3_CODE_NONE, MR_STORE_DONE},
    {S3_COMPLETE_PARTS, 200, S3_CODE_OTHER, MR_STORE_UNKNOWN}, /* the error is in the body of a 200 */
    {S3_PUT, 202, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_PUT, 206, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_LIST, 206, S3_CODE_NONE, MR_STORE_UNAVAILABLE},
    /* what is missing */
    {S3_GET, 404, S3_CODE_NO_SUCH_KEY, MR_STORE_MISSING},
    {S3_GET, 404, S3_CODE_NO_SUCH_BUCKET, MR_STORE_UNAVAILABLE},
    {S3_GET, 404, S3_CODE_NONE, MR_STORE_UNAVAILABLE}, /* some other server's page */
    {S3_GET, 404, S3_CODE_OTHER, MR_STORE_UNAVAILABLE},
    {S3_HEAD, 404, S3_CODE_NONE, MR_STORE_UNAVAILABLE},
    {S3_LIST, 404, S3_CODE_NO_SUCH_KEY, MR_STORE_UNAVAILABLE},
    {S3_LIST, 404, S3_CODE_NO_SUCH_BUCKET, MR_STORE_UNAVAILABLE},
    {S3_PUT, 404, S3_CODE_NO_SUCH_BUCKET, MR_STORE_UNAVAILABLE},
    {S3_PUT_IF_ABSENT, 404, S3_CODE_NO_SUCH_BUCKET, MR_STORE_UNAVAILABLE},
    {S3_PUT_IF_ABSENT, 404, S3_CODE_NO_SUCH_KEY, MR_STORE_UNKNOWN},
    {S3_PUT_IF_ABSENT, 404, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_PUT_IF_MATCH, 404, S3_CODE_NO_SUCH_KEY, MR_STORE_MISSING}, /* AWS */
    {S3_PUT_IF_MATCH, 404, S3_CODE_NO_SUCH_BUCKET, MR_STORE_UNAVAILABLE},
    {S3_PUT_IF_MATCH, 404, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_REMOVE, 404, S3_CODE_NO_SUCH_KEY, MR_STORE_DONE},
    {S3_REMOVE, 404, S3_CODE_NO_SUCH_BUCKET, MR_STORE_UNAVAILABLE},
    {S3_REMOVE, 404, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_PUT_PART, 404, S3_CODE_NO_SUCH_UPLOAD, MR_STORE_UNAVAILABLE},
    {S3_COMPLETE_PARTS, 404, S3_CODE_NO_SUCH_UPLOAD, MR_STORE_UNKNOWN}, /* an earlier one may have completed it */
    {S3_COMPLETE_PARTS, 404, S3_CODE_NO_SUCH_BUCKET, MR_STORE_UNKNOWN},
    /* conditions */
    {S3_PUT_IF_ABSENT, 412, S3_CODE_OTHER, MR_STORE_PRECONDITION_FAILED},
    {S3_PUT_IF_ABSENT, 412, S3_CODE_NONE, MR_STORE_PRECONDITION_FAILED},
    {S3_PUT_IF_MATCH, 412, S3_CODE_OTHER, MR_STORE_PRECONDITION_FAILED},
    {S3_PUT, 412, S3_CODE_OTHER, MR_STORE_UNKNOWN}, /* there was no condition */
    {S3_GET, 412, S3_CODE_OTHER, MR_STORE_UNAVAILABLE},
    {S3_PUT_IF_MATCH, 409, S3_CODE_OTHER, MR_STORE_CONFLICT},
    {S3_PUT_IF_ABSENT, 409, S3_CODE_NONE, MR_STORE_CONFLICT},
    {S3_GET, 409, S3_CODE_NONE, MR_STORE_UNAVAILABLE},
    /* Ceph's answer to those who lost a race of If-Match */
    {S3_PUT_IF_MATCH, 500, S3_CODE_OTHER, MR_STORE_UNKNOWN},
    {S3_PUT_IF_MATCH, 502, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_PUT_IF_MATCH, 503, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_PUT_IF_MATCH, 503, S3_CODE_OTHER, MR_STORE_UNKNOWN},
    {S3_PUT_IF_MATCH, 504, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_GET, 500, S3_CODE_OTHER, MR_STORE_UNAVAILABLE},
    {S3_REMOVE, 500, S3_CODE_OTHER, MR_STORE_UNKNOWN},
    {S3_PUT_PART, 500, S3_CODE_OTHER, MR_STORE_UNAVAILABLE},
    {S3_COMPLETE_PARTS, 500, S3_CODE_OTHER, MR_STORE_UNKNOWN},
    {S3_PUT, 408, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_PUT, 400, S3_CODE_TIMEOUT, MR_STORE_UNKNOWN},
    {S3_GET, 400, S3_CODE_TIMEOUT, MR_STORE_UNAVAILABLE},
    {S3_PUT, 304, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_PUT, 999, S3_CODE_NONE, MR_STORE_UNKNOWN},
    {S3_GET, 416, S3_CODE_OTHER, MR_STORE_UNAVAILABLE}, /* the back end asks head */
    /* for any operation */
    {ANY, 400, S3_CODE_DIGEST, MR_STORE_UNAVAILABLE},
    {ANY, 400, S3_CODE_EXPIRED, MR_STORE_DENIED},
    {ANY, 400, S3_CODE_REGION, MR_STORE_DENIED},
    {ANY, 400, S3_CODE_OTHER, MR_STORE_DENIED},
    {ANY, 401, S3_CODE_NONE, MR_STORE_DENIED},
    {ANY, 403, S3_CODE_NONE, MR_STORE_DENIED},
    {ANY, 403, S3_CODE_KEYS, MR_STORE_DENIED},
    {ANY, 403, S3_CODE_ACCESS_DENIED, MR_STORE_DENIED},
    {ANY, 403, S3_CODE_CLOCK, MR_STORE_UNAVAILABLE}, /* a clock that jumped may come back */
    {ANY, 400, S3_CODE_CLOCK, MR_STORE_UNAVAILABLE},
    {ANY, 405, S3_CODE_OTHER, MR_STORE_DENIED},
    {ANY, 413, S3_CODE_OTHER, MR_STORE_DENIED},
    {ANY, 501, S3_CODE_OTHER, MR_STORE_DENIED}, /* Swift on conditions */
    {ANY, 301, S3_CODE_REGION, MR_STORE_DENIED},
    {ANY, 307, S3_CODE_REGION, MR_STORE_UNAVAILABLE},
    {ANY, 429, S3_CODE_NONE, MR_STORE_THROTTLED},
    {ANY, 503, S3_CODE_SLOW_DOWN, MR_STORE_THROTTLED},
    {ANY, 400, S3_CODE_SLOW_DOWN, MR_STORE_THROTTLED},
};

START_TEST(answers_that_came)
{
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        for (size_t n = 0; n < MR_COUNT_OF(operations); n++) {
            const enum s3_operation operation = operations[n];
            if ((int)rows[i].operation != ANY && rows[i].operation != operation) {
                continue;
            }
            const enum mr_store_outcome got = decide(operation, S3_EXCHANGE_WHOLE, rows[i].status, rows[i].code);
            ck_assert_msg(got == rows[i].outcome, "row %zu, operation %d: %s", i, (int)operation,
                          mr_store_outcome_text(got));
        }
    }
}
END_TEST

/* Over everything: what only a success may say, what only a write may say, and that nobody repeats a write that may
 * have been applied. */
START_TEST(every_answer)
{
    for (size_t i = 0; i < MR_COUNT_OF(operations); i++) {
        for (int status = 0; status < 1000; status++) {
            for (int code = 1; code <= S3_CODE_LAST; code++) {
                const enum s3_operation operation = operations[i];
                const struct s3_answer answer = {S3_EXCHANGE_WHOLE, status, (enum s3_code)code};
                const enum mr_store_outcome got = s3_outcome_decide(operation, &answer);
                const bool success = status >= 200 && status < 300;
                const bool gone = operation == S3_REMOVE && status == 404 && code == S3_CODE_NO_SUCH_KEY;
                ck_assert_int_ge(got, MR_STORE_DONE);
                ck_assert_int_le(got, MR_STORE_LAST);
                ck_assert(got != MR_STORE_DONE || success || gone);
                ck_assert(got != MR_STORE_UNKNOWN || !invisible(operation));
                ck_assert(got != MR_STORE_MISSING || (status == 404 && code == S3_CODE_NO_SUCH_KEY));
                ck_assert(got != MR_STORE_CONFLICT || !invisible(operation));
                ck_assert(got != MR_STORE_PRECONDITION_FAILED || status == 412);
                ck_assert(!s3_repeat_decide(operation, &answer) || invisible(operation));
                ck_assert_ptr_nonnull(s3_advice(&answer));
            }
        }
    }
}
END_TEST

START_TEST(repeats)
{
    const struct s3_answer not_sent = {S3_EXCHANGE_NOT_SENT, 0, S3_CODE_NONE}, cut = {S3_EXCHANGE_CUT, 0, S3_CODE_NONE};
    const struct s3_answer lost = {S3_EXCHANGE_LOST, 0, S3_CODE_NONE};
    const struct s3_answer slow = {S3_EXCHANGE_WHOLE, 503, S3_CODE_SLOW_DOWN};
    const struct s3_answer no_bucket = {S3_EXCHANGE_WHOLE, 404, S3_CODE_NO_SUCH_BUCKET};
    const struct s3_answer skewed = {S3_EXCHANGE_WHOLE, 403, S3_CODE_CLOCK};
    const struct s3_answer missing = {S3_EXCHANGE_WHOLE, 404, S3_CODE_NO_SUCH_KEY};
    for (size_t i = 0; i < MR_COUNT_OF(operations); i++) {
        ck_assert(s3_repeat_decide(operations[i], &not_sent));
        ck_assert(s3_repeat_decide(operations[i], &cut));
        ck_assert_int_eq(s3_repeat_decide(operations[i], &lost), invisible(operations[i]));
        ck_assert_int_eq(s3_repeat_decide(operations[i], &slow), invisible(operations[i]));
        ck_assert(!s3_repeat_decide(operations[i], &no_bucket));
        ck_assert(!s3_repeat_decide(operations[i], &skewed));
    }
    ck_assert(!s3_repeat_decide(S3_GET, &missing));
}
END_TEST

START_TEST(codes)
{
    ck_assert_int_eq(s3_code_of(""), S3_CODE_NONE);
    ck_assert_int_eq(s3_code_of("SomethingNew"), S3_CODE_OTHER);
    ck_assert_int_eq(s3_code_of("NoSuchKey"), S3_CODE_NO_SUCH_KEY);
    ck_assert_int_eq(s3_code_of("SlowDown"), S3_CODE_SLOW_DOWN);
    ck_assert_int_eq(s3_code_of("SlowDownWrite"), S3_CODE_OTHER); /* may have been applied in part */
    ck_assert_int_eq(s3_code_of("SignatureDoesNotMatch"), S3_CODE_KEYS);
    ck_assert_int_eq(s3_code_of("ExpiredToken"), S3_CODE_EXPIRED);
    ck_assert_int_eq(s3_code_of("RequestTimeTooSkewed"), S3_CODE_CLOCK);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, answers_that_did_not_come);
    tcase_add_test(tcase, answers_that_came);
    tcase_add_test(tcase, every_answer);
    tcase_add_test(tcase, repeats);
    tcase_add_test(tcase, codes);
}

int main(void)
{
    return check_main("s3_outcome", add);
}
