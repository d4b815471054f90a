#include "publish_view.h"

#include "publish_redis.h"

#include "millrace/fold/v1/fold.pb-c.h"
#include "millrace/wire.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

enum { RATE_INTERVAL_MS = 1000, VALUE_MAX = 32 };

struct waiting_version {
    uint64_t counter;
    char *json;
};

struct view_entry {
    char model_id[MR_ID_SIZE];
    uint64_t changed; /* the view's clock of changes when this entry last changed */
    uint64_t since;   /* if it is pending: all its changes before this one are told */
    bool on_the_way;
    /* Numbers. */
    bool has_progress, progress_pending, progress_rendered;
    char run_id[MR_ID_SIZE];
    const char *phase;
    uint64_t step;
    bool has_numbers;
    float loss, gradient_norm, learning_rate;
    uint64_t samples;
    /* Steps per second, over at least RATE_INTERVAL_MS. */
    uint64_t rate_steps;
    int64_t rate_since_ms;
    double rate;
    /* Versions first .. end - 1 wait, at [number % PUBLISH_VIEW_VERSIONS_MAX]; those below `rendered` are on the way.
     */
    struct waiting_version versions[PUBLISH_VIEW_VERSIONS_MAX];
    uint64_t first_version, end_version, rendered_version;
};

struct publish_view {
    struct view_entry *entries[PUBLISH_VIEW_MODELS_MAX];
    size_t count, pending;
    size_t next; /* where the next render begins, so that no model waits behind busier ones for ever */
    void *index; /* tsearch tree of entries by model id */
    uint64_t changes;
    uint64_t rendered_changes; /* when the last render began */
};

static struct mr_error out_of_memory(void)
{
    return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the view's pending changes");
}

static int by_model(const void *a, const void *b)
{
    const struct view_entry *left = a, *right = b;
    return strcmp(left->model_id, right->model_id);
}

static bool entry_pending(const struct view_entry *entry)
{
    return entry->progress_pending || entry->first_version < entry->end_version;
}

static void drop_versions(struct view_entry *entry, uint64_t below)
{
    for (; entry->first_version < below; entry->first_version++) {
        struct waiting_version *slot = &entry->versions[entry->first_version % PUBLISH_VIEW_VERSIONS_MAX];
        free(slot->json);
        slot->json = NULL;
    }
}

struct publish_view *publish_view_new(void)
{
    return calloc(1, sizeof(struct publish_view));
}

void publish_view_free(struct publish_view *view)
{
    if (view == NULL) {
        return;
    }
    for (size_t i = 0; i < view->count; i++) {
        tdelete(view->entries[i], &view->index, by_model);
        drop_versions(view->entries[i], view->entries[i]->end_version);
        free(view->entries[i]);
    }
    free(view);
}

bool publish_view_pending(const struct publish_view *view)
{
    return view->pending > 0;
}

/* The entry that changed least recently, those on the way excepted: preferably one that has nothing to tell. */
static size_t least_missed(const struct publish_view *view)
{
    size_t found = view->count;
    for (size_t i = 0; i < view->count; i++) {
        const struct view_entry *entry = view->entries[i];
        if (entry->on_the_way) {
            continue;
        }
        if (found == view->count || entry_pending(entry) < entry_pending(view->entries[found]) ||
            (entry_pending(entry) == entry_pending(view->entries[found]) &&
             entry->changed < view->entries[found]->changed)) {
            found = i;
        }
    }
    MR_ASSERT(found < view->count); /* fewer are on the way than are remembered */
    return found;
}

static void forget(struct publish_view *view, size_t at, bool *ret_forgot)
{
    struct view_entry *entry = view->entries[at];
    if (entry_pending(entry)) {
        view->pending--;
        *ret_forgot = true;
    }
    tdelete(entry, &view->index, by_model);
    drop_versions(entry, entry->end_version);
    free(entry);
    view->entries[at] = view->entries[--view->count];
}

/* The entry of that model, made if there is none. */
static struct mr_error entry_of(struct publish_view *view, const char *model_id, struct view_entry **ret_entry,
                                bool *ret_forgot)
{
    struct view_entry wanted;
    MR_ASSERT(strlen(model_id) < sizeof wanted.model_id);
    (void)snprintf(wanted.model_id, sizeof wanted.model_id, "%s", model_id);
    *ret_forgot = false;
    void *const *found = tfind(&wanted, &view->index, by_model);
    if (found != NULL) {
        *ret_entry = *found;
        return mr_ok();
    }
    struct view_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return out_of_memory();
    }
    memcpy(entry->model_id, wanted.model_id, sizeof entry->model_id);
    if (view->count == PUBLISH_VIEW_MODELS_MAX) {
        forget(view, least_missed(view), ret_forgot);
    }
    if (tsearch(entry, &view->index, by_model) == NULL) {
        free(entry);
        return out_of_memory();
    }
    view->entries[view->count++] = entry;
    *ret_entry = entry;
    return mr_ok();
}

static void changed(struct publish_view *view, struct view_entry *entry, bool was_pending)
{
    entry->changed = ++view->changes;
    if (!was_pending) {
        entry->since = entry->changed;
        view->pending++;
    }
}

/* ---- Changes ------------------------------------------------------------------------------------------- */

static void count_rate(struct view_entry *entry, bool stepped, int64_t now_ms)
{
    if (!stepped) {
        entry->rate = 0;
        entry->rate_steps = 0;
        entry->rate_since_ms = now_ms;
        return;
    }
    entry->rate_steps++;
    const int64_t elapsed_ms = now_ms - entry->rate_since_ms;
    if (elapsed_ms >= RATE_INTERVAL_MS) {
        entry->rate = (double)entry->rate_steps * 1000.0 / (double)elapsed_ms;
        entry->rate_steps = 0;
        entry->rate_since_ms = now_ms;
    }
}

struct mr_error publish_view_progress(struct publish_view *view, const struct publish_progress *progress,
                                      int64_t now_ms, bool live, bool *ret_forgot)
{
    struct view_entry *entry = NULL;
    MR_TRY(entry_of(view, progress->model_id, &entry, ret_forgot));
    const bool was_pending = entry_pending(entry);
    const bool same_run = entry->has_progress && strcmp(entry->run_id, progress->run_id) == 0;
    MR_ASSERT(strlen(progress->run_id) < sizeof entry->run_id);
    (void)snprintf(entry->run_id, sizeof entry->run_id, "%s", progress->run_id);
    entry->phase = progress->phase;
    entry->step = progress->step;
    if (progress->has_numbers) {
        entry->loss = progress->loss;
        entry->gradient_norm = progress->gradient_norm;
        entry->learning_rate = progress->learning_rate;
        entry->samples = progress->samples;
    }
    entry->has_numbers = progress->has_numbers || (same_run && entry->has_numbers);
    count_rate(entry, live && progress->has_numbers && same_run, now_ms);
    entry->has_progress = true;
    entry->progress_pending = true;
    entry->progress_rendered = false;
    changed(view, entry, was_pending);
    return mr_ok();
}

/* null where the text is not UTF-8, which JSON cannot say. */
static json_t *text_or_null(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_null();
}

/* Member and wake-up: the same version always has the same text, so that writing it twice changes nothing. */
static char *version_json(const struct publish_version *version)
{
    json_t *object = json_pack(
        "{s:I, s:o, s:o, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:I, s:o, s:o}", "counter",
        (json_int_t)version->counter, "version_id", text_or_null(version->version_id), "semantic_version",
        text_or_null(version->semantic_version), "content_hash", version->content_hash, "record_hash",
        version->record_hash, "commit_id", version->commit_text, "run_id", text_or_null(version->run_id), "step",
        (json_int_t)version->step, "size", (json_int_t)version->size, "samples", (json_int_t)version->samples, "loss",
        isfinite(version->loss) ? json_real((double)version->loss) : json_null(), "event_time_ms",
        (json_int_t)version->event_time_ms, "message", text_or_null(version->message), "restarted_from",
        text_or_null(version->restarted_from));
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    return text;
}

/* Takes the text over. */
static struct mr_error add_version(struct publish_view *view, const char *model_id, uint64_t counter, char *json,
                                   bool *ret_forgot)
{
    struct view_entry *entry = NULL;
    const struct mr_error error = entry_of(view, model_id, &entry, ret_forgot);
    if (mr_failed(error)) {
        free(json);
        return error;
    }
    const bool was_pending = entry_pending(entry);
    if (entry->end_version - entry->first_version == PUBLISH_VIEW_VERSIONS_MAX) {
        drop_versions(entry, entry->first_version + 1); /* the view would drop it too: it keeps as many */
    }
    entry->versions[entry->end_version++ % PUBLISH_VIEW_VERSIONS_MAX] =
        (struct waiting_version){.counter = counter, .json = json};
    changed(view, entry, was_pending);
    return mr_ok();
}

struct mr_error publish_view_version(struct publish_view *view, const struct publish_version *version, bool *ret_forgot)
{
    char *json = version_json(version);
    return json == NULL ? out_of_memory() : add_version(view, version->model_id, version->counter, json, ret_forgot);
}

/* ---- Commands ------------------------------------------------------------------------------------------ */

#define COMMAND(commands, count, ...)                                             \
    publish_redis_append((commands), (count), (const char *const[]){__VA_ARGS__}, \
                         MR_COUNT_OF(((const char *const[]){__VA_ARGS__})))

static struct mr_error render_progress(const struct view_entry *entry, struct mr_buffer *commands, size_t *count)
{
    char model_key[MR_ID_SIZE + 32], run_key[2 * MR_ID_SIZE + 32];
    snprintf(model_key, sizeof model_key, "millrace:model:%s", entry->model_id);
    snprintf(run_key, sizeof run_key, "millrace:run:%s:%s", entry->model_id, entry->run_id);
    char step[VALUE_MAX], loss[VALUE_MAX], norm[VALUE_MAX], lr[VALUE_MAX], samples[VALUE_MAX], rate[VALUE_MAX];
    char kept_s[VALUE_MAX];
    snprintf(step, sizeof step, "%" PRIu64, entry->step);
    snprintf(loss, sizeof loss, "%.9g", (double)entry->loss);
    snprintf(norm, sizeof norm, "%.9g", (double)entry->gradient_norm);
    snprintf(lr, sizeof lr, "%.9g", (double)entry->learning_rate);
    snprintf(samples, sizeof samples, "%" PRIu64, entry->samples);
    snprintf(rate, sizeof rate, "%.1f", entry->rate);
    snprintf(kept_s, sizeof kept_s, "%d", PUBLISH_VIEW_RUN_KEPT_S);
    const char *const keys[] = {model_key, run_key};
    for (size_t i = 0; i < MR_COUNT_OF(keys); i++) {
        MR_TRY(COMMAND(commands, count, "HSET", keys[i], "run_id", entry->run_id, "phase", entry->phase, "step", step,
                       "steps_per_second", rate));
        if (entry->has_numbers) {
            MR_TRY(COMMAND(commands, count, "HSET", keys[i], "loss", loss, "gradient_norm", norm, "learning_rate", lr,
                           "samples", samples));
        } else {
            MR_TRY(COMMAND(commands, count, "HDEL", keys[i], "loss", "gradient_norm", "learning_rate", "samples"));
        }
    }
    return COMMAND(commands, count, "EXPIRE", run_key, kept_s);
}

static struct mr_error render_versions(const struct view_entry *entry, struct mr_buffer *commands, size_t *count)
{
    char list_key[MR_ID_SIZE + 32], head_key[MR_ID_SIZE + 32], channel[MR_ID_SIZE + 32], beyond[VALUE_MAX];
    snprintf(list_key, sizeof list_key, "millrace:model:%s:versions", entry->model_id);
    snprintf(head_key, sizeof head_key, "millrace:model:%s:head", entry->model_id);
    snprintf(channel, sizeof channel, "millrace:versions:%s", entry->model_id);
    snprintf(beyond, sizeof beyond, "%d", -PUBLISH_VIEW_VERSIONS_MAX - 1);
    for (uint64_t i = entry->first_version; i < entry->end_version; i++) {
        const struct waiting_version *version = &entry->versions[i % PUBLISH_VIEW_VERSIONS_MAX];
        char counter[VALUE_MAX];
        snprintf(counter, sizeof counter, "%" PRIu64, version->counter);
        MR_TRY(COMMAND(commands, count, "ZADD", list_key, counter, version->json));
    }
    const char *newest = entry->versions[(entry->end_version - 1) % PUBLISH_VIEW_VERSIONS_MAX].json;
    MR_TRY(COMMAND(commands, count, "ZREMRANGEBYRANK", list_key, "0", beyond));
    MR_TRY(COMMAND(commands, count, "SET", head_key, newest));
    return COMMAND(commands, count, "PUBLISH", channel, newest);
}

static struct mr_error render_entry(struct view_entry *entry, struct mr_buffer *commands, size_t *count)
{
    MR_TRY(COMMAND(commands, count, "SADD", "millrace:models", entry->model_id));
    if (entry->progress_pending) {
        MR_TRY(render_progress(entry, commands, count));
    }
    if (entry->first_version < entry->end_version) {
        MR_TRY(render_versions(entry, commands, count));
    }
    entry->on_the_way = true;
    entry->progress_rendered = entry->progress_pending;
    entry->rendered_version = entry->end_version;
    return mr_ok();
}

struct mr_error publish_view_render(struct publish_view *view, int64_t now_ms, struct mr_buffer *ret_commands,
                                    size_t *ret_count)
{
    size_t rendered = 0;
    const size_t first = view->next;
    view->rendered_changes = view->changes;
    for (size_t i = 0; i < view->count && rendered < PUBLISH_VIEW_WRITE_MODELS_MAX; i++) {
        view->next = (first + i) % view->count;
        struct view_entry *entry = view->entries[view->next];
        if (entry_pending(entry)) {
            if (now_ms - entry->rate_since_ms > 2L * RATE_INTERVAL_MS) {
                count_rate(entry, false, now_ms);
            }
            MR_TRY(render_entry(entry, ret_commands, ret_count));
            rendered++;
        }
    }
    return mr_ok();
}

void publish_view_settle(struct publish_view *view, bool written)
{
    for (size_t i = 0; i < view->count; i++) {
        struct view_entry *entry = view->entries[i];
        if (!entry->on_the_way) {
            continue;
        }
        entry->on_the_way = false;
        if (!written) {
            continue;
        }
        /* progress_rendered is false again if it changed since. */
        entry->progress_pending = entry->progress_pending && !entry->progress_rendered;
        drop_versions(entry, entry->rendered_version);
        entry->since = view->rendered_changes + 1;
        view->pending -= entry_pending(entry) ? 0 : 1;
    }
}

uint64_t publish_view_changes(const struct publish_view *view)
{
    return view->changes;
}

bool publish_view_told(const struct publish_view *view, uint64_t changes)
{
    for (size_t i = 0; i < view->count; i++) {
        if (entry_pending(view->entries[i]) && view->entries[i]->since <= changes) {
            return false;
        }
    }
    return true;
}

/* ---- Kept apart from the log --------------------------------------------------------------------------- */

static const struct view_entry *find_entry(const struct publish_view *view, const char *model_id)
{
    struct view_entry wanted;
    MR_ASSERT(strlen(model_id) < sizeof wanted.model_id);
    (void)snprintf(wanted.model_id, sizeof wanted.model_id, "%s", model_id);
    void *const *found = tfind(&wanted, &view->index, by_model);
    return found == NULL ? NULL : *found;
}

static struct mr_error append_message(const Millrace__Fold__V1__PublishModel *wire, struct mr_buffer *state)
{
    MR_TRY(mr_buffer_reserve(state, state->size + millrace__fold__v1__publish_model__get_packed_size(wire)));
    state->size += millrace__fold__v1__publish_model__pack(wire, state->data + state->size);
    return mr_ok();
}

static struct mr_error save_progress(const struct view_entry *entry, struct mr_buffer *state)
{
    Millrace__Fold__V1__PublishModel wire;
    Millrace__Fold__V1__PublishProgress progress;
    Millrace__Fold__V1__PublishNumbers numbers;
    millrace__fold__v1__publish_model__init(&wire);
    millrace__fold__v1__publish_progress__init(&progress);
    millrace__fold__v1__publish_numbers__init(&numbers);
    progress.run_id = mr_wire_text(entry->run_id);
    progress.phase = mr_wire_text(entry->phase);
    progress.step = entry->step;
    numbers.loss = entry->loss;
    numbers.gradient_norm = entry->gradient_norm;
    numbers.learning_rate = entry->learning_rate;
    numbers.samples = entry->samples;
    progress.numbers = entry->has_numbers ? &numbers : NULL;
    wire.progress = &progress;
    return append_message(&wire, state);
}

static struct mr_error save_versions(const struct view_entry *entry, struct mr_buffer *state)
{
    Millrace__Fold__V1__PublishModel wire;
    Millrace__Fold__V1__PublishVersion versions[PUBLISH_VIEW_VERSIONS_MAX];
    Millrace__Fold__V1__PublishVersion *pointers[PUBLISH_VIEW_VERSIONS_MAX];
    millrace__fold__v1__publish_model__init(&wire);
    for (uint64_t i = entry->first_version; i < entry->end_version; i++) {
        const struct waiting_version *from = &entry->versions[i % PUBLISH_VIEW_VERSIONS_MAX];
        Millrace__Fold__V1__PublishVersion *to = &versions[wire.n_versions];
        millrace__fold__v1__publish_version__init(to);
        to->counter = from->counter;
        to->json = from->json;
        pointers[wire.n_versions++] = to;
    }
    wire.versions = pointers;
    return append_message(&wire, state);
}

struct mr_error publish_view_save(const struct publish_view *view, enum publish_view_part part, const char *model_id,
                                  struct mr_buffer *state)
{
    const struct view_entry *entry = find_entry(view, model_id);
    switch (part) {
    case PUBLISH_VIEW_PROGRESS: return entry == NULL || !entry->has_progress ? mr_ok() : save_progress(entry, state);
    case PUBLISH_VIEW_VERSIONS: return entry == NULL ? mr_ok() : save_versions(entry, state);
    }
    mr_unreachable(__func__);
}

static struct mr_error bad_state(const char *model_id, const char *what)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_state", 0, "model \"%s\": %s", model_id, what);
}

static struct mr_error load_progress(struct publish_view *view, const char *model_id,
                                     const Millrace__Fold__V1__PublishProgress *from, int64_t now_ms, bool *ret_forgot)
{
    const Millrace__Fold__V1__PublishNumbers *numbers = from->numbers;
    const struct publish_progress progress = {
        .model_id = model_id,
        .run_id = from->run_id,
        .phase = publish_phase(from->phase),
        .step = from->step,
        .has_numbers = numbers != NULL,
        .loss = numbers == NULL ? 0 : numbers->loss,
        .gradient_norm = numbers == NULL ? 0 : numbers->gradient_norm,
        .learning_rate = numbers == NULL ? 0 : numbers->learning_rate,
        .samples = numbers == NULL ? 0 : numbers->samples,
    };
    if (!mr_id_valid(mr_bytes_of_text(from->run_id)) || progress.phase == NULL) {
        return bad_state(model_id, "a bad run or phase");
    }
    return publish_view_progress(view, &progress, now_ms, false, ret_forgot);
}

struct mr_error publish_view_load(struct publish_view *view, const char *model_id, struct mr_bytes state,
                                  int64_t now_ms, bool *ret_forgot)
{
    *ret_forgot = false;
    Millrace__Fold__V1__PublishModel *wire = millrace__fold__v1__publish_model__unpack(NULL, state.size, state.data);
    if (wire == NULL) {
        return bad_state(model_id, "not a state of publish");
    }
    struct mr_error error = wire->no_view ? bad_state(model_id, "publish ran without a view") : mr_ok();
    if (!mr_failed(error) && wire->progress != NULL) {
        error = load_progress(view, model_id, wire->progress, now_ms, ret_forgot);
    }
    for (size_t i = 0; i < wire->n_versions && !mr_failed(error); i++) {
        bool forgot = false;
        char *json = strdup(wire->versions[i]->json);
        error = json == NULL ? out_of_memory() : add_version(view, model_id, wire->versions[i]->counter, json, &forgot);
        *ret_forgot = *ret_forgot || forgot;
    }
    millrace__fold__v1__publish_model__free_unpacked(wire, NULL);
    return error;
}

struct mr_error publish_view_save_none(struct mr_buffer *state)
{
    Millrace__Fold__V1__PublishModel wire;
    millrace__fold__v1__publish_model__init(&wire);
    wire.no_view = true;
    return append_message(&wire, state);
}
