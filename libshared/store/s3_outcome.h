/*
 * What an answer of an S3 server means: one outcome of store.h for every operation and every way that a request can
 * end. Pure. The rule behind the cases: a write is refused only where the server said so in its own words; what it may
 * have applied is UNKNOWN.
 */
#ifndef MR_S3_OUTCOME_H
#define MR_S3_OUTCOME_H

#include "millrace/store.h"

enum s3_operation {
    S3_GET = 1,
    S3_HEAD,
    S3_LIST,
    S3_PUT,
    S3_PUT_IF_ABSENT,
    S3_PUT_IF_MATCH,
    S3_REMOVE,
    S3_BEGIN_PARTS, /* an upload in parts: nothing is visible until COMPLETE */
    S3_PUT_PART,
    S3_COMPLETE_PARTS,
    S3_OPERATION_LAST = S3_COMPLETE_PARTS,
};

/* How far a request and its reply came. */
enum s3_exchange {
    S3_EXCHANGE_NOT_SENT = 1, /* no byte of it left this machine: no connection, no trusted certificate */
    S3_EXCHANGE_CUT,          /* some of its body was never sent: whoever got the rest cannot have taken it */
    S3_EXCHANGE_LOST,         /* all of it may have arrived, and no status came back */
    S3_EXCHANGE_BROKEN,       /* a status came back, but not all of the reply */
    S3_EXCHANGE_WHOLE,
    S3_EXCHANGE_LAST = S3_EXCHANGE_WHOLE,
};

/* The <Code> of an error document, as far as it decides or explains anything. */
enum s3_code {
    S3_CODE_NONE = 1, /* no error document */
    S3_CODE_OTHER,
    S3_CODE_NO_SUCH_KEY,
    S3_CODE_NO_SUCH_BUCKET,
    S3_CODE_NO_SUCH_UPLOAD,
    S3_CODE_SLOW_DOWN,
    S3_CODE_DIGEST,  /* the body was not the one that was signed: it changed on its way */
    S3_CODE_TIMEOUT, /* the server waited too long for the request */
    S3_CODE_KEYS,    /* unknown access key, or a signature by another secret */
    S3_CODE_EXPIRED, /* of a session token */
    S3_CODE_CLOCK,
    S3_CODE_REGION,
    S3_CODE_ACCESS_DENIED,
    S3_CODE_LAST = S3_CODE_ACCESS_DENIED,
};

struct s3_answer {
    enum s3_exchange exchange;
    int status; /* of BROKEN and WHOLE */
    enum s3_code code;
};

/* `text` as it stands in the document; "" is NONE. */
MR_MUST_USE enum s3_code s3_code_of(const char *text);
MR_MUST_USE enum mr_store_outcome s3_outcome_decide(enum s3_operation operation, const struct s3_answer *answer);
/* Whether the same request may be sent again at once, whoever else writes: it certainly did nothing, or it only reads,
 * and it may do better. */
MR_MUST_USE bool s3_repeat_decide(enum s3_operation operation, const struct s3_answer *answer);
/* What somebody should do about it; "" where the status says all. */
const char *s3_advice(const struct s3_answer *answer);

#endif
