/*
 * Claimed files. One whose name has the form <index>.fails-<times>.<anything> cannot be opened the first so many times
 * that anybody tries (EIO), and every try is counted.
 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool fails(const char *path)
{
    volatile struct faults *faults = faults_of_test();
    const char *slash = strrchr(path, '/');
    unsigned long index, times;
    if (faults == NULL || slash == NULL || sscanf(slash + 1, "%lu.fails-%lu.", &index, &times) != 2) {
        return false;
    }
    if (index >= (unsigned long)faults->claims_count) {
        faults_refuse("a claim beyond claims_count");
    }
    return atomic_fetch_add(&faults->claims[index], 1) < times;
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (fails(path)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
