/*
 * The second half of the pipeline in one process: stage_gpu, train and persist, with their real operations, over one
 * in-memory log, one store in memory and one private arena. The test writes the validated log. Folds are cached after
 * every few records.
 */
#ifndef TRAIN_WORLD_H
#define TRAIN_WORLD_H

#include "memory_log.h"
#include "memory_store.h"
#include "millrace/arena.h"
#include "millrace/service.h"
#include "millrace/versions.h"

enum { WORLD_PARTITIONS = 2, WORLD_MODELS_MAX = 8 };

enum world_part { WORLD_STAGE = 0, WORLD_TRAIN, WORLD_PERSIST, WORLD_PARTS };

struct world_process {
    struct mr_service service;
    struct mr_stage_spec spec;
    bool up;
    int exit_code;
};

struct world {
    struct memory_broker *broker;
    struct mr_store *store;
    struct mr_arena_owner *owner;
    struct mr_arena_consumer *consumer;
    struct world_process process[WORLD_PARTS];
    uint64_t threads, run_ahead, models_max;
    int64_t now_ms;
    struct {
        char id[MR_ID_SIZE];
        bool some;
        uint64_t last;
    } model[WORLD_MODELS_MAX]; /* of the validated log */
    size_t models;
};

struct world *world_new(uint64_t seed);
void world_free(struct world *world);
void world_start(struct world *world, enum world_part part);
/* The process dies: what it had produced and was not written may be lost. */
void world_crash(struct world *world, enum world_part part);
/* One turn of each process that is up; a process that ended by itself keeps its exit code. */
void world_turn(struct world *world);
/* Turns, with every process up and no faults, until nothing has been written for a while. */
void world_settle(struct world *world);
/* A record of the model's log, as validate writes it; frees the submitted bytes. Returns its origin. */
uint64_t world_validated(struct world *world, const char *model, struct mr_buffer submitted);

uint32_t world_partition(const char *model);
/* Fails the test when there is none. */
struct mr_head world_head(struct world *world, const char *model);
/* One line for each step of the model, equal origins once: "<origin> <SHA-256 of the value>". Fails the test when equal
 * origins have different values. The caller frees it. */
char *world_steps(struct world *world, const char *model);
/* millrace_decisions_total of train. */
double world_count(struct world *world, const char *decision);

#endif
