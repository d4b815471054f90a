/* What train does about its decisions: the operations that the stage loop calls. */
#ifndef TRAIN_EFFECTS_H
#define TRAIN_EFFECTS_H

#include "millrace/arena.h"
#include "millrace/engine.h"
#include "millrace/service.h"

struct train_config {
    struct mr_service_config common;
    const char *device, *arena;
    uint64_t threads; /* 0: as many as the machine has cores */
    uint64_t run_ahead, models_max;
};

/* The device, before anything is waited for: REJECT "device_unavailable" or "bad_device". */
MR_MUST_USE struct mr_error train_effects_check(const void *config);
/* A mr_service_plan's open: `config` is a struct train_config. spec.self is freed by train_effects_close. */
MR_MUST_USE struct mr_error train_effects_open(void *config, struct mr_service *service,
                                               struct mr_stage_spec *ret_spec);
/* The same over an arena that is there already, and is closed by whoever opened it. */
MR_MUST_USE struct mr_error train_effects_open_with(const struct train_config *config, struct mr_service *service,
                                                    struct mr_arena_consumer *consumer, struct mr_stage_spec *ret_spec);
/* After the workers have ended, and the stage. */
void train_effects_close(void *self);

#endif
