/* A running stack: starts a plan's processes level by level, starts again what dies, stops in the opposite order. */
#ifndef SUPERVISE_STACK_H
#define SUPERVISE_STACK_H

#include "plan.h"

/* Runs until SIGTERM or SIGINT (then 0), or until a process that is never restarted ends (then MR_EXIT_UNAVAILABLE).
 * Keeps in DIR/run: NAME.pid of what runs, NAME.port, NAME.failed with the reason of what was given up, and `ready`
 * once all have been ready. Says what happens on standard output. */
int supervise_stack_run(const struct supervise_plan *plan, const char *dir);

#endif
