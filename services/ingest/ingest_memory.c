#include "ingest_memory.h"

#include <stdlib.h>
#include <string.h>

enum entry_kind { ENTRY_MODEL = 1, ENTRY_RUN, ENTRY_PRODUCER, ENTRY_REPLAY };
enum { CHANGE_ENTRIES_MAX = 3, CAPACITY_FIRST = 64 };

struct entry {
    enum entry_kind kind;
    uint64_t hash;
    struct entry *model; /* NULL for a model itself */
    union {
        struct {
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
