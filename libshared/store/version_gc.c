/*
 * GC's passes over a model. The chain is walked from head to genesis, a piece at a time; what stands in the store at
 * the piece's counters is listed beside it. So memory does not grow with the number of versions.
 */
#include "gc_decide.h"
#include "store_settle.h"
#include "version_internal.h"
#include "version_range.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 256, PEEK_BYTES = 65536 };

/* A version of the chain. */
struct member {
    char version_id[MR_VERSION_ID_SIZE];
    uint64_t counter;
    bool has_parent, restarts;
    struct mr_sha256 parent_record_hash, content_hash;
    char source_id[MR_VERSION_ID_SIZE]; /* if it restarts */
    enum mr_gc_reason reason;
    bool pinned, collected, has_payload;
    uint64_t bytes; /* of its payload */
};

static const char *const files[] = {"checkpoint.pb", "collected.json", "content_hash.txt", "metadata.json"};
enum { CHECKPOINT, COLLECTED, CONTENT_HASH, METADATA, FILES };

/* A directory of versions/, as it is listed. */
struct directory {
    char version_id[MR_VERSION_ID_SIZE]; /* "": none yet */
    uint64_t counter;
    bool has[FILES];
    uint64_t bytes[FILES];
};

struct pass {
    const struct mr_gc_request *request;
    bool removes, tells;
    struct mr_gc_report *report;
    struct mr_version_walk walk;
    struct mr_head head;
    uint64_t head_applied;
    uint64_t later_head_counter, highest, highest_committed; /* seen above head */
    struct member *piece;                                    /* counters fall by one */
    size_t count;
    struct directory directory;
    char (*sources)[MR_VERSION_ID_SIZE]; /* of versions that are kept, not reached yet */
    size_t source_count, source_capacity;
    uint64_t protected_seen; /* a bit for each of request->protect */
};

static struct mr_error went_back(const char *model_id, const char *what, const char *why)
{
    return mr_error_make(MR_ERROR_REJECT, "head_went_back", 0,
                         "model \"%s\": %.60s %s, so head was further once, or elsewhere; nothing is collected",
                         model_id, what, why);
}

static void tell(const struct pass *pass, enum mr_gc_kind kind, const char *name, uint64_t bytes,
                 enum mr_gc_reason reason)
{
    const struct mr_gc_item item = {.kind = kind, .name = name, .bytes = bytes, .reason = reason};
    if (pass->tells && pass->request->each != NULL) {
        pass->request->each(pass->request->self, &item);
    }
}

static void count(struct mr_gc_sum *sum, uint64_t bytes)
{
    sum->count++;
    sum->bytes += bytes;
}

/* ---- Head --------------------------------------------------------------------------------------------------- */

/* The argument for all that is removed is that heads go forward. */
static struct mr_error check_head(struct pass *pass)
{
    bool some = false;
    struct mr_head head = {0};
    MR_TRY(mr_head_read(pass->request->store, pass->request->model_id, &some, &head, NULL));
    const bool same = some && mr_sha256_equal(&head.record_hash, &pass->head.record_hash);
    if (!same && (!some || head.counter <= pass->head.counter)) {
        return went_back(pass->request->model_id, pass->head.version_id, "was head and is not its ancestor");
    }
    pass->later_head_counter = head.counter;
    return mr_ok();
}

static struct mr_error note_above(void *self, const struct mr_version_object *object)
{
    struct pass *pass = self;
    const bool committed = strcmp(object->file, files[COLLECTED]) == 0;
    pass->highest = object->counter > pass->highest ? object->counter : pass->highest;
    if (committed && object->counter > pass->highest_committed) {
        pass->highest_committed = object->counter;
    }
    return mr_ok();
}

static struct mr_error note_pin_above(void *self, const struct mr_version_object *object)
{
    struct pass *pass = self;
    pass->highest_committed = object->counter > pass->highest_committed ? object->counter : pass->highest_committed;
    return mr_ok();
}

static bool is_beyond(const struct pass *pass, uint64_t counter, bool was_committed)
{
    const struct mr_gc_directory directory = {
        .counter = counter,
        .head_counter = pass->head.counter,
        .later_head_counter = pass->later_head_counter,
        .was_committed = was_committed,
    };
    return counter > pass->head.counter && mr_gc_finding_of(&directory) == MR_GC_HEAD_WENT_BACK;
}

/* What stands above head came there while a head below it was read, or before head went back: head is read after it. */
static struct mr_error check_above(struct pass *pass)
{
    char versions[MR_VERSION_KEY_SIZE], pins[MR_VERSION_KEY_SIZE];
    struct mr_store *store = pass->request->store;
    mr_key_versions(pass->request->model_id, versions);
    mr_key_pins(pass->request->model_id, pins);
    MR_TRY(mr_version_each_object(store, versions, pass->head.counter + 1, MR_VERSION_RANGE_MAX, note_above, pass));
    MR_TRY(mr_version_each_object(store, pins, pass->head.counter + 1, MR_VERSION_RANGE_MAX, note_pin_above, pass));
    MR_TRY(check_head(pass));
    return is_beyond(pass, pass->highest, false) || is_beyond(pass, pass->highest_committed, true)
               ? went_back(pass->request->model_id, pass->head.version_id, "is head, and later versions stand above it")
               : mr_ok();
}

/* ---- A piece of the chain ----------------------------------------------------------------------------------- */

static struct mr_error fill_member(struct pass *pass, const struct mr_version *version)
{
    const struct member *above = pass->count == 0 ? NULL : &pass->piece[pass->count - 1];
    if (above != NULL && above->counter != version->counter + 1) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%s follows %s: a counter must be its parent's plus one",
                             above->version_id, version->version_id);
    }
    if (!version->has_parent && version->counter != 0) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%s has no parent, and is not counter 0",
                             version->version_id);
    }
    struct member *member = &pass->piece[pass->count++];
    *member = (struct member){
        .counter = version->counter,
        .has_parent = version->has_parent,
        .parent_record_hash = version->parent_record_hash,
        .content_hash = version->content_hash,
        .restarts = version->has_restarted_from,
    };
    memcpy(member->version_id, version->version_id, sizeof member->version_id);
    memcpy(member->source_id, version->restarted_version_id, sizeof member->source_id);
    return mr_ok();
}

static struct mr_error fill_piece(struct pass *pass)
{
    struct mr_version_entry entry;
    bool some = true;
    pass->count = 0;
    while (pass->count < PIECE) {
        MR_TRY(mr_version_walk_next(&pass->walk, &some, &entry));
        if (!some) {
            break;
        }
        MR_TRY(fill_member(pass, &entry.version));
        if (pass->report->versions++ == 0) {
            pass->head_applied = entry.version.applied;
        }
    }
    return mr_ok();
}

/* NULL: the chain's piece has no version at this counter. */
static struct member *member_at(struct pass *pass, uint64_t counter)
{
    const uint64_t index = pass->count == 0 ? 0 : pass->piece[0].counter - counter;
    return index < pass->count ? &pass->piece[index] : NULL;
}

static struct member *member_of(struct pass *pass, const char *version_id, uint64_t counter)
{
    struct member *member = member_at(pass, counter);
    return member != NULL && strcmp(member->version_id, version_id) == 0 ? member : NULL;
}

static struct mr_error each_in_piece(struct pass *pass, void (*key_of)(const char *model_id, char *ret_prefix),
                                     struct mr_error (*each)(void *self, const struct mr_version_object *object))
{
    char prefix[MR_VERSION_KEY_SIZE];
    key_of(pass->request->model_id, prefix);
    return mr_version_each_object(pass->request->store, prefix, pass->piece[pass->count - 1].counter,
                                  pass->piece[0].counter, each, pass);
}

static struct mr_error note_pin(void *self, const struct mr_version_object *object)
{
    struct pass *pass = self;
    struct member *member = member_of(pass, object->version_id, object->counter);
    struct mr_pin pin;
    if (member == NULL) {
        return went_back(pass->request->model_id, object->version_id, "is pinned and not in the chain");
    }
    mr_pin_of(object, &pin);
    member->pinned = member->pinned || !pin.of_run || !mr_gc_pin_spent(&pin.start, &pass->head.position);
    return mr_ok();
}

/* ---- Directories -------------------------------------------------------------------------------------------- */

static void key_of(const struct pass *pass, const char *version_id, int file, char ret_key[MR_VERSION_KEY_SIZE])
{
    mr_key_version(pass->request->model_id, version_id, files[file], ret_key);
}

static struct mr_error remove_orphan(struct pass *pass)
{
    const struct directory *directory = &pass->directory;
    uint64_t bytes = 0;
    for (int i = 0; i < FILES; i++) {
        char key[MR_VERSION_KEY_SIZE];
        key_of(pass, directory->version_id, i, key);
        if (directory->has[i] && pass->removes) {
            MR_TRY(mr_store_settle_remove(pass->request->store, key));
        }
        bytes += directory->bytes[i];
    }
    count(&pass->report->orphans, bytes);
    tell(pass, MR_GC_ORPHAN, directory->version_id, bytes, MR_GC_NOT_KEPT);
    return mr_ok();
}

/* The parent that an orphan's metadata names was head when the orphan was made. */
static struct mr_error read_parent(struct pass *pass, struct mr_gc_directory *facts)
{
    const struct directory *directory = &pass->directory;
    const struct member *member = member_at(pass, directory->counter);
    struct mr_version version;
    struct mr_sha256 record_hash;
    const struct mr_error error = mr_version_read(pass->request->store, pass->request->model_id, directory->version_id,
                                                  NULL, &version, &record_hash);
    if (mr_failed(error)) {
        return strcmp(error.code, "not_found") == 0 ? mr_ok() : error; /* another GC was faster */
    }
    facts->names_parent = version.has_parent;
    facts->parent_is_chains = member->has_parent && version.has_parent &&
                              mr_sha256_equal(&member->parent_record_hash, &version.parent_record_hash);
    return mr_ok();
}

static struct mr_error close_foreign(struct pass *pass)
{
    struct directory *directory = &pass->directory;
    struct mr_gc_directory facts = {
        .counter = directory->counter,
        .head_counter = pass->head.counter,
        .was_committed = directory->has[COLLECTED],
    };
    if (directory->has[METADATA]) {
        MR_TRY(read_parent(pass, &facts));
    }
    switch (mr_gc_finding_of(&facts)) {
    case MR_GC_LIVE:
    case MR_GC_COMING: return mr_ok();
    case MR_GC_GARBAGE: return remove_orphan(pass);
    case MR_GC_HEAD_WENT_BACK:
        return went_back(pass->request->model_id, directory->version_id, "was committed, and is not in the chain");
    }
    mr_unreachable(__func__);
}

/* All of it has been listed. */
static struct mr_error close_directory(struct pass *pass)
{
    struct directory *directory = &pass->directory;
    struct mr_error error = mr_ok();
    if (directory->version_id[0] != '\0') {
        struct member *member = member_of(pass, directory->version_id, directory->counter);
        if (member == NULL) {
            error = close_foreign(pass);
        } else {
            member->has_payload = directory->has[CHECKPOINT];
            member->bytes = directory->bytes[CHECKPOINT];
            member->collected = directory->has[COLLECTED];
        }
    }
    *directory = (struct directory){.counter = 0};
    return error;
}

static struct mr_error note_file(void *self, const struct mr_version_object *object)
{
    struct pass *pass = self;
    struct directory *directory = &pass->directory;
    if (strcmp(directory->version_id, object->version_id) != 0) {
        MR_TRY(close_directory(pass));
        memcpy(directory->version_id, object->version_id, sizeof directory->version_id);
        directory->counter = object->counter;
    }
    for (int i = 0; i < FILES; i++) {
        if (strcmp(object->file, files[i]) == 0) {
            directory->has[i] = true;
            directory->bytes[i] = object->size;
        }
    }
    return mr_ok();
}

/* ---- What stays --------------------------------------------------------------------------------------------- */

static bool is_protected(struct pass *pass, const struct member *member)
{
    bool found = false;
    for (size_t i = 0; i < pass->request->protect_count; i++) {
        const struct mr_version_choice *choice = &pass->request->protect[i];
        const bool same = choice->kind == MR_VERSION_HEAD      ? member->counter == pass->head.counter
                          : choice->kind == MR_VERSION_COUNTER ? member->counter == choice->counter
                                                               : strcmp(member->version_id, choice->version_id) == 0;
        found = found || same;
        pass->protected_seen |= same ? UINT64_C(1) << i : 0;
    }
    return found;
}

static struct mr_error add_source(struct pass *pass, const char *version_id)
{
    for (size_t i = 0; i < pass->source_count; i++) {
        if (strcmp(pass->sources[i], version_id) == 0) {
            return mr_ok();
        }
    }
    if (pass->source_count == pass->source_capacity) {
        const size_t capacity = pass->source_capacity * 2 + 16;
        char(*sources)[MR_VERSION_ID_SIZE] = realloc(pass->sources, capacity * sizeof *sources);
        if (sources == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "versions to restart from");
        }
        pass->sources = sources;
        pass->source_capacity = capacity;
    }
    memcpy(pass->sources[pass->source_count++], version_id, MR_VERSION_ID_SIZE);
    return mr_ok();
}

/* A source stands below what names it, so it is reached later, and once. */
static bool take_source(struct pass *pass, const char *version_id)
{
    for (size_t i = 0; i < pass->source_count; i++) {
        if (strcmp(pass->sources[i], version_id) == 0) {
            memcpy(pass->sources[i], pass->sources[--pass->source_count], MR_VERSION_ID_SIZE);
            return true;
        }
    }
    return false;
}

/* A directory that was listed while another GC was at it may lack both. */
static struct mr_error look_at_payload(struct pass *pass, struct member *member)
{
    char key[MR_VERSION_KEY_SIZE];
    if (member->has_payload || member->collected) {
        return mr_ok();
    }
    key_of(pass, member->version_id, COLLECTED, key);
    MR_TRY(mr_store_settle_look(pass->request->store, key, &member->collected));
    return member->collected ? mr_ok()
                             : mr_error_make(MR_ERROR_REJECT, "corrupt", 0,
                                             "model \"%s\": checkpoint.pb of %s is missing, and was not collected",
                                             pass->request->model_id, member->version_id);
}

static struct mr_error judge_piece(struct pass *pass)
{
    for (size_t i = 0; i < pass->count; i++) {
        struct member *member = &pass->piece[i];
        const struct mr_gc_standing standing = {
            .counter = member->counter,
            .head_counter = pass->head.counter,
            .keep_last = pass->request->keep_last,
            .is_protected = is_protected(pass, member),
            .is_pinned = member->pinned,
            .is_source = take_source(pass, member->version_id),
        };
        MR_TRY(look_at_payload(pass, member));
        member->reason = mr_gc_reason_of(&standing);
        if (member->reason != MR_GC_NOT_KEPT && member->restarts) {
            MR_TRY(add_source(pass, member->source_id));
        }
        if (!member->has_payload) {
            pass->report->collected_before++;
        } else if (member->reason != MR_GC_NOT_KEPT) {
            pass->report->kept++;
            tell(pass, MR_GC_VERSION, member->version_id, member->bytes, member->reason);
        }
    }
    return mr_ok();
}

/* ---- Payloads ----------------------------------------------------------------------------------------------- */

static struct mr_error put_collected(struct pass *pass, const struct member *member)
{
    char key[MR_VERSION_KEY_SIZE], hash[MR_SHA256_TEXT_SIZE];
    struct mr_buffer body = {0};
    key_of(pass, member->version_id, COLLECTED, key);
    mr_sha256_text(&member->content_hash, hash);
    struct mr_error error = mr_buffer_append_text(
        &body, "{\"content_hash\":\"%s\",\"model_id\":\"%s\",\"size\":%" PRIu64 ",\"version_id\":\"%s\"}", hash,
        pass->request->model_id, member->bytes, member->version_id);
    if (!mr_failed(error)) {
        error = mr_store_settle_put(pass->request->store, key, mr_buffer_view(&body));
    }
    mr_buffer_deinit(&body);
    return error;
}

/* Rule C11: collected.json of all, then the pins, then the payloads that nobody pinned meanwhile. */
static struct mr_error collect_piece(struct pass *pass)
{
    for (size_t i = 0; i < pass->count && pass->removes; i++) {
        const struct member *member = &pass->piece[i];
        if (member->reason == MR_GC_NOT_KEPT && member->has_payload && !member->collected) {
            MR_TRY(put_collected(pass, member));
        }
    }
    if (pass->removes) {
        MR_TRY(each_in_piece(pass, mr_key_pins, note_pin));
    }
    for (size_t i = 0; i < pass->count; i++) {
        const struct member *member = &pass->piece[i];
        char key[MR_VERSION_KEY_SIZE];
        if (member->reason != MR_GC_NOT_KEPT || !member->has_payload) {
            continue;
        }
        if (member->pinned) {
            pass->report->kept++;
            tell(pass, MR_GC_VERSION, member->version_id, member->bytes, MR_GC_KEPT_PINNED);
            continue;
        }
        key_of(pass, member->version_id, CHECKPOINT, key);
        if (pass->removes) {
            MR_TRY(mr_store_settle_remove(pass->request->store, key));
        }
        count(&pass->report->collected, member->bytes);
        tell(pass, MR_GC_VERSION, member->version_id, member->bytes, MR_GC_NOT_KEPT);
    }
    return mr_ok();
}

static struct mr_error pass_piece(struct pass *pass)
{
    if (pass->removes) {
        MR_TRY(check_head(pass));
    }
    MR_TRY(each_in_piece(pass, mr_key_pins, note_pin));
    MR_TRY(each_in_piece(pass, mr_key_versions, note_file));
    MR_TRY(close_directory(pass));
    MR_TRY(judge_piece(pass));
    return collect_piece(pass);
}

/* ---- The spool ---------------------------------------------------------------------------------------------- */

/* *ret_garbage: the object is what its name says, and no commit can need it. */
static struct mr_error judge_spooled(struct pass *pass, const char *key, const struct mr_sha256 *name,
                                     bool *ret_garbage)
{
    struct mr_store *store = pass->request->store;
    struct mr_buffer body = {0};
    struct mr_sha256 hash;
    uint64_t applied = 0, size = 0;
    *ret_garbage = false;
    const struct mr_store_result peek =
        store->ops->get(store, key, (struct mr_store_range){.count = PEEK_BYTES}, &body);
    const bool tells = peek.outcome == MR_STORE_DONE && mr_gc_applied(mr_buffer_view(&body), &applied);
    struct mr_error error = peek.outcome == MR_STORE_MISSING ? mr_ok() : mr_version_error(&peek);
    if (!mr_failed(error) && tells && mr_gc_spool_garbage(applied, pass->head_applied)) {
        error = mr_version_hash_object(store, key, &hash, &size);
        *ret_garbage = !mr_failed(error) && mr_sha256_equal(&hash, name);
    }
    mr_buffer_deinit(&body);
    return mr_failed(error) && strcmp(error.code, "not_found") == 0 ? mr_ok() : error; /* persist was faster */
}

static struct mr_error pass_spooled(void *self, const struct mr_store_entry *entry)
{
    struct pass *pass = self;
    char prefix[MR_VERSION_KEY_SIZE], text[MR_SHA256_TEXT_SIZE], key[MR_VERSION_KEY_SIZE];
    struct mr_sha256 name;
    bool garbage = false;
    mr_key_spools(pass->request->model_id, prefix);
    (void)snprintf(text, sizeof text, "%s", entry->key + strlen(prefix));
    if (!mr_sha256_parse(text, &name)) {
        return mr_ok();
    }
    mr_key_spool(pass->request->model_id, &name, key);
    if (strcmp(key, entry->key) != 0) {
        return mr_ok();
    }
    MR_TRY(judge_spooled(pass, key, &name, &garbage));
    if (garbage && pass->removes) {
        MR_TRY(mr_store_settle_remove(pass->request->store, key));
    }
    if (garbage) {
        count(&pass->report->spool, entry->size);
        tell(pass, MR_GC_SPOOL, key, entry->size, MR_GC_NOT_KEPT);
    }
    return mr_ok();
}

/* ---- Passes ------------------------------------------------------------------------------------------------- */

static struct mr_error check_protected(const struct pass *pass)
{
    for (size_t i = 0; i < pass->request->protect_count; i++) {
        const struct mr_version_choice *choice = &pass->request->protect[i];
        if ((pass->protected_seen >> i & 1) == 0) {
            return mr_error_make(MR_ERROR_REJECT, "not_found", 0,
                                 "model \"%s\" has no version %" PRIu64 "%s%s in its chain to protect",
                                 pass->request->model_id, choice->counter, choice->kind == MR_VERSION_ID ? ", " : "",
                                 choice->kind == MR_VERSION_ID ? choice->version_id : "");
        }
    }
    return mr_ok();
}

static struct mr_error go_through(struct pass *pass)
{
    char spools[MR_VERSION_KEY_SIZE];
    MR_TRY(mr_version_walk_begin(pass->request->store, pass->request->model_id, &pass->walk, &pass->head));
    memcpy(pass->report->head_version_id, pass->head.version_id, sizeof pass->report->head_version_id);
    if (pass->head.counter >= MR_VERSION_RANGE_MAX) {
        return mr_error_make(MR_ERROR_REJECT, "out_of_range", 0, "head %s: more versions than GC can keep apart",
                             pass->head.version_id);
    }
    MR_TRY(check_above(pass));
    for (;;) {
        MR_TRY(fill_piece(pass));
        if (pass->count == 0) {
            break;
        }
        MR_TRY(pass_piece(pass));
    }
    MR_TRY(check_protected(pass));
    mr_key_spools(pass->request->model_id, spools);
    return mr_version_each_key(pass->request->store, spools, pass_spooled, pass);
}

static struct mr_error one_pass(const struct mr_gc_request *request, bool removes, bool tells,
                                struct mr_gc_report *ret_report)
{
    struct pass pass = {.request = request, .removes = removes, .tells = tells, .report = ret_report};
    *ret_report = (struct mr_gc_report){.versions = 0};
    if (request->protect_count > MR_GC_PROTECT_MAX) {
        return mr_error_make(MR_ERROR_REJECT, "out_of_range", 0, "at most %d versions can be protected by name",
                             MR_GC_PROTECT_MAX);
    }
    pass.piece = calloc(PIECE, sizeof *pass.piece);
    if (pass.piece == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "garbage collection");
    }
    const struct mr_error error = go_through(&pass);
    free(pass.piece);
    free(pass.sources);
    return error;
}

struct mr_error mr_gc_preview(const struct mr_gc_request *request, struct mr_gc_report *ret_report)
{
    return one_pass(request, false, true, ret_report);
}

struct mr_error mr_gc_run(const struct mr_gc_request *request, struct mr_gc_report *ret_report)
{
    struct mr_gc_report seen;
    *ret_report = (struct mr_gc_report){.versions = 0};
    MR_TRY(one_pass(request, false, false, &seen));
    return one_pass(request, true, true, ret_report);
}
