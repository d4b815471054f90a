/* Private to mr_io. */
#ifndef MR_THREADS_H
#define MR_THREADS_H

#include <signal.h>

/* Threads started between the two get no signal: signals are the main thread's. */
void mr_signals_block(sigset_t *ret_before);
void mr_signals_restore(const sigset_t *before);

#endif
