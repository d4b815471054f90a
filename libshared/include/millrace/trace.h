/* One structured line per decision that matters: JSON, or logfmt on a terminal. Libraries never write one; loops do. */
#ifndef MR_TRACE_H
#define MR_TRACE_H

#include "millrace/clock.h"

enum mr_trace_level {
    MR_TRACE_DEBUG = 1,
    MR_TRACE_INFO,
    MR_TRACE_WARN,
    MR_TRACE_ALARM,
    MR_TRACE_LAST = MR_TRACE_ALARM
};
enum mr_trace_format { MR_TRACE_JSON = 1, MR_TRACE_LOGFMT };

struct mr_trace {
    int descriptor;
    enum mr_trace_format format;
    enum mr_trace_level least;
    const char *service;
    struct mr_clock clock;
};

enum mr_field_kind { MR_FIELD_TEXT = 1, MR_FIELD_COUNT, MR_FIELD_SIGNED, MR_FIELD_REAL };
struct mr_field {
    const char *name;
    enum mr_field_kind kind;
    union {
        const char *text;
        uint64_t count;
        int64_t number;
        double real;
    } value;
};
static inline struct mr_field mr_text(const char *name, const char *v)
{
    return (struct mr_field){.name = name, .kind = MR_FIELD_TEXT, .value = {.text = v}};
}
static inline struct mr_field mr_count(const char *name, uint64_t v)
{
    return (struct mr_field){.name = name, .kind = MR_FIELD_COUNT, .value = {.count = v}};
}
static inline struct mr_field mr_number(const char *name, int64_t v)
{
    return (struct mr_field){.name = name, .kind = MR_FIELD_SIGNED, .value = {.number = v}};
}
static inline struct mr_field mr_real(const char *name, double v)
{
    return (struct mr_field){.name = name, .kind = MR_FIELD_REAL, .value = {.real = v}};
}

/* Format: JSON unless the descriptor is a terminal. Level from `least`. */
struct mr_trace mr_trace_open(const char *service, int descriptor, enum mr_trace_level least);
/* One line, written with one write(2); values are escaped; a line over 4 KiB is cut and says so. Thread-safe. */
void mr_trace_line(const struct mr_trace *trace, enum mr_trace_level level, const char *decision,
                   const struct mr_field *fields, size_t count);
/* The fields are not evaluated if the line is below `least`. */
#define MR_TRACE(trace, level, decision, ...)                                                                       \
    ((level) < (trace)->least ? (void)0                                                                             \
                              : mr_trace_line((trace), (level), (decision), (const struct mr_field[]){__VA_ARGS__}, \
                                              MR_COUNT_OF(((const struct mr_field[]){__VA_ARGS__}))))

#endif
