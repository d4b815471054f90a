/* Submitted events from JSON lines: the fields of the schema, with plain numbers for tensors. README.md has the format.
 */
#ifndef CLI_EVENT_JSON_H
#define CLI_EVENT_JSON_H

#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/message.h"

/* What an event lacks is taken from here. */
struct cli_event_defaults {
    const char *model_id, *run_id; /* "": none */
};

/* The event of one line, which the caller frees with millrace__batch__v1__submitted__free_unpacked(event, NULL).
 * REJECT "bad_json" names the field. */
MR_MUST_USE struct mr_error cli_event_from_json(struct mr_bytes line, const struct cli_event_defaults *defaults,
                                                Millrace__Batch__V1__Submitted **ret_event);

#endif
