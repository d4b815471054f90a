/* Writes of objects that have one right content, or none: what was not answered is looked up, and done again. */
#ifndef MR_STORE_SETTLE_H
#define MR_STORE_SETTLE_H

#include "millrace/store.h"

/* The object is there, by this call or before it. FATAL "denied", TRANSIENT "unavailable": it may be there or not. */
MR_MUST_USE struct mr_error mr_store_settle_put(struct mr_store *store, const char *key, struct mr_bytes body);
/* It is not there. Errors as above. */
MR_MUST_USE struct mr_error mr_store_settle_remove(struct mr_store *store, const char *key);
/* Whether it is there. Errors as above. */
MR_MUST_USE struct mr_error mr_store_settle_look(struct mr_store *store, const char *key, bool *ret_there);

#endif
