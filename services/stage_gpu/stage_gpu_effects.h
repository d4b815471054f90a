/* The only code in stage_gpu that touches the world: the operations that the stage loop calls. */
#ifndef STAGE_GPU_EFFECTS_H
#define STAGE_GPU_EFFECTS_H

#include "millrace/arena.h"
#include "millrace/service.h"
#include "stage_gpu.h"

struct stage_gpu_config {
    struct mr_service_config common;
    const char *device;
    const char *arena; /* path of the Unix socket */
    uint64_t arena_bytes, arena_blocks, host_transfer_max_bytes;
};

/* For mr_service_plan. check: REJECT "device_unavailable", "bad_device" or "arena_too_small". */
MR_MUST_USE struct mr_error stage_gpu_effects_check(const void *config);
MR_MUST_USE struct mr_error stage_gpu_effects_open(void *config, struct mr_service *service,
                                                   struct mr_stage_spec *ret_spec);
void stage_gpu_effects_close(void *self);

/* The same over an arena of the caller's (tests, the simulator), which outlives it; the store may be NULL if no payload
 * is in it. */
MR_MUST_USE struct mr_error stage_gpu_effects_open_with(const struct stage_gpu_rules *rules,
                                                        struct mr_arena_owner *owner, struct mr_service *service,
                                                        struct mr_stage_spec *ret_spec);

#endif
