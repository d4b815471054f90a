/* What validate does about its decisions: the operations that the stage loop calls. */
#ifndef VALIDATE_EFFECTS_H
#define VALIDATE_EFFECTS_H

#include "millrace/service.h"
#include "validate_codec.h"

struct validate_config {
    struct mr_service_config common;
    uint64_t max_rows, max_payload_bytes;
};

/* A mr_service_plan's open: `config` is a struct validate_config. spec.self is freed by validate_effects_close. */
MR_MUST_USE struct mr_error validate_effects_open(void *config, struct mr_service *service,
                                                  struct mr_stage_spec *ret_spec);
/* After the workers have ended. */
void validate_effects_close(void *self);

#endif
