/* Versions of a store, for people and programs. */
#ifndef CLI_VERSION_H
#define CLI_VERSION_H

#include "cli.h"

#include "millrace/versions.h"

/* What the store's metadata says of a version. NULL: out of memory. */
MR_MUST_USE json_t *cli_version_json(const struct mr_version_entry *entry);

/* The text of a --version option: REJECT "bad_version". */
MR_MUST_USE struct mr_error cli_version_choice(const char *text, struct mr_version_choice *ret_choice);

/* Null where JSON cannot say it: a float that is not finite, a text that is not UTF-8. */
MR_MUST_USE json_t *cli_json_real(double value);
MR_MUST_USE json_t *cli_json_text(const char *text);

#endif
