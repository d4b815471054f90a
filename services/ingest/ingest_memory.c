#include "ingest_memory.h"

#include "millrace/fold/v1/fold.pb-c.h"
#include "millrace/wire.h"

#include <stdlib.h>
#include <string.h>

enum entry_kind { ENTRY_MODEL = 1, ENTRY_RUN, ENTRY_PRODUCER, ENTRY_REPLAY };
enum { CHANGE_ENTRIES_MAX = 3, CAPACITY_FIRST = 64 };

struct entry {
    enum entry_kind kind;
    uint64_t hash;
    struct entry *model; /* NULL for a model itself */
    struct entry *next;  /* of the same model */
    union {
        struct {
            struct entry *first;
            char open_run[MR_ID_SIZE]; /* "": none */
            enum ingest_job job;       /* of the open run */
            uint32_t runs, producers, replays;
        } model;
        struct {
            uint32_t epoch;
            uint64_t sequence;
        } producer;
    } of;
    char name[INGEST_REPLAY_ID_SIZE];
};

/* Open addressing; nothing is ever removed, because forgetting would accept a second time. */
struct ingest_memory {
    uint64_t seed;
    struct entry **slots;
    size_t capacity; /* a power of two */
    size_t count;
    uint32_t models;
};

struct ingest_memory *ingest_memory_new(uint64_t seed)
{
    struct ingest_memory *memory = calloc(1, sizeof *memory);
    if (memory != NULL) {
        memory->seed = seed;
    }
    return memory;
}

void ingest_memory_free(struct ingest_memory *memory)
{
    if (memory == NULL) {
        return;
    }
    for (size_t i = 0; i < memory->capacity; i++) {
        free(memory->slots[i]);
    }
    free(memory->slots);
    free(memory);
}

static uint64_t hash_of(const struct ingest_memory *memory, enum entry_kind kind, const struct entry *model,
                        const char *name)
{
    uint64_t hash = mr_mix64(memory->seed ^ (uint64_t)kind) ^ (model == NULL ? 0 : model->hash);
    for (const char *c = name; *c != '\0'; c++) {
        hash = mr_mix64(hash ^ (uint64_t)(unsigned char)*c);
    }
    return hash;
}

/* The slot that holds the name, or the empty one where it belongs. */
static size_t slot_of(const struct ingest_memory *memory, uint64_t hash, enum entry_kind kind,
                      const struct entry *model, const char *name)
{
    size_t at = (size_t)hash & (memory->capacity - 1);
    for (;; at = (at + 1) & (memory->capacity - 1)) {
        const struct entry *entry = memory->slots[at];
        if (entry == NULL ||
            (entry->hash == hash && entry->kind == kind && entry->model == model && strcmp(entry->name, name) == 0)) {
            return at;
        }
    }
}

static struct entry *find(const struct ingest_memory *memory, enum entry_kind kind, const struct entry *model,
                          const char *name)
{
    if (memory->capacity == 0 || (kind != ENTRY_MODEL && model == NULL)) {
        return NULL;
    }
    return memory->slots[slot_of(memory, hash_of(memory, kind, model, name), kind, model, name)];
}

/* Room for some more entries at a load of at most a half. False: out of memory, nothing changed. */
static bool reserve(struct ingest_memory *memory, size_t more)
{
    size_t capacity = memory->capacity == 0 ? CAPACITY_FIRST : memory->capacity;
    while (capacity < 2 * (memory->count + more)) {
        capacity *= 2;
    }
    if (capacity == memory->capacity) {
        return true;
    }
    struct entry **slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < memory->capacity; i++) {
        if (memory->slots[i] != NULL) {
            size_t at = (size_t)memory->slots[i]->hash & (capacity - 1);
            while (slots[at] != NULL) {
                at = (at + 1) & (capacity - 1);
            }
            slots[at] = memory->slots[i];
        }
    }
    free(memory->slots);
    memory->slots = slots;
    memory->capacity = capacity;
    return true;
}

/* Entries that were allocated before a change began, so that it cannot fail halfway. */
struct spares {
    struct entry *entry[CHANGE_ENTRIES_MAX];
    size_t count;
};

static struct entry *find_or_add(struct ingest_memory *memory, struct spares *spares, enum entry_kind kind,
                                 struct entry *model, const char *name)
{
    const uint64_t hash = hash_of(memory, kind, model, name);
    const size_t at = slot_of(memory, hash, kind, model, name);
    if (memory->slots[at] != NULL) {
        return memory->slots[at];
    }
    MR_ASSERT(spares->count > 0 && strlen(name) < INGEST_REPLAY_ID_SIZE);
    struct entry *entry = spares->entry[--spares->count];
    *entry = (struct entry){.kind = kind, .hash = hash, .model = model};
    memcpy(entry->name, name, strlen(name) + 1);
    memory->slots[at] = entry;
    memory->count++;
    if (model != NULL) {
        entry->next = model->of.model.first;
        model->of.model.first = entry;
    }
    switch (kind) {
    case ENTRY_MODEL: memory->models++; return entry;
    case ENTRY_RUN: model->of.model.runs++; return entry;
    case ENTRY_PRODUCER: model->of.model.producers++; return entry;
    case ENTRY_REPLAY: model->of.model.replays++; return entry;
    }
    mr_unreachable(__func__);
}

static void apply(struct ingest_memory *memory, struct spares *spares, const struct ingest_record *record)
{
    const struct ingest_change change = ingest_change_of(&record->facts);
    struct entry *model = find_or_add(memory, spares, ENTRY_MODEL, NULL, record->model_id);
    if (change.opens_run) {
        (void)find_or_add(memory, spares, ENTRY_RUN, model, record->run_id);
        memcpy(model->of.model.open_run, record->run_id, sizeof record->run_id);
        model->of.model.job = record->facts.of.run_started.job;
    }
    if (change.closes_run) {
        model->of.model.open_run[0] = '\0';
    }
    if (change.advances_producer) {
        struct entry *producer = find_or_add(memory, spares, ENTRY_PRODUCER, model, record->producer_id);
        producer->of.producer.epoch = record->facts.of.batch.epoch;
        producer->of.producer.sequence = record->facts.of.batch.sequence;
    }
    if (change.remembers_replay) {
        (void)find_or_add(memory, spares, ENTRY_REPLAY, model, record->replay_of);
    }
}

struct mr_error ingest_memory_accept(struct ingest_memory *memory, const struct ingest_record *record)
{
    struct spares spares = {.count = 0};
    bool room = reserve(memory, CHANGE_ENTRIES_MAX);
    while (room && spares.count < CHANGE_ENTRIES_MAX) {
        spares.entry[spares.count] = malloc(sizeof *spares.entry[0]);
        room = spares.entry[spares.count] != NULL;
        spares.count += room ? 1 : 0;
    }
    if (room) {
        apply(memory, &spares, record);
    }
    while (spares.count > 0) {
        free(spares.entry[--spares.count]);
    }
    return room ? mr_ok()
                : mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the state of model \"%s\"", record->model_id);
}

static void view_model(const struct ingest_memory *memory, const struct entry *model,
                       const struct ingest_record *record, struct ingest_view *view)
{
    const char *open_run = model->of.model.open_run;
    const bool named_is_open = open_run[0] != '\0' && strcmp(open_run, record->run_id) == 0;
    const bool known = find(memory, ENTRY_RUN, model, record->run_id) != NULL;
    view->run = named_is_open ? INGEST_RUN_OPEN : known ? INGEST_RUN_CLOSED : INGEST_RUN_UNKNOWN;
    view->another_open = open_run[0] != '\0' && !named_is_open;
    view->job = model->of.model.job;
    view->models_full = false;
    view->runs_full = model->of.model.runs >= INGEST_RUNS_MAX;
    view->replays_full = model->of.model.replays >= INGEST_REPLAYS_MAX;
    view->replayed = find(memory, ENTRY_REPLAY, model, record->replay_of) != NULL;
    const struct entry *producer = find(memory, ENTRY_PRODUCER, model, record->producer_id);
    if (producer != NULL) {
        view->producer = INGEST_PRODUCER_KNOWN;
        view->epoch = producer->of.producer.epoch;
        view->sequence = producer->of.producer.sequence;
    } else if (model->of.model.producers >= INGEST_PRODUCERS_MAX) {
        view->producer = INGEST_PRODUCER_NO_ROOM;
    }
}

struct ingest_view ingest_memory_view(const struct ingest_memory *memory, const struct ingest_record *record)
{
    struct ingest_view view = {
        .run = INGEST_RUN_UNKNOWN,
        .producer = INGEST_PRODUCER_NEW,
        .models_full = memory->models >= INGEST_MODELS_MAX,
    };
    const struct entry *model = find(memory, ENTRY_MODEL, NULL, record->model_id);
    if (model != NULL) {
        view_model(memory, model, record, &view);
    }
    return view;
}

/* ---- Kept apart from the log ------------------------------------------------------------------------------------- */

static Millrace__Fold__V1__Job job_to_wire(enum ingest_job job)
{
    switch (job) {
    case INGEST_JOB_PRICING: return MILLRACE__FOLD__V1__JOB__JOB_PRICING;
    case INGEST_JOB_LABELLED: return MILLRACE__FOLD__V1__JOB__JOB_LABELLED;
    }
    mr_unreachable(__func__);
}

static void fill(const struct entry *model, Millrace__Fold__V1__IngestModel *wire,
                 Millrace__Fold__V1__IngestProducer *producers)
{
    for (struct entry *entry = model->of.model.first; entry != NULL; entry = entry->next) {
        if (entry->kind == ENTRY_RUN) {
            wire->runs[wire->n_runs++] = entry->name;
        } else if (entry->kind == ENTRY_REPLAY) {
            wire->replays[wire->n_replays++] = entry->name;
        } else {
            Millrace__Fold__V1__IngestProducer *producer = &producers[wire->n_producers];
            millrace__fold__v1__ingest_producer__init(producer);
            producer->producer_id = entry->name;
            producer->epoch = entry->of.producer.epoch;
            producer->sequence = entry->of.producer.sequence;
            wire->producers[wire->n_producers++] = producer;
        }
    }
}

struct mr_error ingest_memory_save(const struct ingest_memory *memory, const char *model_id, struct mr_buffer *state)
{
    struct entry *model = find(memory, ENTRY_MODEL, NULL, model_id);
    if (model == NULL) {
        return mr_ok();
    }
    const bool open = model->of.model.open_run[0] != '\0';
    const size_t producer_count = model->of.model.producers;
    Millrace__Fold__V1__IngestModel wire;
    millrace__fold__v1__ingest_model__init(&wire);
    wire.open_run = model->of.model.open_run;
    wire.job = open ? job_to_wire(model->of.model.job) : MILLRACE__FOLD__V1__JOB__JOB_UNSPECIFIED;
    wire.runs = calloc((size_t)model->of.model.runs + 1, sizeof *wire.runs);
    wire.replays = calloc((size_t)model->of.model.replays + 1, sizeof *wire.replays);
    wire.producers = calloc(producer_count + 1, sizeof(Millrace__Fold__V1__IngestProducer *));
    Millrace__Fold__V1__IngestProducer *producers = calloc(producer_count + 1, sizeof *producers);
    struct mr_error error = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the state of model \"%s\"", model_id);
    if (wire.runs != NULL && wire.replays != NULL && wire.producers != NULL && producers != NULL) {
        fill(model, &wire, producers);
        error = mr_buffer_reserve(state, state->size + millrace__fold__v1__ingest_model__get_packed_size(&wire));
    }
    if (!mr_failed(error)) {
        state->size += millrace__fold__v1__ingest_model__pack(&wire, state->data + state->size);
    }
    free(wire.runs);
    free(wire.replays);
    free(wire.producers);
    free(producers);
    return error;
}

static struct mr_error bad_state(const char *model_id, const char *what)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_state", 0, "model \"%s\": %s", model_id, what);
}

static bool fits(const char *name, size_t size)
{
    return name[0] != '\0' && strlen(name) < size;
}

static const char *fault_of(const Millrace__Fold__V1__IngestModel *wire)
{
    const bool open = wire->open_run[0] != '\0';
    if (open && (!fits(wire->open_run, MR_ID_SIZE) || (wire->job != MILLRACE__FOLD__V1__JOB__JOB_PRICING &&
                                                       wire->job != MILLRACE__FOLD__V1__JOB__JOB_LABELLED))) {
        return "a bad open run";
    }
    if (wire->n_runs > INGEST_RUNS_MAX || wire->n_producers > INGEST_PRODUCERS_MAX ||
        wire->n_replays > INGEST_REPLAYS_MAX) {
        return "too many names";
    }
    for (size_t i = 0; i < wire->n_runs; i++) {
        if (!fits(wire->runs[i], MR_ID_SIZE)) {
            return "a bad run";
        }
    }
    for (size_t i = 0; i < wire->n_producers; i++) {
        if (!fits(wire->producers[i]->producer_id, MR_ID_SIZE)) {
            return "a bad producer";
        }
    }
    for (size_t i = 0; i < wire->n_replays; i++) {
        if (!fits(wire->replays[i], INGEST_REPLAY_ID_SIZE)) {
            return "a bad replay";
        }
    }
    return NULL;
}

/* Room has been made for all of it. NULL: out of memory. */
static struct entry *put(struct ingest_memory *memory, enum entry_kind kind, struct entry *model, const char *name)
{
    struct spares spares = {.count = 1};
    spares.entry[0] = malloc(sizeof *spares.entry[0]);
    struct entry *entry = spares.entry[0] == NULL ? NULL : find_or_add(memory, &spares, kind, model, name);
    if (spares.count > 0) {
        free(spares.entry[0]); /* it was there already */
    }
    return entry;
}

static bool put_all(struct ingest_memory *memory, const char *model_id, const Millrace__Fold__V1__IngestModel *wire)
{
    struct entry *model = put(memory, ENTRY_MODEL, NULL, model_id);
    bool room = model != NULL;
    for (size_t i = 0; i < wire->n_runs && room; i++) {
        room = put(memory, ENTRY_RUN, model, wire->runs[i]) != NULL;
    }
    for (size_t i = 0; i < wire->n_replays && room; i++) {
        room = put(memory, ENTRY_REPLAY, model, wire->replays[i]) != NULL;
    }
    for (size_t i = 0; i < wire->n_producers && room; i++) {
        struct entry *producer = put(memory, ENTRY_PRODUCER, model, wire->producers[i]->producer_id);
        room = producer != NULL;
        if (room) {
            producer->of.producer.epoch = wire->producers[i]->epoch;
            producer->of.producer.sequence = wire->producers[i]->sequence;
        }
    }
    if (room) {
        memcpy(model->of.model.open_run, wire->open_run, strlen(wire->open_run) + 1);
        model->of.model.job =
            wire->job == MILLRACE__FOLD__V1__JOB__JOB_LABELLED ? INGEST_JOB_LABELLED : INGEST_JOB_PRICING;
    }
    return room;
}

struct mr_error ingest_memory_load(struct ingest_memory *memory, const char *model_id, struct mr_bytes state)
{
    if (state.size == 0) {
        return mr_ok();
    }
    Millrace__Fold__V1__IngestModel *wire = millrace__fold__v1__ingest_model__unpack(NULL, state.size, state.data);
    if (wire == NULL) {
        return bad_state(model_id, "not a state of ingest");
    }
    const char *fault = fault_of(wire);
    struct mr_error error = fault == NULL ? mr_ok() : bad_state(model_id, fault);
    if (!mr_failed(error) && (!reserve(memory, 1 + wire->n_runs + wire->n_producers + wire->n_replays) ||
                              !put_all(memory, model_id, wire))) {
        error = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the state of model \"%s\"", model_id);
    }
    millrace__fold__v1__ingest_model__free_unpacked(wire, NULL);
    return error;
}
