/* Starting one process of a stack: its arguments filled in, its output in log/NAME.log. */
#ifndef SUPERVISE_PROCESS_H
#define SUPERVISE_PROCESS_H

#include "plan.h"

#include <sys/types.h>

/* The child gets SIGKILL when the supervisor dies, so that nothing of a stack is left without one. FATAL when it cannot
 * be started; a program that cannot be executed ends with exit code 69 and a line in its log. */
MR_MUST_USE struct mr_error supervise_process_start(const struct supervise_entry *entry, const char *dir, uint16_t port,
                                                    pid_t *ret_pid);

#endif
