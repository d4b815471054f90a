/* A store for many threads in front of one for one thread; it can be down. */
#ifndef LOCKED_STORE_H
#define LOCKED_STORE_H

#include "millrace/store.h"

/* Takes `store` over. Never NULL. */
struct mr_store *locked_store_new(struct mr_store *store);
/* DONE: as it is. Otherwise every call has this outcome and does nothing. */
void locked_store_answer(struct mr_store *locked, enum mr_store_outcome outcome);
/* Calls so far. */
uint64_t locked_store_calls(struct mr_store *locked);

#endif
