/* What ingest does about its decisions: the operations that the stage loop calls. */
#ifndef INGEST_EFFECTS_H
#define INGEST_EFFECTS_H

#include "ingest_codec.h"
#include "millrace/service.h"

struct ingest_config {
    struct mr_service_config common;
    uint64_t max_record_bytes, max_inline_bytes;
};

/* A mr_service_plan's open: `config` is a struct ingest_config. spec.self is freed by ingest_effects_close. */
MR_MUST_USE struct mr_error ingest_effects_open(void *config, struct mr_service *service,
                                                struct mr_stage_spec *ret_spec);
void ingest_effects_close(void *self);

#endif
