/* The only code in publish that touches the world: reads records, publishes them, writes the view. */
#ifndef PUBLISH_EFFECTS_H
#define PUBLISH_EFFECTS_H

#include "publish.h"

#include "millrace/service.h"

struct publish_config {
    struct mr_service_config common;
    const char *redis; /* "unix:/path", "host:port" or "none" */
    uint64_t view_interval_ms, view_probe_ms, view_timeout_ms;
};

/* As struct mr_service_plan asks: REJECT "bad_redis". */
MR_MUST_USE struct mr_error publish_effects_open(void *config, struct mr_service *service,
                                                 struct mr_stage_spec *ret_spec);
void publish_effects_close(void *effects);

#endif
