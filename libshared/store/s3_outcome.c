#include "s3_outcome.h"

#include <string.h>

static const struct {
    const char *text;
    enum s3_code code;
} codes[] = {
    {"NoSuchKey", S3_CODE_NO_SUCH_KEY},
    {"NoSuchBucket", S3_CODE_NO_SUCH_BUCKET},
    {"NoSuchUpload", S3_CODE_NO_SUCH_UPLOAD},
    /* Not MinIO's SlowDownWrite: it says that some of its disks may have taken the write. */
    {"SlowDown", S3_CODE_SLOW_DOWN},
    {"SlowDownRead", S3_CODE_SLOW_DOWN},
    {"TooManyRequests", S3_CODE_SLOW_DOWN},
    {"RequestLimitExceeded", S3_CODE_SLOW_DOWN},
    {"Throttling", S3_CODE_SLOW_DOWN},
    {"ThrottlingException", S3_CODE_SLOW_DOWN},
    {"BadDigest", S3_CODE_DIGEST},
    {"XAmzContentSHA256Mismatch", S3_CODE_DIGEST},
    {"IncompleteBody", S3_CODE_DIGEST},
    {"RequestTimeout", S3_CODE_TIMEOUT},
    {"InvalidAccessKeyId", S3_CODE_KEYS},
    {"SignatureDoesNotMatch", S3_CODE_KEYS},
    {"InvalidToken", S3_CODE_KEYS},
    {"ExpiredToken", S3_CODE_EXPIRED},
    {"ExpiredTokenException", S3_CODE_EXPIRED},
    {"TokenRefreshRequired", S3_CODE_EXPIRED},
    {"RequestTimeTooSkewed", S3_CODE_CLOCK},
    {"RequestExpired", S3_CODE_CLOCK},
    {"AuthorizationHeaderMalformed", S3_CODE_REGION},
    {"PermanentRedirect", S3_CODE_REGION},
    {"TemporaryRedirect", S3_CODE_REGION},
    {"IllegalLocationConstraintException", S3_CODE_REGION},
    {"AccessDenied", S3_CODE_ACCESS_DENIED},
    {"AllAccessDisabled", S3_CODE_ACCESS_DENIED},
    {"AccountProblem", S3_CODE_ACCESS_DENIED},
};

enum s3_code s3_code_of(const char *text)
{
    for (size_t i = 0; i < MR_COUNT_OF(codes); i++) {
        if (strcmp(codes[i].text, text) == 0) {
            return codes[i].code;
        }
    }
    return text[0] == '\0' ? S3_CODE_NONE : S3_CODE_OTHER;
}

/* Whether the operation, once applied, changes what others see. */
static bool writes(enum s3_operation operation)
{
    switch (operation) {
    case S3_GET:
    case S3_HEAD:
    case S3_LIST:
    case S3_BEGIN_PARTS:
    case S3_PUT_PART: return false;
    case S3_PUT:
    case S3_PUT_IF_ABSENT:
    case S3_PUT_IF_MATCH:
    case S3_REMOVE:
    case S3_COMPLETE_PARTS: return true;
    }
    mr_unreachable(__func__);
}

/* Of an answer that does not settle whether the operation took effect. */
static enum mr_store_outcome unsettled(enum s3_operation operation)
{
    return writes(operation) ? MR_STORE_UNKNOWN : MR_STORE_UNAVAILABLE;
}

static enum mr_store_outcome when_success(enum s3_operation operation, const struct s3_answer *answer)
{
    const int status = answer->status;
    bool good = false;
    switch (operation) {
    case S3_GET: good = status == 200 || status == 206; break;
    case S3_HEAD:
    case S3_LIST:
    case S3_BEGIN_PARTS:
    case S3_PUT_PART: good = status == 200; break;
    case S3_PUT:
    case S3_PUT_IF_ABSENT:
    case S3_PUT_IF_MATCH: good = status == 200 || status == 201 || status == 204; break;
    case S3_REMOVE: good = status == 200 || status == 204; break;
    /* The status is sent before the work is done: an error may stand in the body. */
    case S3_COMPLETE_PARTS: good = status == 200 && answer->code == S3_CODE_NONE; break;
    }
    return good ? MR_STORE_DONE : unsettled(operation);
}

/* A 404 that does not name the key is no answer about the key: the bucket is gone, or this is no S3 server. */
static enum mr_store_outcome when_missing(enum s3_operation operation, enum s3_code code)
{
    if (code == S3_CODE_NO_SUCH_BUCKET && operation != S3_COMPLETE_PARTS) {
        return MR_STORE_UNAVAILABLE;
    }
    if (code == S3_CODE_NO_SUCH_KEY) {
        switch (operation) {
        case S3_GET:
        case S3_HEAD:
        case S3_PUT_IF_MATCH: return MR_STORE_MISSING;
        case S3_REMOVE: return MR_STORE_DONE;
        case S3_LIST:
        case S3_PUT:
        case S3_PUT_IF_ABSENT:
        case S3_BEGIN_PARTS:
        case S3_PUT_PART:
        case S3_COMPLETE_PARTS: break;
        }
    }
    return unsettled(operation);
}

static enum mr_store_outcome when_whole(enum s3_operation operation, const struct s3_answer *answer)
{
    if (answer->status >= 300 && answer->code == S3_CODE_SLOW_DOWN) {
        return MR_STORE_THROTTLED;
    }
    if (answer->status >= 400 && answer->code == S3_CODE_CLOCK) {
        return MR_STORE_UNAVAILABLE; /* until our clock, or the server's, is right again */
    }
    switch (answer->status) {
    case 200:
    case 201:
    case 204:
    case 206: return when_success(operation, answer);
    case 302:
    case 307: return MR_STORE_UNAVAILABLE; /* sent elsewhere instead of doing it */
    case 400:
        return answer->code == S3_CODE_DIGEST    ? MR_STORE_UNAVAILABLE
               : answer->code == S3_CODE_TIMEOUT ? unsettled(operation)
                                                 : MR_STORE_DENIED;
    case 301:
    case 308:
    case 401:
    case 403:
    case 405:
    case 411:
    case 413:
    case 414:
    case 431:
    case 501: return MR_STORE_DENIED;
    case 404: return when_missing(operation, answer->code);
    case 409: return writes(operation) ? MR_STORE_CONFLICT : MR_STORE_UNAVAILABLE;
    case 412:
        return operation == S3_PUT_IF_ABSENT || operation == S3_PUT_IF_MATCH ? MR_STORE_PRECONDITION_FAILED
                                                                             : unsettled(operation);
    case 429: return MR_STORE_THROTTLED;
    default: return unsettled(operation);
    }
}

enum mr_store_outcome s3_outcome_decide(enum s3_operation operation, const struct s3_answer *answer)
{
    switch (answer->exchange) {
    case S3_EXCHANGE_NOT_SENT:
    case S3_EXCHANGE_CUT: return MR_STORE_UNAVAILABLE;
    case S3_EXCHANGE_LOST:
    case S3_EXCHANGE_BROKEN: return unsettled(operation);
    case S3_EXCHANGE_WHOLE: return when_whole(operation, answer);
    }
    mr_unreachable(__func__);
}

bool s3_repeat_decide(enum s3_operation operation, const struct s3_answer *answer)
{
    if (answer->exchange == S3_EXCHANGE_NOT_SENT || answer->exchange == S3_EXCHANGE_CUT) {
        return true;
    }
    if (writes(operation) || answer->code == S3_CODE_NO_SUCH_BUCKET || answer->code == S3_CODE_NO_SUCH_UPLOAD ||
        answer->code == S3_CODE_CLOCK) {
        return false;
    }
    switch (s3_outcome_decide(operation, answer)) {
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE: return true;
    case MR_STORE_DONE:
    case MR_STORE_MISSING:
    case MR_STORE_PRECONDITION_FAILED:
    case MR_STORE_CONFLICT:
    case MR_STORE_DENIED:
    case MR_STORE_UNKNOWN: return false;
    }
    mr_unreachable(__func__);
}

const char *s3_advice(const struct s3_answer *answer)
{
    switch (answer->code) {
    case S3_CODE_NO_SUCH_BUCKET: return "create the bucket, or correct the URI";
    case S3_CODE_KEYS: return "correct the credentials";
    case S3_CODE_EXPIRED: return "get a new session token";
    case S3_CODE_CLOCK: return "set this machine's clock";
    case S3_CODE_REGION: return "set MILLRACE_S3_REGION and MILLRACE_S3_ENDPOINT to the bucket's";
    case S3_CODE_ACCESS_DENIED: return "these credentials may not do that";
    case S3_CODE_NONE:
        return answer->status == 404 ? "is MILLRACE_S3_ENDPOINT an S3 server?"
               : answer->status == 301 || answer->status == 308
                   ? "set MILLRACE_S3_REGION and MILLRACE_S3_ENDPOINT to the bucket's"
                   : "";
    case S3_CODE_OTHER:
    case S3_CODE_NO_SUCH_KEY:
    case S3_CODE_NO_SUCH_UPLOAD:
    case S3_CODE_SLOW_DOWN:
    case S3_CODE_DIGEST:
    case S3_CODE_TIMEOUT: return "";
    }
    mr_unreachable(__func__);
}
