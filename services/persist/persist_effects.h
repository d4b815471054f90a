/* The stage of persist: runs the machine of persist.h for each checkpoint event, its effects on the work pool. */
#ifndef PERSIST_EFFECTS_H
#define PERSIST_EFFECTS_H

#include "millrace/service.h"

struct persist_config {
    struct mr_service_config common;
    uint64_t ancestor_probe_ms; /* between two looks at a head that an ancestor has yet to reach */
};

/* For struct mr_service_plan. */
MR_MUST_USE struct mr_error persist_effects_open(void *config, struct mr_service *service,
                                                 struct mr_stage_spec *ret_spec);
void persist_effects_close(void *self);

#endif
