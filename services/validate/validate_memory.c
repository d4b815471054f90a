#include "validate_memory.h"

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
