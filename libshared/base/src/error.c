/* Errors by value: what happened, and what the caller should do about it. */
#include "millrace/base.h"

#include <stdarg.h>
#include <stdio.h>

struct mr_error mr_error_make(enum mr_error_class kind, const char *code, int64_t native, const char *format, ...)
{
    struct mr_error error = {.kind = kind, .code = code, .native = native};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error.detail, sizeof error.detail, format, arguments);
    va_end(arguments);
    return error;
}

const char *mr_error_class_text(enum mr_error_class kind)
{
    switch (kind) {
    case MR_ERROR_NONE: return "none";
    case MR_ERROR_TRANSIENT: return "transient";
    case MR_ERROR_REJECT: return "reject";
    case MR_ERROR_FENCED: return "fenced";
    case MR_ERROR_FATAL: return "fatal";
    case MR_ERROR_UNKNOWN: return "unknown";
    }
    mr_unreachable(__func__);
}
