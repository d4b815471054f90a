/* Threads of a library: no signal is theirs. */
#ifndef CLIENT_THREADS_H
#define CLIENT_THREADS_H

#include "millrace/base.h"

#include <pthread.h>

/* FATAL "no_thread". */
MR_MUST_USE struct mr_error client_thread_start(pthread_t *ret_thread, void *(*run)(void *self), void *self);

#endif
