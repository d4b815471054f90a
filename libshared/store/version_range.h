/* Listing what stands under version ids, by ranges of counters: whoever walks a chain piece by piece lists with it. */
#ifndef MR_VERSION_RANGE_H
#define MR_VERSION_RANGE_H

#include "millrace/pins.h"

/* Counters of ten digits: within them, keys stand in the order of counters. */
#define MR_VERSION_RANGE_MAX UINT64_C(9999999999)

/* <prefix><version id>/<file> */
struct mr_version_object {
    const char *key, *file; /* until the callback returns */
    char version_id[MR_VERSION_ID_SIZE];
    uint64_t counter, size;
};
/* Calls `each` for every such key with low <= counter <= high, in byte order, until it fails. Other keys are passed
 * over. */
MR_MUST_USE struct mr_error
mr_version_each_object(struct mr_store *store, const char *prefix, uint64_t low, uint64_t high,
                       struct mr_error (*each)(void *self, const struct mr_version_object *object), void *self);

/* What a key under pins/ says. Its name is the object's. */
void mr_pin_of(const struct mr_version_object *object, struct mr_pin *ret_pin);

#endif
