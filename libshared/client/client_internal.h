/* Between the files of the client, and for its tests. */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include "millrace/client.h"
#include "millrace/versions.h"

/* mr_client_open on a store that is open already and stays the caller's; options->store is not looked at. */
MR_MUST_USE struct mr_error client_open_on(struct mr_store *store, const struct mr_client_options *options,
                                           struct mr_client **ret_client);

MR_MUST_USE struct mr_error client_head_at(struct mr_store *store, const char *model_id, int64_t time_ms,
                                           struct mr_head_at *ret_head);

#endif
