/* One line, built on the stack and written at once, so that lines of several threads never mix. */
#include "millrace/trace.h"

#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* No more than PIPE_BUF, which a pipe takes as a whole. The tail keeps room for the mark of a cut line and its end. */
enum { LINE_SIZE_MAX = 4096, TAIL_SIZE = 32, LINE_SIZE_USED = LINE_SIZE_MAX - TAIL_SIZE };

struct line {
    char text[LINE_SIZE_MAX];
    size_t size;
    bool cut; /* nothing more is taken */
    enum mr_trace_format format;
};

/* All of it or nothing. */
static bool put(struct line *line, const char *text, size_t size)
{
    if (line->cut || line->size + size > LINE_SIZE_USED) {
        line->cut = true;
        return false;
    }
    memcpy(line->text + line->size, text, size);
    line->size += size;
    return true;
}

static bool put_text(struct line *line, const char *text)
{
    return put(line, text, strlen(text));
}

/* Valid in JSON and harmless on a terminal: controls (C1 too, which some terminals obey) become \u00XX. */
static void put_escaped(struct line *line, const char *text)
{
    while (*text != '\0' && !line->cut) {
        const size_t length = mr_utf8_length(text);
        const unsigned first = (unsigned char)text[0];
        const bool is_c1 = length == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0;
        char escaped[8];
        if (length == 0) {
            (void)put_text(line, "\\ufffd");
        } else if (first == '"' || first == '\\') {
            (void)snprintf(escaped, sizeof escaped, "\\%c", text[0]);
            (void)put_text(line, escaped);
        } else if (first == '\n') {
            (void)put_text(line, "\\n");
        } else if (first < 0x20 || first == 0x7f || is_c1) {
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", is_c1 ? (unsigned char)text[1] : first);
            (void)put_text(line, escaped);
        } else {
            (void)put(line, text, length);
        }
        text += length == 0 ? 1 : length;
    }
}

/* The closing quote stands in the tail's room: a text that is cut is still closed. */
static void put_quoted(struct line *line, const char *text)
{
    if (put_text(line, "\"")) {
        put_escaped(line, text);
        line->text[line->size++] = '"';
    }
}

static bool is_bare(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        const unsigned byte = (unsigned char)*c;
        if (byte <= ' ' || byte >= 0x7f || *c == '"' || *c == '=' || *c == '\\') {
            return false;
        }
    }
    return *text != '\0';
}

static void put_value(struct line *line, const struct mr_field *field)
{
    const bool is_json = line->format == MR_TRACE_JSON;
    char text[MR_REAL_TEXT_SIZE];
    switch (field->kind) {
    case MR_FIELD_TEXT:
        if (field->value.text == NULL) {
            (void)put_text(line, is_json ? "null" : ""); /* the empty text is "" in both */
        } else if (!is_json && is_bare(field->value.text)) {
            put_escaped(line, field->value.text);
        } else {
            put_quoted(line, field->value.text);
        }
        return;
    case MR_FIELD_COUNT:
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)field->value.count);
        (void)put_text(line, text);
        return;
    case MR_FIELD_SIGNED:
        (void)snprintf(text, sizeof text, "%lld", (long long)field->value.number);
        (void)put_text(line, text);
        return;
    case MR_FIELD_REAL:
        if (isfinite(field->value.real)) {
            mr_real_text(field->value.real, text);
        } else {
            /* JSON has no such numbers. */
            const char *name = isnan(field->value.real) ? "nan" : field->value.real > 0 ? "inf" : "-inf";
            (void)snprintf(text, sizeof text, is_json ? "\"%s\"" : "%s", name);
        }
        (void)put_text(line, text);
        return;
    }
    mr_unreachable(__func__);
}

/* A field is left out unless its name and at least the beginning of its value fit. */
static void put_field(struct line *line, const struct mr_field *field)
{
    const size_t before = line->size;
    const bool is_json = line->format == MR_TRACE_JSON;
    bool fits;
    if (is_json) {
        fits = put_text(line, before == 1 ? "\"" : ",\"") && put_text(line, field->name) && put_text(line, "\":");
    } else {
        fits = (before == 0 || put_text(line, " ")) && put_text(line, field->name) && put_text(line, "=");
    }
    const size_t value_at = line->size;
    if (fits) {
        put_value(line, field);
    }
    if (line->cut && (!fits || line->size == value_at)) {
        line->size = before;
    }
}

static void put_time(struct line *line, int64_t wall_ms)
{
    int64_t ms = wall_ms % 1000;
    ms += ms < 0 ? 1000 : 0;
    const time_t seconds = (time_t)((wall_ms - ms) / 1000);
    struct tm utc = {0};
    char date[40];
    char text[64];
    MR_ASSERT(gmtime_r(&seconds, &utc) != NULL);
    MR_ASSERT(strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc) > 0);
    (void)snprintf(text, sizeof text, "%s.%03dZ", date, (int)ms);
    const struct mr_field field = mr_text("time", text);
    put_field(line, &field);
}

static void finish(struct line *line)
{
    const bool is_json = line->format == MR_TRACE_JSON;
    const char *tail = "";
    if (line->cut) {
        tail = is_json ? ",\"cut\":true" : " cut=true";
    }
    const int size =
        snprintf(line->text + line->size, sizeof line->text - line->size, "%s%s\n", tail, is_json ? "}" : "");
    line->size += (size_t)size;
}

static const char *level_text(enum mr_trace_level level)
{
    switch (level) {
    case MR_TRACE_DEBUG: return "debug";
    case MR_TRACE_INFO: return "info";
    case MR_TRACE_WARN: return "warn";
    case MR_TRACE_ALARM: return "alarm";
    }
    mr_unreachable(__func__);
}

struct mr_trace mr_trace_open(const char *service, int descriptor, enum mr_trace_level least)
{
    return (struct mr_trace){
        .descriptor = descriptor,
        .format = isatty(descriptor) == 1 ? MR_TRACE_LOGFMT : MR_TRACE_JSON,
        .least = least,
        .service = service,
        .clock = mr_clock_system(),
    };
}

void mr_trace_line(const struct mr_trace *trace, enum mr_trace_level level, const char *decision,
                   const struct mr_field *fields, size_t count)
{
    if (level < trace->least) {
        return;
    }
    struct line line = {.size = 0, .cut = false, .format = trace->format};
    if (trace->format == MR_TRACE_JSON) {
        (void)put_text(&line, "{");
    }
    put_time(&line, mr_clock_wall_ms(&trace->clock));
    const struct mr_field head[] = {
        mr_text("level", level_text(level)),
        mr_text("service", trace->service),
        mr_text("decision", decision),
    };
    for (size_t i = 0; i < MR_COUNT_OF(head); i++) {
        put_field(&line, &head[i]);
    }
    for (size_t i = 0; i < count && !line.cut; i++) {
        put_field(&line, &fields[i]);
    }
    finish(&line);
    ssize_t written;
    do {
        written = write(trace->descriptor, line.text, line.size);
    } while (written < 0 && errno == EINTR);
}
