/* Private to mr_io: secrets from files. */
#ifndef MR_SECRET_H
#define MR_SECRET_H

#include "millrace/base.h"

/* The text of a file without its last line end. It lives as long as the process, as an environment variable does.
 * REJECT "bad_secret_file" when the file cannot be read, is over 64 KiB or holds a zero byte; never says what it holds.
 */
MR_MUST_USE struct mr_error mr_secret_read(const char *path, const char **ret_text);

#endif
