/* The learning rate, in the arithmetic profile. */
#ifndef MR_SCHEDULE_H
#define MR_SCHEDULE_H

#include "millrace/spec.h"

/* The rate of a run's step `step`, counted from 1. */
float mr_schedule_rate(const struct mr_schedule_spec *schedule, uint64_t step);

#endif
