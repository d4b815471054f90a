/* The checks of a store by one client, and the examination as a whole. */
#include "doctor_internal.h"

#include "millrace/hash.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OVERWRITES = 20, LISTED = 7, LISTED_NAME_SIZE = 24, PAGE_KEYS = 1000, PROBE_WRITERS = 8, PROBE_ROUNDS = 4 };

static const struct mr_store_condition always = {MR_STORE_ALWAYS, {""}}, absent = {MR_STORE_IF_ABSENT, {""}};
static const struct mr_store_range whole = {0, 0};
static const uint32_t done = DOCTOR_SET(MR_STORE_DONE), missing = DOCTOR_SET(MR_STORE_MISSING),
                      refused = DOCTOR_SET(MR_STORE_PRECONDITION_FAILED);

void doctor_key(const struct doctor *doctor, const char *name, char ret_key[DOCTOR_KEY_SIZE])
{
    (void)snprintf(ret_key, DOCTOR_KEY_SIZE, "%s%s", doctor->prefix, name);
}

/* ---- Findings -------------------------------------------------------------------------------------------- */

void doctor_find(struct doctor *doctor, enum mr_doctor_verdict verdict, const char *format, ...)
{
    struct mr_doctor_finding *finding = doctor->finding;
    va_list arguments;
    finding->verdict = verdict;
    finding->would_lose = verdict == MR_DOCTOR_BROKEN ? doctor_loss_text(finding->check, false) : NULL;
    va_start(arguments, format);
    (void)vsnprintf(finding->detail, sizeof finding->detail, format, arguments);
    va_end(arguments);
}

bool doctor_find_answer(struct doctor *doctor, enum mr_doctor_verdict verdict, const char *what)
{
    const struct mr_store_result *last = &doctor->last;
    doctor_find(doctor, verdict, "%s was answered %s%s%.180s", what, mr_store_outcome_text(last->outcome),
                last->detail[0] == '\0' ? "" : ": ", last->detail);
    doctor->finding->answer = last->outcome;
    doctor->finding->native = last->native;
    if (verdict == MR_DOCTOR_BROKEN && last->outcome == MR_STORE_DENIED) {
        doctor->finding->would_lose = doctor_loss_text(doctor->finding->check, true);
    }
    return false;
}

/* What is wrong although the answer was a good one. */
static bool wrong(struct doctor *doctor, const char *what, const char *why)
{
    doctor_find(doctor, MR_DOCTOR_BROKEN, "%s %s", what, why);
    doctor->finding->answer = doctor->last.outcome;
    return false;
}

static bool judged(struct doctor *doctor, const char *what, uint32_t honest, bool conditional)
{
    const enum mr_doctor_verdict verdict =
        doctor_judge_answer(honest, doctor->last.outcome, doctor->last.native, conditional);
    return verdict == MR_DOCTOR_GOOD || doctor_find_answer(doctor, verdict, what);
}

/* ---- Steps: false ends the check ------------------------------------------------------------------------- */

static bool writes(struct doctor *doctor, const char *what, uint32_t honest, const char *name, struct mr_bytes body,
                   struct mr_store_condition condition)
{
    char key[DOCTOR_KEY_SIZE];
    doctor_key(doctor, name, key);
    doctor->last = mr_store_put(doctor->store, key, body, condition);
    doctor->versioned = doctor->versioned || doctor->last.keeps_versions;
    return judged(doctor, what, honest, condition.kind != MR_STORE_ALWAYS);
}

static bool writes_text(struct doctor *doctor, const char *what, uint32_t honest, const char *name, const char *text,
                        struct mr_store_condition condition)
{
    return writes(doctor, what, honest, name, mr_bytes_of_text(text), condition);
}

static bool reads(struct doctor *doctor, const char *what, const char *name, struct mr_store_range range,
                  struct mr_bytes wanted)
{
    char key[DOCTOR_KEY_SIZE];
    struct mr_buffer got = {0};
    doctor_key(doctor, name, key);
    doctor->last = doctor->store->ops->get(doctor->store, key, range, &got);
    const bool same = mr_bytes_equal(mr_buffer_view(&got), wanted);
    mr_buffer_deinit(&got);
    return judged(doctor, what, done, false) && (same || wrong(doctor, what, "gave other bytes than were written"));
}

static bool reads_text(struct doctor *doctor, const char *what, const char *name, const char *text)
{
    return reads(doctor, what, name, whole, mr_bytes_of_text(text));
}

static bool heads(struct doctor *doctor, const char *what, uint32_t honest, const char *name)
{
    char key[DOCTOR_KEY_SIZE];
    doctor_key(doctor, name, key);
    doctor->last = mr_store_head(doctor->store, key);
    return judged(doctor, what, honest, false);
}

static bool removes(struct doctor *doctor, const char *what, const char *name)
{
    char key[DOCTOR_KEY_SIZE];
    doctor_key(doctor, name, key);
    doctor->last = mr_store_remove(doctor->store, key);
    return judged(doctor, what, done, false);
}

static struct mr_store_condition match(struct mr_etag etag)
{
    return (struct mr_store_condition){.kind = MR_STORE_IF_MATCH, .etag = etag};
}

/* ---- Checks ---------------------------------------------------------------------------------------------- */

static bool check_writes(struct doctor *doctor)
{
    return writes_text(doctor, "a put", done, "writes", "one", always) &&
           reads_text(doctor, "a get of it", "writes", "one");
}

static bool check_create(struct doctor *doctor)
{
    return writes_text(doctor, "a create of an object that was not there", done, "create", "one", absent) &&
           writes_text(doctor, "a create of an object that was there", refused, "create", "two", absent) &&
           reads_text(doctor, "a get after a refused create", "create", "one") &&
           removes(doctor, "a removal", "create") &&
           writes_text(doctor, "a create of an object that was removed", done, "create", "two", absent);
}

static bool check_swap(struct doctor *doctor)
{
    const struct mr_etag foreign = {"0123456789abcdef0123456789abcdef"};
    const struct mr_store_condition never = match(foreign);
    if (!writes_text(doctor, "a swap of an object that was not there", missing | refused, "swap", "one", never) ||
        !writes_text(doctor, "a create", done, "swap", "one", absent)) {
        return false;
    }
    const struct mr_store_condition first = match(doctor->last.etag);
    return writes_text(doctor, "a swap by an ETag that it never had", refused, "swap", "two", never) &&
           writes_text(doctor, "a swap by the right ETag", done, "swap", "two", first) &&
           writes_text(doctor, "a swap by a stale ETag", refused, "swap", "one", first) &&
           reads_text(doctor, "a get after a refused swap", "swap", "two") && removes(doctor, "a removal", "swap") &&
           writes_text(doctor, "a swap of an object that was removed", missing | refused, "swap", "one", first) &&
           heads(doctor, "a head after a refused swap", missing, "swap");
}

/* Objects of one size, written one right after the other: neither time nor size tells them apart. */
static bool check_etags(struct doctor *doctor)
{
    if (!writes_text(doctor, "a put", done, "etag", "one", always)) {
        return false;
    }
    const struct mr_etag first = doctor->last.etag;
    if (!writes_text(doctor, "a put of other bytes", done, "etag", "two", always)) {
        return false;
    }
    const struct mr_etag second = doctor->last.etag;
    if (strcmp(first.text, second.text) == 0) {
        return wrong(doctor, "a put of other bytes", "gave the same ETag");
    }
    if (!heads(doctor, "a head", done, "etag")) {
        return false;
    }
    if (strcmp(doctor->last.etag.text, second.text) != 0 || doctor->last.size != 3) {
        return wrong(doctor, "a head", "gave another ETag or size than the put");
    }
    if (!writes_text(doctor, "a put of the first bytes again", done, "etag", "one", always)) {
        return false;
    }
    const bool of_content = strcmp(doctor->last.etag.text, first.text) == 0;
    if (!writes_text(doctor, "a swap by the ETag of the first bytes", of_content ? done : refused, "etag", "six",
                     match(first))) {
        return false;
    }
    doctor_find(doctor, MR_DOCTOR_GOOD, "%s",
                of_content ? "of the content: an object that is again what it was matches again (ABA); no head is, "
                             "since each holds a commit id of its own"
                           : "of each write: bytes that come back do not match again");
    return true;
}

static bool check_reads(struct doctor *doctor)
{
    bool good = heads(doctor, "a head of an object that is not there", missing, "read");
    for (int i = 0; good && i < OVERWRITES; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "overwritten %d times", i);
        good = writes_text(doctor, "a put", done, "read", text, always);
        const struct mr_etag etag = doctor->last.etag;
        good = good && reads_text(doctor, "a get right after the put", "read", text) &&
               heads(doctor, "a head right after the put", done, "read") &&
               (strcmp(doctor->last.etag.text, etag.text) == 0 ||
                wrong(doctor, "a head right after the put", "gave another ETag"));
    }
    return good && removes(doctor, "a removal", "read") &&
           heads(doctor, "a head right after the removal", missing, "read") &&
           removes(doctor, "a removal of what is not there", "read");
}

static bool check_ranges(struct doctor *doctor)
{
    static const struct {
        struct mr_store_range range;
        const char *text;
    } rows[] = {{{0, 1}, "0"}, {{3, 4}, "3456"}, {{8, 0}, "89"}, {{8, 9}, "89"}, {{10, 1}, ""}, {{99, 0}, ""}};
    bool good = writes_text(doctor, "a put", done, "range", "0123456789", always);
    for (size_t i = 0; good && i < MR_COUNT_OF(rows); i++) {
        good = reads(doctor, "a get of a range", "range", rows[i].range, mr_bytes_of_text(rows[i].text));
    }
    return good;
}

/* ---- Lists ----------------------------------------------------------------------------------------------- */

static void listed_name(int number, char ret_name[LISTED_NAME_SIZE])
{
    (void)snprintf(ret_name, LISTED_NAME_SIZE, "list/%02d", number);
}

/* Whether the page is exactly the keys list/first to list/last. */
static bool page_is(const struct doctor *doctor, const struct mr_store_page *page, int first, int last)
{
    bool same = (int64_t)page->count == (int64_t)last - first + 1;
    for (int i = first; same && i <= last; i++) {
        char name[LISTED_NAME_SIZE], key[DOCTOR_KEY_SIZE];
        listed_name(i, name);
        doctor_key(doctor, name, key);
        same = strcmp(page->entries[i - first].key, key) == 0 && page->entries[i - first].size == 1;
    }
    return same;
}

/* `after` 0: from the first. */
static bool lists(struct doctor *doctor, const char *what, int after, uint32_t limit, int first, int last)
{
    char prefix[DOCTOR_KEY_SIZE], name[LISTED_NAME_SIZE], behind[DOCTOR_KEY_SIZE] = "";
    struct mr_store_page page = {0};
    doctor_key(doctor, "list/", prefix);
    if (after > 0) {
        listed_name(after, name);
        doctor_key(doctor, name, behind);
    }
    doctor->last = mr_store_list(doctor->store, prefix, behind, limit, &page);
    const bool same = page_is(doctor, &page, first, last) && page.more == (limit < LISTED && last < LISTED);
    mr_store_page_deinit(&page);
    return judged(doctor, what, done, false) && (same || wrong(doctor, what, "did not give the keys that are there"));
}

static bool check_list(struct doctor *doctor)
{
    bool good = true;
    char name[LISTED_NAME_SIZE];
    for (int i = 1; good && i <= LISTED; i++) {
        listed_name(i, name);
        good = writes_text(doctor, "a put", done, name, "x", always) &&
               lists(doctor, "a list right after a put", 0, LISTED + 1, 1, i);
    }
    for (int i = LISTED; good && i >= 1; i--) {
        listed_name(i, name);
        good = removes(doctor, "a removal", name) &&
               lists(doctor, "a list right after a removal", 0, LISTED + 1, 1, i - 1);
    }
    return good;
}

static bool check_pages(struct doctor *doctor)
{
    bool good = true;
    char name[LISTED_NAME_SIZE];
    for (int i = LISTED; good && i >= 1; i--) {
        listed_name(i, name);
        good = writes_text(doctor, "a put", done, name, "x", always);
    }
    for (int limit = 1; good && limit < LISTED; limit++) {
        for (int after = 0; good && after < LISTED; after += limit) {
            const int last = after + limit < LISTED ? after + limit : LISTED;
            good = lists(doctor, "a list by pages", after, (uint32_t)limit, after + 1, last);
        }
    }
    return good;
}

/* ---- Large objects ----------------------------------------------------------------------------------------- */

static bool holds_large(struct doctor *doctor, const char *name, struct mr_bytes body)
{
    const uint64_t middle = body.size / 2, left = body.size - middle;
    const struct mr_store_range range = {middle, left < 1000 ? left : 1000};
    return reads(doctor, "a get of the large object", name, whole, body) &&
           reads(doctor, "a get of a part of it", name, range, mr_bytes_of(body.data + middle, (size_t)range.count)) &&
           writes_text(doctor, "a create over the large object", refused, name, "x", absent);
}

static bool check_large(struct doctor *doctor, struct mr_bytes body)
{
    return writes(doctor, "a create of a large object", done, "large/one", body, absent) &&
           holds_large(doctor, "large/one", body) &&
           writes(doctor, "a put of a large object", done, "large/parts", body, always) &&
           holds_large(doctor, "large/parts", body);
}

static struct mr_error check_large_objects(struct doctor *doctor)
{
    const uint64_t size = doctor->options->large_bytes;
    uint8_t *bytes = size == 0 || size > SIZE_MAX ? NULL : malloc((size_t)size);
    if (bytes == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "an object of %" PRIu64 " bytes", size);
    }
    for (uint64_t i = 0; i < size; i += 8) {
        const uint64_t word = mr_mix64(i);
        memcpy(bytes + i, &word, size - i < 8 ? (size_t)(size - i) : 8);
    }
    if (check_large(doctor, mr_bytes_of(bytes, (size_t)size))) {
        doctor_find(doctor, MR_DOCTOR_GOOD, "of %" PRIu64 " bytes", size);
    }
    free(bytes);
    return mr_ok();
}

/* ---- At the end -------------------------------------------------------------------------------------------- */

static bool is_broken(const struct mr_doctor_report *report, enum mr_doctor_check check)
{
    for (size_t i = 0; i < report->count; i++) {
        if (report->findings[i].check == check && report->findings[i].verdict == MR_DOCTOR_BROKEN) {
            return true;
        }
    }
    return false;
}

static void check_versioned(struct doctor *doctor, const struct mr_doctor_report *report)
{
    if (!doctor->versioned) {
        doctor_find(doctor, MR_DOCTOR_GOOD, "no sign of old versions that are kept");
    } else if (is_broken(report, MR_DOCTOR_CREATE_IF_ABSENT) || is_broken(report, MR_DOCTOR_COMPARE_AND_SWAP)) {
        doctor_find(doctor, MR_DOCTOR_BROKEN, "the bucket is versioned, and the server does not keep conditions there");
    } else {
        doctor_find(doctor, MR_DOCTOR_GOOD,
                    "the bucket is versioned, and conditions hold: but what is removed still "
                    "takes room until a rule of the bucket ends old versions");
    }
}

/* Removes one page of what is there; *ret_more: ask again. */
static bool clean_page(struct doctor *doctor, bool *ret_more)
{
    struct mr_store_page page = {0};
    doctor->last = mr_store_list(doctor->store, doctor->prefix, "", PAGE_KEYS, &page);
    bool good = judged(doctor, "a list of what is left", done, false);
    for (size_t i = 0; good && i < page.count; i++) {
        doctor->last = mr_store_remove(doctor->store, page.entries[i].key);
        good = judged(doctor, "a removal", done, false);
    }
    *ret_more = page.count > 0;
    mr_store_page_deinit(&page);
    return good;
}

static bool check_cleanup(struct doctor *doctor)
{
    bool more = true;
    /* Some more pages than there can be objects for. */
    for (uint32_t i = 0; more && i < doctor->options->rounds / PAGE_KEYS + 3; i++) {
        if (!clean_page(doctor, &more)) {
            return false;
        }
    }
    return !more || wrong(doctor, "a list of what was removed", "gives it again and again");
}

/* ---- The examination --------------------------------------------------------------------------------------- */

static struct mr_error run_check(struct doctor *doctor, struct mr_doctor_report *report, enum mr_doctor_check check)
{
    doctor->finding = &report->findings[report->count];
    *doctor->finding = (struct mr_doctor_finding){.check = check, .verdict = MR_DOCTOR_GOOD};
    struct mr_error error = mr_ok();
    switch (check) {
    case MR_DOCTOR_WRITES: (void)check_writes(doctor); break;
    case MR_DOCTOR_CREATE_IF_ABSENT: (void)check_create(doctor); break;
    case MR_DOCTOR_COMPARE_AND_SWAP: (void)check_swap(doctor); break;
    case MR_DOCTOR_ETAGS: (void)check_etags(doctor); break;
    case MR_DOCTOR_READ_AFTER_WRITE: (void)check_reads(doctor); break;
    case MR_DOCTOR_RANGES: (void)check_ranges(doctor); break;
    case MR_DOCTOR_LIST_AFTER_WRITE: (void)check_list(doctor); break;
    case MR_DOCTOR_LIST_PAGES: (void)check_pages(doctor); break;
    case MR_DOCTOR_LARGE_OBJECTS: error = check_large_objects(doctor); break;
    case MR_DOCTOR_CREATE_RACE: error = doctor_race(doctor, false); break;
    case MR_DOCTOR_SWAP_RACE: error = doctor_race(doctor, true); break;
    case MR_DOCTOR_VERSIONED_BUCKET: check_versioned(doctor, report); break;
    case MR_DOCTOR_CLEANUP: (void)check_cleanup(doctor); break;
    }
    report->count++;
    return error;
}

static bool applies(const struct mr_doctor_options *options, enum mr_doctor_check check)
{
    return check != MR_DOCTOR_LARGE_OBJECTS || options->large_bytes > 0;
}

/* In this order; nothing else when it cannot be written. */
static struct mr_error examine(struct doctor *doctor, const enum mr_doctor_check checks[], size_t count,
                               struct mr_doctor_report *ret_report)
{
    uint8_t bytes[16];
    char text[2 * sizeof bytes + 1];
    MR_TRY(mr_random(bytes, sizeof bytes));
    mr_hex(mr_bytes_of(bytes, sizeof bytes), text);
    (void)snprintf(doctor->prefix, sizeof doctor->prefix, ".doctor/%s/", text);
    *ret_report = (struct mr_doctor_report){.verdict = MR_DOCTOR_GOOD};
    struct mr_error error = mr_ok();
    for (size_t i = 0; i < count; i++) {
        if (applies(doctor->options, checks[i])) {
            error = run_check(doctor, ret_report, checks[i]);
        }
        if (mr_failed(error) || ret_report->findings[0].verdict != MR_DOCTOR_GOOD) {
            /* What was written can be removed all the same, perhaps. */
            doctor->finding = &(struct mr_doctor_finding){.check = MR_DOCTOR_CLEANUP};
            (void)check_cleanup(doctor);
            break;
        }
    }
    ret_report->verdict = doctor_judge_all(ret_report->findings, ret_report->count);
    return error;
}

struct mr_error mr_store_doctor(struct mr_store *store, const struct mr_doctor_options *options,
                                struct mr_doctor_report *ret_report)
{
    static const enum mr_doctor_check all[] = {
        MR_DOCTOR_WRITES,           MR_DOCTOR_CREATE_IF_ABSENT, MR_DOCTOR_COMPARE_AND_SWAP, MR_DOCTOR_ETAGS,
        MR_DOCTOR_READ_AFTER_WRITE, MR_DOCTOR_RANGES,           MR_DOCTOR_LIST_AFTER_WRITE, MR_DOCTOR_LIST_PAGES,
        MR_DOCTOR_LARGE_OBJECTS,    MR_DOCTOR_CREATE_RACE,      MR_DOCTOR_SWAP_RACE,        MR_DOCTOR_VERSIONED_BUCKET,
        MR_DOCTOR_CLEANUP,
    };
    struct doctor doctor = {.store = store, .options = options};
    MR_ASSERT(options->writers >= 2 && options->writers <= MR_DOCTOR_WRITERS_MAX);
    MR_ASSERT(options->rounds >= 1 && options->rounds <= MR_DOCTOR_ROUNDS_MAX);
    return examine(&doctor, all, MR_COUNT_OF(all), ret_report);
}

/* ---- The short form ---------------------------------------------------------------------------------------- */

static struct mr_error probe_error(const struct mr_doctor_finding *finding)
{
    const char *check = mr_doctor_check_text(finding->check);
    switch (finding->verdict) {
    case MR_DOCTOR_GOOD: return mr_ok();
    case MR_DOCTOR_BROKEN:
        return mr_error_make(MR_ERROR_FATAL, "dishonest_store", finding->native,
                             "%s is broken: %.90s. Use another store; `millrace store doctor` says more", check,
                             finding->detail);
    case MR_DOCTOR_COULD_NOT_TELL:
        return finding->answer == MR_STORE_DENIED
                   ? mr_error_make(MR_ERROR_FATAL, "denied", finding->native, "%s: %.150s", check, finding->detail)
                   : mr_error_make(MR_ERROR_TRANSIENT, "undecided", finding->native, "%s: %.150s", check,
                                   finding->detail);
    }
    mr_unreachable(__func__);
}

struct mr_error mr_store_probe(struct mr_store *store)
{
    static const enum mr_doctor_check few[] = {MR_DOCTOR_WRITES,           MR_DOCTOR_CREATE_IF_ABSENT,
                                               MR_DOCTOR_COMPARE_AND_SWAP, MR_DOCTOR_CREATE_RACE,
                                               MR_DOCTOR_SWAP_RACE,        MR_DOCTOR_CLEANUP};
    const struct mr_doctor_options options = {.writers = PROBE_WRITERS, .rounds = PROBE_ROUNDS};
    struct doctor doctor = {.store = store, .options = &options};
    struct mr_doctor_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a look at the store");
    }
    struct mr_error error = examine(&doctor, few, MR_COUNT_OF(few), report);
    for (size_t i = 0; i < report->count && error.kind != MR_ERROR_FATAL; i++) {
        const struct mr_error found = probe_error(&report->findings[i]);
        error = found.kind == MR_ERROR_FATAL || !mr_failed(error) ? found : error;
    }
    free(report);
    return error;
}
