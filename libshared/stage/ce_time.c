/* ce_time: RFC 3339 in UTC, to the millisecond. Every record is read and written with one, so no printf or scanf. */
#include "stage_internal.h"

#include <string.h>

/* The times that four digits of a year can say. A derived event's time must read back as itself, or the same record
 * would be at another time after a crash. */
static int64_t sayable(int64_t time_ms)
{
    const int64_t first = -62135596800000, last = 253402300799999; /* 0001-01-01 to the end of 9999 */
    return time_ms < first ? first : time_ms > last ? last : time_ms;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar, and back. Eras of 400 years have 146,097 days; years begin
 * in March, so that the leap day is the last. (H. Hinnant, chrono-compatible low-level date algorithms.) */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    const int64_t y = month <= 2 ? year - 1 : year;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const unsigned of_era = (unsigned)(y - era * 400);
    const unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + (int64_t)(of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719468;
}

static void date_of(int64_t days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    const int64_t shifted = days + 719468;
    const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    const unsigned of_era = (unsigned)(shifted - era * 146097);
    const unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    const unsigned march = (5 * of_year + 2) / 153;
    *ret_day = of_year - (153 * march + 2) / 5 + 1;
    *ret_month = march < 10 ? march + 3 : march - 9;
    *ret_year = (unsigned)((int64_t)year + era * 400 + (*ret_month <= 2 ? 1 : 0));
}

static bool take_number(const char **at, unsigned digits, unsigned *ret_number)
{
    unsigned number = 0;
    for (unsigned i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        number = number * 10 + (unsigned)(**at - '0');
    }
    *ret_number = number;
    return true;
}

static bool take_mark(const char **at, char mark)
{
    const bool found = **at == mark;
    *at += found;
    return found;
}

/* Digits beyond the third are dropped. */
static unsigned take_milliseconds(const char **at)
{
    unsigned milliseconds = 0;
    for (unsigned scale = 100; **at >= '0' && **at <= '9'; (*at)++, scale /= 10) {
        milliseconds += (unsigned)(**at - '0') * scale;
    }
    return milliseconds;
}

/* Only UTC is taken; another zone would need its rules. */
static bool parse(const char *text, int64_t *ret_ms)
{
    unsigned year, month, day, hour, minute, second, milliseconds = 0;
    if (!take_number(&text, 4, &year) || !take_mark(&text, '-') || !take_number(&text, 2, &month) ||
        !take_mark(&text, '-') || !take_number(&text, 2, &day) || !take_mark(&text, 'T') ||
        !take_number(&text, 2, &hour) || !take_mark(&text, ':') || !take_number(&text, 2, &minute) ||
        !take_mark(&text, ':') || !take_number(&text, 2, &second)) {
        return false;
    }
    if (take_mark(&text, '.')) {
        milliseconds = take_milliseconds(&text);
    }
    if (!take_mark(&text, 'Z') || *text != '\0' || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
        minute > 59 || second > 60) {
        return false;
    }
    const int64_t of_day = ((int64_t)hour * 60 + minute) * 60 + second;
    *ret_ms = (days_of(year, month, day) * 86400 + of_day) * 1000 + milliseconds;
    return true;
}

int64_t mr_record_time_ms(const struct mr_log_record *record)
{
    struct mr_bytes text;
    char copy[MR_CE_TIME_SIZE];
    int64_t time_ms = record->timestamp_ms;
    if (mr_log_header_find(record, "ce_time", &text) && text.size > 0 && text.size < sizeof copy) {
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
        (void)parse(copy, &time_ms); /* what is no such time leaves the record's */
    }
    return sayable(time_ms);
}

static char *put_number(char *at, unsigned number, unsigned digits, char mark)
{
    for (unsigned i = digits; i > 0; i--, number /= 10) {
        at[i - 1] = (char)('0' + number % 10);
    }
    at[digits] = mark;
    return at + digits + 1;
}

void mr_ce_time_text(int64_t time_ms, char ret_text[MR_CE_TIME_SIZE])
{
    enum { DAY_MS = 86400000 };
    const int64_t said_ms = sayable(time_ms);
    const int64_t days = (said_ms >= 0 ? said_ms : said_ms - (DAY_MS - 1)) / DAY_MS;
    const unsigned of_day = (unsigned)(said_ms - days * DAY_MS);
    unsigned year, month, day;
    date_of(days, &year, &month, &day);
    char *at = put_number(ret_text, year, 4, '-');
    at = put_number(at, month, 2, '-');
    at = put_number(at, day, 2, 'T');
    at = put_number(at, of_day / 3600000, 2, ':');
    at = put_number(at, of_day / 60000 % 60, 2, ':');
    at = put_number(at, of_day / 1000 % 60, 2, '.');
    at = put_number(at, of_day % 1000, 3, 'Z');
    *at = '\0';
}
