/* Errors by value. A public header: installed with the client library, for C and C++. */
#ifndef MR_ERROR_H
#define MR_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MR_MUST_USE __attribute__((warn_unused_result))
/* What the shared library shows; everything else in it is hidden. */
#define MR_API __attribute__((visibility("default")))

/* What the caller should do about a failure; the code says what happened. */
enum mr_error_class {
    MR_ERROR_NONE = 0,      /* success */
    MR_ERROR_TRANSIENT = 1, /* the same call may succeed later */
    MR_ERROR_REJECT,        /* this input never succeeds */
    MR_ERROR_FENCED,        /* another instance took over: stop */
    MR_ERROR_FATAL,         /* configuration or bug: stop */
    MR_ERROR_UNKNOWN,       /* a write whose outcome is not known: read back */
    MR_ERROR_LAST = MR_ERROR_UNKNOWN,
};

enum { MR_ERROR_DETAIL_MAX = 192 };

/* `code` is a short constant name ("not_found", "bad_crc"); `native` an errno, HTTP status or library code. */
struct mr_error {
    enum mr_error_class kind;
    const char *code; /* static storage */
    int64_t native;
    char detail[MR_ERROR_DETAIL_MAX];
};

/* Success. */
static inline struct mr_error mr_ok(void)
{
    struct mr_error e;
    e.kind = MR_ERROR_NONE;
    e.code = "ok";
    e.native = 0;
    e.detail[0] = '\0';
    return e;
}
static inline bool mr_failed(struct mr_error e)
{
    return e.kind != MR_ERROR_NONE;
}

#ifdef __cplusplus
}
#endif

#endif
