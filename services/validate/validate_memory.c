#include "validate_memory.h"

#include "millrace/fold/v1/fold.pb-c.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct model {
    char id[MR_ID_SIZE];
    char open_run[MR_ID_SIZE]; /* "": none */
    char last_run[MR_ID_SIZE]; /* the one that was closed last; ingest knows all of them, and lets none through */
    struct mr_run_spec *spec;  /* of the open run */
};

struct validate_memory {
    void *models; /* a tree of tsearch(3) */
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct model *)a)->id, ((const struct model *)b)->id);
}

struct validate_memory *validate_memory_new(void)
{
    return calloc(1, sizeof(struct validate_memory));
}

void validate_memory_free(struct validate_memory *memory)
{
    if (memory == NULL) {
        return;
    }
    while (memory->models != NULL) {
        struct model *model = *(struct model **)memory->models;
        (void)tdelete(model, &memory->models, by_id);
        free(model->spec);
        free(model);
    }
    free(memory);
}

static struct model *find(const struct validate_memory *memory, const char *id)
{
    struct model key;
    memcpy(key.id, id, strlen(id) + 1);
    struct model *const *node = tfind(&key, &memory->models, by_id);
    return node == NULL ? NULL : *node;
}

enum validate_run validate_memory_run(const struct validate_memory *memory, const struct validate_record *record,
                                      const struct mr_run_spec **ret_spec)
{
    const struct model *model = find(memory, record->model_id);
    if (model != NULL && strcmp(model->open_run, record->run_id) == 0) {
        *ret_spec = model->spec;
        return VALIDATE_RUN_OPEN;
    }
    return model != NULL && strcmp(model->last_run, record->run_id) == 0 ? VALIDATE_RUN_CLOSED : VALIDATE_RUN_UNKNOWN;
}

static struct model *find_or_add(struct validate_memory *memory, const char *id)
{
    struct model *model = find(memory, id);
    if (model == NULL) {
        model = calloc(1, sizeof *model);
        if (model != NULL) {
            memcpy(model->id, id, strlen(id) + 1);
        }
        if (model != NULL && tsearch(model, &memory->models, by_id) == NULL) {
            free(model);
            model = NULL;
        }
    }
    return model;
}

static struct mr_error open_run(struct validate_memory *memory, const struct validate_record *record,
                                const struct mr_run_spec *spec)
{
    struct mr_run_spec *copy = malloc(sizeof *copy);
    struct model *model = copy == NULL ? NULL : find_or_add(memory, record->model_id);
    if (model == NULL) {
        free(copy);
        return mr_error_make(MR_ERROR_TRANSIENT, "out_of_memory", 0, "the spec of run %s", record->run_id);
    }
    *copy = *spec;
    free(model->spec);
    model->spec = copy;
    memcpy(model->last_run, model->open_run, sizeof model->last_run);
    memcpy(model->open_run, record->run_id, strlen(record->run_id) + 1);
    return mr_ok();
}

struct mr_error validate_memory_accept(struct validate_memory *memory, const struct validate_record *record,
                                       const struct mr_run_spec *spec)
{
    switch (record->body) {
    case VALIDATE_BODY_RUN_STARTED: return open_run(memory, record, spec);
    case VALIDATE_BODY_BATCH: return mr_ok();
    case VALIDATE_BODY_RUN_STOPPED: {
        struct model *model = find(memory, record->model_id);
        if (model != NULL && strcmp(model->open_run, record->run_id) == 0) {
            memcpy(model->last_run, model->open_run, sizeof model->last_run);
            model->open_run[0] = '\0';
            free(model->spec);
            model->spec = NULL;
        }
        return mr_ok();
    }
    }
    mr_unreachable(__func__);
}

/* ---- Kept apart from the log ------------------------------------------------------------------------------------- */

struct mr_error validate_memory_save(const struct validate_memory *memory, const char *model_id,
                                     struct mr_buffer *state)
{
    struct model *model = find(memory, model_id);
    if (model == NULL) {
        return mr_ok();
    }
    struct mr_buffer packed = {0};
    Millrace__Fold__V1__ValidateModel wire;
    millrace__fold__v1__validate_model__init(&wire);
    wire.open_run = model->open_run;
    wire.last_run = model->last_run;
    struct mr_error error = model->spec == NULL ? mr_ok() : mr_run_spec_encode(model->spec, &packed);
    if (!mr_failed(error) && model->spec != NULL) {
        wire.spec = millrace__run__v1__run_spec__unpack(NULL, packed.size, packed.data);
        error = wire.spec != NULL ? mr_ok() : mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the spec of a run");
    }
    if (!mr_failed(error)) {
        error = mr_buffer_reserve(state, state->size + millrace__fold__v1__validate_model__get_packed_size(&wire));
    }
    if (!mr_failed(error)) {
        state->size += millrace__fold__v1__validate_model__pack(&wire, state->data + state->size);
    }
    if (wire.spec != NULL) {
        millrace__run__v1__run_spec__free_unpacked(wire.spec, NULL);
    }
    mr_buffer_deinit(&packed);
    return error;
}

static struct mr_error bad_state(const char *model_id, const char *what)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_state", 0, "model \"%s\": %.100s", model_id, what);
}

static struct mr_error take(struct validate_memory *memory, const char *model_id,
                            const Millrace__Fold__V1__ValidateModel *wire)
{
    struct mr_field_fault fault;
    const bool open = wire->open_run[0] != '\0';
    struct mr_run_spec *spec = open ? malloc(sizeof *spec) : NULL;
    if (strlen(wire->open_run) >= MR_ID_SIZE || strlen(wire->last_run) >= MR_ID_SIZE || open != (wire->spec != NULL)) {
        free(spec);
        return bad_state(model_id, "a bad run");
    }
    if (spec != NULL) {
        const struct mr_error error = mr_run_spec_decode(wire->spec, spec, &fault);
        if (mr_failed(error)) {
            free(spec);
            return bad_state(model_id, error.detail);
        }
    }
    struct model *model = open && spec == NULL ? NULL : find_or_add(memory, model_id);
    if (model == NULL) {
        free(spec);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the state of model \"%s\"", model_id);
    }
    free(model->spec);
    model->spec = spec;
    memcpy(model->open_run, wire->open_run, strlen(wire->open_run) + 1);
    memcpy(model->last_run, wire->last_run, strlen(wire->last_run) + 1);
    return mr_ok();
}

struct mr_error validate_memory_load(struct validate_memory *memory, const char *model_id, struct mr_bytes state)
{
    if (state.size == 0) {
        return mr_ok();
    }
    Millrace__Fold__V1__ValidateModel *wire = millrace__fold__v1__validate_model__unpack(NULL, state.size, state.data);
    if (wire == NULL) {
        return bad_state(model_id, "not a state of validate");
    }
    const struct mr_error error = take(memory, model_id, wire);
    millrace__fold__v1__validate_model__free_unpacked(wire, NULL);
    return error;
}
