/* DIR/bootstrap: one line, the broker's address; there while, and only while, it is ready. */
#ifndef DEVBROKER_BOOTSTRAP_FILE_H
#define DEVBROKER_BOOTSTRAP_FILE_H

#include "millrace/base.h"

/* Creates the directory if it is missing, and removes what an earlier broker left. */
MR_MUST_USE struct mr_error devbroker_bootstrap_clear(const char *directory);
MR_MUST_USE struct mr_error devbroker_bootstrap_write(const char *directory, const char *address);

#endif
