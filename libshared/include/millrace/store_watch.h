/*
 * A store that tells how long it has been asked. A call that does not return is no failure, so that nobody else would
 * notice a store that does not answer.
 */
#ifndef MR_STORE_WATCH_H
#define MR_STORE_WATCH_H

#include "millrace/clock.h"
#include "millrace/store.h"

/* Takes `store` over, also on failure. FATAL when memory is out. */
MR_MUST_USE struct mr_error mr_store_watch(struct mr_store *store, const struct mr_clock *clock,
                                           struct mr_store **ret_watched);
/* Since the oldest call began that has not returned; 0: there is none. `watched` is one of mr_store_watch. */
int64_t mr_store_unanswered_ms(const struct mr_store *watched);

#endif
