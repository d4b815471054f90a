/* The canonical JSON of metadata.json, head.json and audit entries (the rules stand in versions.h). */
#include "millrace/versions.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CANONICAL (JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9))

/* ---- Text ------------------------------------------------------------------------------------------------ */

/* The length of the UTF-8 character at `text`, 0 if it is none (overlong, surrogate, beyond U+10FFFF, cut). */
static size_t character_size(const unsigned char *text)
{
    const unsigned char first = text[0];
    const size_t size =
        first < 0x80 ? 1 : (first >= 0xc2 && first < 0xe0 ? 2 : (first >= 0xe0 && first < 0xf0 ? 3 : 4));
    if (first >= 0x80 && (first < 0xc2 || first > 0xf4)) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    const bool overlong = (first == 0xe0 && text[1] < 0xa0) || (first == 0xf0 && text[1] < 0x90);
    const bool beyond = (first == 0xed && text[1] >= 0xa0) || (first == 0xf4 && text[1] >= 0x90);
    return overlong || beyond ? 0 : size;
}

void mr_text_clean(const char *text, char *ret_text, size_t size)
{
    static const char replacement[] = "\xef\xbf\xbd";
    size_t used = 0;
    for (const char *at = text; *at != '\0';) {
        const size_t own = character_size((const unsigned char *)at);
        const size_t wrote = own == 0 ? sizeof replacement - 1 : own;
        if (used + wrote >= size) {
            break;
        }
        memcpy(ret_text + used, own == 0 ? replacement : at, wrote);
        used += wrote;
        at += own == 0 ? 1 : own;
    }
    ret_text[used] = '\0';
}

/* ---- Writing ----------------------------------------------------------------------------------------------- */

struct writer {
    json_t *object;
    bool out_of_memory, out_of_range;
};

static void set(struct writer *w, const char *key, json_t *value)
{
    if (value == NULL || json_object_set_new(w->object, key, value) != 0) {
        w->out_of_memory = true;
    }
}

static void set_text(struct writer *w, const char *key, const char *text)
{
    set(w, key, json_string(text));
}

static void set_hash(struct writer *w, const char *key, const struct mr_sha256 *hash)
{
    char text[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(hash, text);
    set_text(w, key, text);
}

static void set_count(struct writer *w, const char *key, uint64_t count)
{
    w->out_of_range = w->out_of_range || count > INT64_MAX;
    set(w, key, json_integer((json_int_t)(count & INT64_MAX)));
}

static void set_float(struct writer *w, const char *key, float value)
{
    set(w, key, isfinite(value) ? json_real((double)value) : json_null());
}

static void set_semver(struct writer *w, struct mr_semver version)
{
    char text[MR_SEMVER_SIZE];
    mr_semver_text(version, text);
    w->out_of_range =
        w->out_of_range || version.major > INT64_MAX || version.minor > INT64_MAX || version.patch > INT64_MAX;
    set_text(w, "semantic_version", text);
}

static void set_position(struct writer *w, const struct mr_position *position)
{
    char log_id[2 * MR_POSITION_LOG_ID_SIZE + 1];
    struct writer inner = {.object = json_object()};
    mr_hex(mr_bytes_of(position->log_id, sizeof position->log_id), log_id);
    set_text(&inner, "log_id", log_id);
    set_count(&inner, "offset", position->offset);
    set_count(&inner, "partition", position->partition);
    w->out_of_memory = w->out_of_memory || inner.out_of_memory;
    w->out_of_range = w->out_of_range || inner.out_of_range;
    set(w, "position", inner.object);
}

/* Frees the object. */
static struct mr_error finish(struct writer *w, const char *what, struct mr_buffer *ret_json)
{
    struct mr_error error = mr_ok();
    char *text = w->out_of_memory || w->out_of_range ? NULL : json_dumps(w->object, CANONICAL);
    if (w->out_of_range) {
        error = mr_error_make(MR_ERROR_REJECT, "out_of_range", 0, "%s: a number is over 2^63 - 1", what);
    } else if (text == NULL) {
        error = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "%s: cannot be written as JSON", what);
    } else {
        error = mr_buffer_append(ret_json, text, strlen(text));
    }
    free(text);
    json_decref(w->object);
    return error;
}

struct mr_error mr_commit_id(const struct mr_version *version, struct mr_sha256 *ret_id)
{
    struct mr_buffer json = {0};
    struct writer w = {.object = json_object()};
    set_hash(&w, "content_hash", &version->content_hash);
    set_position(&w, &version->position);
    if (version->has_parent) {
        set_hash(&w, "previous_record_hash", &version->parent_record_hash);
    } else {
        set(&w, "previous_record_hash", json_null());
    }
    set_text(&w, "run_id", version->run_id);
    set_count(&w, "step", version->step);
    const struct mr_error error = finish(&w, "commit id", &json);
    if (!mr_failed(error)) {
        *ret_id = mr_sha256_of(mr_buffer_view(&json));
    }
    mr_buffer_deinit(&json);
    return error;
}

struct mr_head mr_head_of(const struct mr_version *version, const struct mr_sha256 *record_hash)
{
    struct mr_head head = {
        .counter = version->counter,
        .semantic_version = version->semantic_version,
        .content_hash = version->content_hash,
        .record_hash = *record_hash,
        .commit_id = version->commit_id,
        .step = version->step,
        .position = version->position,
    };
    memcpy(head.model_id, version->model_id, sizeof head.model_id);
    memcpy(head.run_id, version->run_id, sizeof head.run_id);
    memcpy(head.version_id, version->version_id, sizeof head.version_id);
    return head;
}

static void set_parent(struct writer *w, const struct mr_version *version)
{
    if (version->has_parent) {
        set_hash(w, "parent_record_hash", &version->parent_record_hash);
        set_text(w, "parent_version_id", version->parent_version_id);
    } else {
        set(w, "parent_record_hash", json_null());
        set(w, "parent_version_id", json_null());
    }
}

static void set_restarted_from(struct writer *w, const struct mr_version *version)
{
    if (!version->has_restarted_from) {
        set(w, "restarted_from", json_null());
        return;
    }
    struct writer inner = {.object = json_object()};
    set_hash(&inner, "content_hash", &version->restarted_content_hash);
    set_text(&inner, "version_id", version->restarted_version_id);
    w->out_of_memory = w->out_of_memory || inner.out_of_memory;
    set(w, "restarted_from", inner.object);
}

struct mr_error mr_version_encode(const struct mr_version *version, struct mr_buffer *ret_json)
{
    struct writer w = {.object = json_object()};
    struct writer metrics = {.object = json_object()};
    set_float(&metrics, "gradient_norm", version->gradient_norm);
    set_float(&metrics, "loss", version->loss);

    set_count(&w, "applied", version->applied);
    set_text(&w, "arithmetic_profile", version->arithmetic_profile);
    set_hash(&w, "commit_id", &version->commit_id);
    set_hash(&w, "content_hash", &version->content_hash);
    set_count(&w, "counter", version->counter);
    set(&w, "event_time_ms", json_integer(version->event_time_ms));
    set_text(&w, "message", version->message);
    set(&w, "metrics", metrics.object);
    set_text(&w, "model_id", version->model_id);
    set_parent(&w, version);
    set_position(&w, &version->position);
    set_restarted_from(&w, version);
    set_text(&w, "run_id", version->run_id);
    set_count(&w, "samples", version->samples);
    set_semver(&w, version->semantic_version);
    set_count(&w, "size", version->size);
    set_count(&w, "step", version->step);
    set_text(&w, "version_id", version->version_id);
    w.out_of_memory = w.out_of_memory || metrics.out_of_memory;
    return finish(&w, "metadata.json", ret_json);
}

struct mr_error mr_head_encode(const struct mr_head *head, struct mr_buffer *ret_json)
{
    struct writer w = {.object = json_object()};
    set_hash(&w, "commit_id", &head->commit_id);
    set_hash(&w, "content_hash", &head->content_hash);
    set_count(&w, "counter", head->counter);
    set_text(&w, "model_id", head->model_id);
    set_position(&w, &head->position);
    set_hash(&w, "record_hash", &head->record_hash);
    set_text(&w, "run_id", head->run_id);
    set_semver(&w, head->semantic_version);
    set_count(&w, "step", head->step);
    set_text(&w, "version_id", head->version_id);
    return finish(&w, "head.json", ret_json);
}

/* The SHA-256 of the canonical JSON of an object. False: out of memory. */
static bool hash_of_object(const json_t *object, struct mr_sha256 *ret_hash)
{
    char *text = json_dumps(object, CANONICAL);
    if (text != NULL) {
        *ret_hash = mr_sha256_of(mr_bytes_of_text(text));
    }
    free(text);
    return text != NULL;
}

struct mr_error mr_audit_encode(const struct mr_audit *audit, struct mr_buffer *ret_json)
{
    struct writer w = {.object = json_object()};
    struct mr_sha256 entry_hash;
    set_text(&w, "build", audit->build);
    set_hash(&w, "commit_id", &audit->commit_id);
    set_hash(&w, "content_hash", &audit->content_hash);
    set_count(&w, "counter", audit->counter);
    set_text(&w, "model_id", audit->model_id);
    set(&w, "observed_ms", json_integer(audit->observed_ms));
    set_hash(&w, "record_hash", &audit->record_hash);
    set_text(&w, "version_id", audit->version_id);
    set_text(&w, "writer", audit->writer);
    if (hash_of_object(w.object, &entry_hash)) {
        set_hash(&w, "entry_hash", &entry_hash);
    } else {
        w.out_of_memory = true;
    }
    return finish(&w, "audit entry", ret_json);
}

/* ---- Reading ------------------------------------------------------------------------------------------------- */

/* The first wrong field wins; what follows reads nothing. */
struct reader {
    const char *what;
    const char *wrong; /* field, static storage; NULL: none yet */
};

static const json_t *field(struct reader *r, const json_t *object, const char *key, bool good_type)
{
    const json_t *value = json_object_get(object, key);
    if (r->wrong == NULL && (value == NULL || !good_type)) {
        r->wrong = key;
    }
    return value;
}

static void get_text(struct reader *r, const json_t *object, const char *key, char *ret_text, size_t size)
{
    const json_t *value = field(r, object, key, json_is_string(json_object_get(object, key)));
    if (r->wrong == NULL) {
        if (json_string_length(value) >= size || strlen(json_string_value(value)) != json_string_length(value)) {
            r->wrong = key;
            return;
        }
        memcpy(ret_text, json_string_value(value), json_string_length(value) + 1);
    }
}

static void get_id(struct reader *r, const json_t *object, const char *key, char ret_text[MR_ID_SIZE])
{
    get_text(r, object, key, ret_text, MR_ID_SIZE);
    if (r->wrong == NULL && !mr_id_valid(mr_bytes_of_text(ret_text))) {
        r->wrong = key;
    }
}

static void get_version_id(struct reader *r, const json_t *object, const char *key, char ret_text[MR_VERSION_ID_SIZE])
{
    uint64_t counter = 0;
    get_text(r, object, key, ret_text, MR_VERSION_ID_SIZE);
    if (r->wrong == NULL && !mr_version_id_parse(ret_text, &counter)) {
        r->wrong = key;
    }
}

static void get_hash(struct reader *r, const json_t *object, const char *key, struct mr_sha256 *ret_hash)
{
    char text[MR_SHA256_TEXT_SIZE];
    get_text(r, object, key, text, sizeof text);
    if (r->wrong == NULL && !mr_sha256_parse(text, ret_hash)) {
        r->wrong = key;
    }
}

static int64_t get_signed(struct reader *r, const json_t *object, const char *key)
{
    const json_t *value = field(r, object, key, json_is_integer(json_object_get(object, key)));
    return r->wrong == NULL ? (int64_t)json_integer_value(value) : 0;
}

static uint64_t get_count(struct reader *r, const json_t *object, const char *key, uint64_t max)
{
    const int64_t value = get_signed(r, object, key);
    if (r->wrong == NULL && (value < 0 || (uint64_t)value > max)) {
        r->wrong = key;
    }
    return r->wrong == NULL ? (uint64_t)value : 0;
}

static float get_float(struct reader *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    (void)field(r, object, key, json_is_number(value) || json_is_null(value));
    return json_is_number(value) ? (float)json_number_value(value) : (float)NAN;
}

static void get_semver(struct reader *r, const json_t *object, struct mr_semver *ret_version)
{
    char text[MR_SEMVER_SIZE];
    get_text(r, object, "semantic_version", text, sizeof text);
    if (r->wrong == NULL && !mr_semver_parse(text, ret_version)) {
        r->wrong = "semantic_version";
    }
}

static void get_position(struct reader *r, const json_t *object, struct mr_position *ret_position)
{
    char log_id[2 * MR_POSITION_LOG_ID_SIZE + 1];
    const json_t *inner = field(r, object, "position", json_is_object(json_object_get(object, "position")));
    get_text(r, inner, "log_id", log_id, sizeof log_id);
    if (r->wrong == NULL && !mr_unhex(log_id, ret_position->log_id, MR_POSITION_LOG_ID_SIZE)) {
        r->wrong = "log_id";
    }
    ret_position->partition = (uint32_t)get_count(r, inner, "partition", UINT32_MAX);
    ret_position->offset = get_count(r, inner, "offset", INT64_MAX);
}

static json_t *load(struct mr_bytes json)
{
    json_error_t where;
    json_t *root = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &where);
    if (root != NULL && !json_is_object(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static struct mr_error reader_error(const struct reader *r, const json_t *root)
{
    if (root == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%s is not a JSON object", r->what);
    }
    if (r->wrong != NULL) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%s: field \"%s\" is missing or wrong", r->what, r->wrong);
    }
    return mr_ok();
}

static void get_parent(struct reader *r, const json_t *root, struct mr_version *version)
{
    version->has_parent = !json_is_null(json_object_get(root, "parent_version_id")) ||
                          !json_is_null(json_object_get(root, "parent_record_hash"));
    if (version->has_parent) {
        get_hash(r, root, "parent_record_hash", &version->parent_record_hash);
        get_version_id(r, root, "parent_version_id", version->parent_version_id);
    }
}

static void get_restarted_from(struct reader *r, const json_t *root, struct mr_version *version)
{
    const json_t *from = json_object_get(root, "restarted_from");
    (void)field(r, root, "restarted_from", json_is_null(from) || json_is_object(from));
    version->has_restarted_from = json_is_object(from);
    if (version->has_restarted_from) {
        get_hash(r, from, "content_hash", &version->restarted_content_hash);
        get_version_id(r, from, "version_id", version->restarted_version_id);
    }
}

struct mr_error mr_version_decode(struct mr_bytes json, struct mr_version *ret_version)
{
    struct reader r = {.what = "metadata.json"};
    struct mr_version version = {0};
    json_t *root = load(json);
    if (root != NULL) {
        version.applied = get_count(&r, root, "applied", INT64_MAX);
        get_text(&r, root, "arithmetic_profile", version.arithmetic_profile, sizeof version.arithmetic_profile);
        get_hash(&r, root, "commit_id", &version.commit_id);
        get_hash(&r, root, "content_hash", &version.content_hash);
        version.counter = get_count(&r, root, "counter", INT64_MAX);
        version.event_time_ms = get_signed(&r, root, "event_time_ms");
        get_text(&r, root, "message", version.message, sizeof version.message);
        const json_t *metrics = field(&r, root, "metrics", json_is_object(json_object_get(root, "metrics")));
        version.gradient_norm = get_float(&r, metrics, "gradient_norm");
        version.loss = get_float(&r, metrics, "loss");
        get_id(&r, root, "model_id", version.model_id);
        get_parent(&r, root, &version);
        get_position(&r, root, &version.position);
        get_restarted_from(&r, root, &version);
        get_id(&r, root, "run_id", version.run_id);
        version.samples = get_count(&r, root, "samples", INT64_MAX);
        get_semver(&r, root, &version.semantic_version);
        version.size = get_count(&r, root, "size", INT64_MAX);
        version.step = get_count(&r, root, "step", INT64_MAX);
        get_version_id(&r, root, "version_id", version.version_id);
    }
    const struct mr_error error = reader_error(&r, root);
    json_decref(root);
    if (!mr_failed(error)) {
        *ret_version = version;
    }
    return error;
}

struct mr_error mr_head_decode(struct mr_bytes json, struct mr_head *ret_head)
{
    struct reader r = {.what = "head.json"};
    struct mr_head head = {0};
    json_t *root = load(json);
    if (root != NULL) {
        get_hash(&r, root, "commit_id", &head.commit_id);
        get_hash(&r, root, "content_hash", &head.content_hash);
        head.counter = get_count(&r, root, "counter", INT64_MAX);
        get_id(&r, root, "model_id", head.model_id);
        get_position(&r, root, &head.position);
        get_hash(&r, root, "record_hash", &head.record_hash);
        get_id(&r, root, "run_id", head.run_id);
        get_semver(&r, root, &head.semantic_version);
        head.step = get_count(&r, root, "step", INT64_MAX);
        get_version_id(&r, root, "version_id", head.version_id);
    }
    const struct mr_error error = reader_error(&r, root);
    json_decref(root);
    if (!mr_failed(error)) {
        *ret_head = head;
    }
    return error;
}

/* Whether an audit entry is, byte for byte, what was written. Without entry_hash it is of the time before there was
 * one, when it had these fields and no other: so no name that changed makes a new entry look like an old one. */
static bool audit_is_whole(json_t *root, struct mr_bytes json)
{
    enum { OLD_FIELDS = 9 };
    const json_t *stated = json_object_get(root, "entry_hash");
    struct mr_sha256 wanted, hash = {{0}};
    char *text = json_dumps(root, CANONICAL);
    const bool canonical = text != NULL && mr_bytes_equal(mr_bytes_of_text(text), json);
    free(text);
    if (stated == NULL) {
        return canonical && json_object_size(root) == OLD_FIELDS;
    }
    const bool parsed = json_is_string(stated) && mr_sha256_parse(json_string_value(stated), &wanted);
    return canonical && parsed && json_object_del(root, "entry_hash") == 0 && hash_of_object(root, &hash) &&
           mr_sha256_equal(&hash, &wanted);
}

struct mr_error mr_audit_decode(struct mr_bytes json, struct mr_audit *ret_audit)
{
    struct reader r = {.what = "audit entry"};
    struct mr_audit audit = {0};
    json_t *root = load(json);
    if (root != NULL) {
        get_text(&r, root, "build", audit.build, sizeof audit.build);
        get_hash(&r, root, "commit_id", &audit.commit_id);
        get_hash(&r, root, "content_hash", &audit.content_hash);
        audit.counter = get_count(&r, root, "counter", INT64_MAX);
        get_id(&r, root, "model_id", audit.model_id);
        audit.observed_ms = get_signed(&r, root, "observed_ms");
        get_hash(&r, root, "record_hash", &audit.record_hash);
        get_version_id(&r, root, "version_id", audit.version_id);
        get_text(&r, root, "writer", audit.writer, sizeof audit.writer);
        if (r.wrong == NULL && !audit_is_whole(root, json)) {
            r.wrong = "entry_hash";
        }
    }
    const struct mr_error error = reader_error(&r, root);
    json_decref(root);
    if (!mr_failed(error)) {
        *ret_audit = audit;
    }
    return error;
}
