/* A service's own stage, with its real operations, over the in-memory log. Its jobs run when they are collected. */
#ifndef SERVICE_RIG_H
#define SERVICE_RIG_H

#include "memory_log.h"
#include "millrace/service.h"

enum { SERVICE_RIG_PARTITIONS = 2 };

struct service_rig {
    struct memory_broker *broker;
    struct mr_service service;
    struct mr_stage_spec spec;
    struct mr_error (*open)(void *config, struct mr_service *service, struct mr_stage_spec *ret_spec);
    void (*close)(void *self);
    void *config;
    int64_t now_ms;
    uint32_t fold_every; /* from the next start on; 0 at first: nothing is cached */
    int exit_code;
    bool over;
};

/* `store` may be NULL, and stays the caller's. */
struct service_rig *service_rig_new(struct mr_error (*open)(void *, struct mr_service *, struct mr_stage_spec *),
                                    void (*close)(void *self), void *config, struct mr_store *store);
void service_rig_free(struct service_rig *rig);
/* The process dies, and is started again. */
void service_rig_restart(struct service_rig *rig);
/* Turns until nothing happens any more; a turn takes a millisecond. */
void service_rig_run(struct service_rig *rig);

/* As a user's producer writes it, on the key's partition; returns the origin. key NULL: none. Frees the value. */
uint64_t service_rig_submit(struct service_rig *rig, const char *key, struct mr_buffer value);
/* With the header mr_replay_of. */
uint64_t service_rig_replay(struct service_rig *rig, const char *key, const char *replay_of, struct mr_buffer value);
/* As ingest writes it: stamped with the origin, behind the model's previous one (prev < 0: none). Frees `submitted`. */
void service_rig_ingested(struct service_rig *rig, const char *model, uint64_t origin, int64_t prev,
                          struct mr_buffer submitted);

/* The origins in a topic, of one model, in their order: "1 2 3". */
const char *service_rig_origins(struct service_rig *rig, const char *topic, const char *model);
/* The reasons in the dead letters, in the order of each partition, partitions in turn: "bad_id conflict". */
const char *service_rig_reasons(struct service_rig *rig);
/* The detail of the last dead letter of the model's partition. */
const char *service_rig_last_detail(struct service_rig *rig, const char *model);
/* millrace_decisions_total of that name. */
double service_rig_count(struct service_rig *rig, const char *decision);
uint32_t service_rig_partition(const char *model);

#endif
