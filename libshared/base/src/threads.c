#include "threads.h"

#include "millrace/base.h"

#include <pthread.h>

void mr_signals_block(sigset_t *ret_before)
{
    sigset_t all;
    (void)sigfillset(&all);
    MR_ASSERT(pthread_sigmask(SIG_SETMASK, &all, ret_before) == 0);
}

void mr_signals_restore(const sigset_t *before)
{
    MR_ASSERT(pthread_sigmask(SIG_SETMASK, before, NULL) == 0);
}
