/* What train and persist write, for the service that reads it. */
#ifndef TRAINED_H
#define TRAINED_H

#include "service_rig.h"

/* A trained step of run r1, stamped with the origin, behind the model's previous one (prev < 0: none). */
void trained_step(struct service_rig *rig, const char *model, uint64_t origin, int64_t prev, uint64_t step, float loss);
/* A committed version, whose hashes and commit id are made of its counter. */
void trained_commit(struct service_rig *rig, const char *model, uint64_t origin, int64_t prev, uint64_t counter);
/* Bytes that are stamped, but no event. */
void trained_nonsense(struct service_rig *rig, const char *model, uint64_t origin, int64_t prev);

#endif
