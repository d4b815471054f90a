#include "threads.h"

#include <signal.h>
#include <string.h>

struct mr_error client_thread_start(pthread_t *ret_thread, void *(*run)(void *self), void *self)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    MR_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    const int native = pthread_create(ret_thread, NULL, run, self);
    MR_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return native == 0 ? mr_ok() : mr_error_make(MR_ERROR_FATAL, "no_thread", native, "%s", strerror(native));
}
