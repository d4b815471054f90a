/* The files of a stack's folder: run/NAME.EXTENSION, written whole or not at all. */
#ifndef SUPERVISE_FILES_H
#define SUPERVISE_FILES_H

#include "millrace/base.h"

#include <sys/types.h>

enum { SUPERVISE_PATH_SIZE = 1024 };

/* DIR/FOLDER/NAME + EXTENSION; false: too long. */
MR_MUST_USE bool supervise_path(const char *dir, const char *folder, const char *name, const char *extension,
                                char ret_path[SUPERVISE_PATH_SIZE]);
/* Readers see the old text or the new one. */
MR_MUST_USE struct mr_error supervise_file_write(const char *path, const char *text);
/* The whole file as a string, to be freed. */
MR_MUST_USE struct mr_error supervise_file_read(const char *path, char **ret_text);

/* Takes the stack's lock until the process ends. REJECT "running" with the holder in `native` if another has it. */
MR_MUST_USE struct mr_error supervise_lock(const char *path);
/* *ret_holder: the process that has the lock; 0: nobody. */
MR_MUST_USE struct mr_error supervise_lock_holder(const char *path, pid_t *ret_holder);
/* Returns when nobody has the lock. */
MR_MUST_USE struct mr_error supervise_lock_wait(const char *path);

#endif
