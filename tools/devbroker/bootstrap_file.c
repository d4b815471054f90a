#include "bootstrap_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mr_error failure(const char *what, const char *path)
{
    return mr_error_make(MR_ERROR_FATAL, "bad_directory", errno, "%s %s: %s", what, path, strerror(errno));
}

static struct mr_error path_in(const char *directory, const char *name, char ret_path[PATH_MAX])
{
    const int size = snprintf(ret_path, PATH_MAX, "%s/%s", directory, name);
    if (size < 0 || size >= PATH_MAX) {
        return mr_error_make(MR_ERROR_FATAL, "bad_directory", 0, "the path is too long: %.100s", directory);
    }
    return mr_ok();
}

struct mr_error devbroker_bootstrap_clear(const char *directory)
{
    char path[PATH_MAX];
    MR_TRY(path_in(directory, "bootstrap", path));
    if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
        return failure("create", directory);
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return failure("remove", path);
    }
    return mr_ok();
}

struct mr_error devbroker_bootstrap_write(const char *directory, const char *address)
{
    char path[PATH_MAX], unready[PATH_MAX];
    MR_TRY(path_in(directory, "bootstrap", path));
    MR_TRY(path_in(directory, ".bootstrap.new", unready));
    FILE *const file = fopen(unready, "w");
    if (file == NULL) {
        return failure("create", unready);
    }
    const bool written = fprintf(file, "%s\n", address) > 0;
    if (fclose(file) != 0 || !written) {
        return failure("write", unready);
    }
    /* Whoever waits for the file sees it whole. */
    return rename(unready, path) == 0 ? mr_ok() : failure("rename to", path);
}
