/* Pins, and the decision about a version to restart from. The order of their steps is rule C11's. */
#include "millrace/pins.h"
#include "store_settle.h"
#include "version_internal.h"
#include "version_range.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char run_mark[] = "run:";

enum { PLACE_SIZE = 2 * MR_POSITION_LOG_ID_SIZE + 32 };

/* <log id>:<partition>:<offset>: no id has a ':' in it, so that no person's pin has a run's name. */
static void place_text(const struct mr_position *position, char ret_text[PLACE_SIZE])
{
    char log_id[2 * MR_POSITION_LOG_ID_SIZE + 1];
    mr_hex(mr_bytes_of(position->log_id, sizeof position->log_id), log_id);
    (void)snprintf(ret_text, PLACE_SIZE, "%s:%" PRIu32 ":%" PRIu64, log_id, position->partition, position->offset);
}

static bool place_parse(const char *text, struct mr_position *ret_position)
{
    char log_id[2 * MR_POSITION_LOG_ID_SIZE + 1] = "", again[PLACE_SIZE];
    struct mr_position position = {.partition = 0};
    const char *partition = strchr(text, ':');
    const char *offset = partition == NULL ? NULL : strchr(partition + 1, ':');
    if (offset == NULL || (size_t)(partition - text) != sizeof log_id - 1) {
        return false;
    }
    memcpy(log_id, text, sizeof log_id - 1);
    if (!mr_unhex(log_id, position.log_id, sizeof position.log_id)) {
        return false;
    }
    position.partition = (uint32_t)strtoul(partition + 1, NULL, 10);
    position.offset = strtoull(offset + 1, NULL, 10);
    place_text(&position, again);
    if (strcmp(again, text) != 0) {
        return false;
    }
    *ret_position = position;
    return true;
}

static void pin_key(const char *model_id, const char *version_id, const char *name, char ret_key[MR_VERSION_KEY_SIZE])
{
    (void)snprintf(ret_key, MR_VERSION_KEY_SIZE, "%s/pins/%s/%s", model_id, version_id, name);
}

/* The pin is there; then collected.json is looked for. */
static struct mr_error pin(struct mr_store *store, const char *model_id, const char *version_id, const char *name,
                           bool *ret_collected)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    pin_key(model_id, version_id, name, key);
    struct mr_error error = mr_buffer_append_text(&body, "{\"model_id\":\"%s\",\"name\":\"%s\",\"version_id\":\"%s\"}",
                                                  model_id, name, version_id);
    if (!mr_failed(error)) {
        error = mr_store_settle_put(store, key, mr_buffer_view(&body));
    }
    mr_buffer_deinit(&body);
    MR_TRY(error);
    mr_key_version(model_id, version_id, "collected.json", key);
    return mr_store_settle_look(store, key, ret_collected);
}

/* ---- By people ---------------------------------------------------------------------------------------------- */

static struct mr_error gone(const char *version_id)
{
    return mr_error_make(MR_ERROR_REJECT, "version_gone", 0,
                         "the payload of version %s was collected, or is about to be", version_id);
}

struct mr_error mr_pin_put(struct mr_store *store, const char *model_id, struct mr_version_choice choice,
                           const char *name, char ret_version_id[MR_VERSION_ID_SIZE])
{
    struct mr_version_entry entry;
    char key[MR_VERSION_KEY_SIZE];
    bool collected = false;
    if (!mr_id_valid(mr_bytes_of_text(name))) {
        return mr_error_make(MR_ERROR_REJECT, "bad_id", 0, "a pin's name is 1 to 63 of a-z 0-9 . _ -");
    }
    MR_TRY(mr_version_find(store, model_id, choice, &entry));
    mr_key_version(model_id, entry.version.version_id, "collected.json", key);
    MR_TRY(mr_store_settle_look(store, key, &collected));
    if (collected) {
        return gone(entry.version.version_id);
    }
    MR_TRY(pin(store, model_id, entry.version.version_id, name, &collected));
    if (collected) { /* the pin stays: somebody who put the same may have been told that it holds */
        return gone(entry.version.version_id);
    }
    memcpy(ret_version_id, entry.version.version_id, MR_VERSION_ID_SIZE);
    return mr_ok();
}

/* A version id is taken as it is: a pin may stand on what is not in the chain. */
static struct mr_error id_of(struct mr_store *store, const char *model_id, struct mr_version_choice choice,
                             char ret_version_id[MR_VERSION_ID_SIZE])
{
    struct mr_version_entry entry;
    if (choice.kind == MR_VERSION_ID) {
        (void)snprintf(ret_version_id, MR_VERSION_ID_SIZE, "%s", choice.version_id);
        return mr_ok();
    }
    MR_TRY(mr_version_find(store, model_id, choice, &entry));
    memcpy(ret_version_id, entry.version.version_id, MR_VERSION_ID_SIZE);
    return mr_ok();
}

struct mr_error mr_pin_remove(struct mr_store *store, const char *model_id, struct mr_version_choice choice,
                              const char *name, char ret_version_id[MR_VERSION_ID_SIZE])
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_position start;
    bool there = false;
    const bool of_run =
        strncmp(name, run_mark, sizeof run_mark - 1) == 0 && place_parse(name + sizeof run_mark - 1, &start);
    if (!of_run && !mr_id_valid(mr_bytes_of_text(name))) {
        return mr_error_make(MR_ERROR_REJECT, "bad_id", 0, "a pin's name is 1 to 63 of a-z 0-9 . _ -");
    }
    MR_TRY(id_of(store, model_id, choice, ret_version_id));
    pin_key(model_id, ret_version_id, name, key);
    MR_TRY(mr_store_settle_look(store, key, &there));
    return there ? mr_store_settle_remove(store, key)
                 : mr_error_make(MR_ERROR_REJECT, "not_found", 0, "version %s has no pin \"%s\"", ret_version_id, name);
}

/* ---- Lists -------------------------------------------------------------------------------------------------- */

void mr_pin_of(const struct mr_version_object *object, struct mr_pin *ret_pin)
{
    *ret_pin = (struct mr_pin){.counter = object->counter, .name = object->file};
    memcpy(ret_pin->version_id, object->version_id, sizeof ret_pin->version_id);
    ret_pin->of_run = strncmp(object->file, run_mark, sizeof run_mark - 1) == 0 &&
                      place_parse(object->file + sizeof run_mark - 1, &ret_pin->start);
}

struct listing {
    struct mr_error (*each)(void *self, const struct mr_pin *pin);
    void *self;
};

static struct mr_error tell(void *self, const struct mr_version_object *object)
{
    const struct listing *listing = self;
    struct mr_pin pin;
    mr_pin_of(object, &pin);
    return listing->each(listing->self, &pin);
}

struct mr_error mr_pins_each(struct mr_store *store, const char *model_id,
                             struct mr_error (*each)(void *self, const struct mr_pin *pin), void *self)
{
    char prefix[MR_VERSION_KEY_SIZE];
    struct listing listing = {.each = each, .self = self};
    mr_key_pins(model_id, prefix);
    return mr_version_each_object(store, prefix, 0, MR_VERSION_RANGE_MAX, tell, &listing);
}

/* ---- By runs ------------------------------------------------------------------------------------------------ */

/* One body for each answer: what is stored is compared. */
static struct mr_error decision_body(const char *version_id, bool held, struct mr_buffer *ret_body)
{
    return mr_buffer_append_text(ret_body, "{\"held\":%s,\"version_id\":\"%s\"}", held ? "true" : "false", version_id);
}

static void decision_key(const char *model_id, const struct mr_position *start, char ret_key[MR_VERSION_KEY_SIZE])
{
    char place[PLACE_SIZE];
    place_text(start, place);
    (void)snprintf(ret_key, MR_VERSION_KEY_SIZE, "%s/restarts/%s.json", model_id, place);
}

static struct mr_error decision_parse(const char *key, const char *version_id, struct mr_bytes body, bool *ret_held)
{
    struct mr_buffer held = {0}, gone = {0};
    struct mr_error error = decision_body(version_id, true, &held);
    if (!mr_failed(error)) {
        error = decision_body(version_id, false, &gone);
    }
    *ret_held = mr_bytes_equal(body, mr_buffer_view(&held));
    if (!mr_failed(error) && !*ret_held && !mr_bytes_equal(body, mr_buffer_view(&gone))) {
        error = mr_error_make(MR_ERROR_REJECT, "corrupt", 0, "%.150s says nothing about %s", key, version_id);
    }
    mr_buffer_deinit(&held);
    mr_buffer_deinit(&gone);
    return error;
}

struct mr_error mr_restart_read(struct mr_store *store, const char *model_id, const char *version_id,
                                const struct mr_position *start, bool *ret_decided, bool *ret_held)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    decision_key(model_id, start, key);
    const struct mr_store_result got = mr_store_get(store, key, &body);
    *ret_decided = got.outcome == MR_STORE_DONE;
    struct mr_error error = got.outcome == MR_STORE_MISSING ? mr_ok() : mr_version_error(&got);
    if (*ret_decided) {
        error = decision_parse(key, version_id, mr_buffer_view(&body), ret_held);
    }
    mr_buffer_deinit(&body);
    return error;
}

struct mr_error mr_restart_decide(struct mr_store *store, const char *model_id, const char *version_id,
                                  const struct mr_position *start, bool *ret_held)
{
    char name[sizeof run_mark + PLACE_SIZE], place[PLACE_SIZE], key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body = {0};
    bool decided = false, collected = false;
    MR_TRY(mr_restart_read(store, model_id, version_id, start, &decided, ret_held));
    if (decided) {
        return mr_ok();
    }
    place_text(start, place);
    (void)snprintf(name, sizeof name, "%s%s", run_mark, place);
    MR_TRY(pin(store, model_id, version_id, name, &collected));
    decision_key(model_id, start, key);
    struct mr_error error = decision_body(version_id, !collected, &body);
    if (!mr_failed(error)) {
        error = mr_store_settle_put(store, key, mr_buffer_view(&body));
    }
    mr_buffer_deinit(&body);
    MR_TRY(error);
    /* Another train may have decided first, and otherwise. */
    return mr_restart_read(store, model_id, version_id, start, &decided, ret_held);
}
