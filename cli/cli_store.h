/* What the verbs about a store share. */
#ifndef CLI_STORE_H
#define CLI_STORE_H

#include "cli.h"

#include "millrace/store.h"

/* clang-format off */
#define CLI_ROWS_STORE(type)                                                                                       \
    CLI_ROW_TEXT(type, "store", store, "",                                                                         \
                 "Object store, unless it is the argument: file:///dir or s3://bucket/prefix."),                   \
    CLI_ROW_TEXT(type, "model", model, NULL, "Model id."), CLI_ROW_FORMAT(type)
/* clang-format on */

/* The store of the argument, or else of the option, which has to be there; checks the model id too. */
MR_MUST_USE struct mr_error cli_store_open(const char *option, const char *model, const struct cli_rest *rest,
                                           struct mr_store **ret_store);

/* The model's pins: an object of arrays of names by version id; json_decref frees it. */
MR_MUST_USE struct mr_error cli_pins_read(struct mr_store *store, const char *model, json_t **ret_pins);
/* NULL: none. Borrowed. */
json_t *cli_pins_of(json_t *pins, const char *version_id);

#endif
