/*
 * The store, which in a test is a file system of its own: MR_FAULTS_STORE names a folder in it. Whatever is begun there
 * waits as long as it is frozen, and fails as long as it is failing.
 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_EVERY_NS = 10000000 };

static bool is_known;
static dev_t device;

__attribute__((constructor)) static void find_device(void)
{
    const char *folder = getenv("MR_FAULTS_STORE");
    struct stat about;
    if (folder == NULL) {
        return;
    }
    if (stat(folder, &about) != 0) {
        faults_refuse("MR_FAULTS_STORE names no folder");
    }
    device = about.st_dev;
    is_known = true;
}

/* Of a file or folder there: returns when it is not frozen; 0, or the errno of the call. */
static int ask(int file)
{
    const volatile struct faults *faults = faults_of_test();
    const struct timespec wait = {.tv_nsec = LOOK_EVERY_NS};
    struct stat about;
    if (faults == NULL || !is_known || file < 0 || fstat(file, &about) != 0 || about.st_dev != device) {
        return 0;
    }
    while (faults->store == FAULTS_STORE_FROZEN) {
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
    }
    return faults->store == FAULTS_STORE_FAILING ? EIO : 0;
}

static bool fails(int file)
{
    const int number = ask(file);
    if (number != 0) {
        errno = number;
    }
    return number != 0;
}

int openat(int folder, const char *name, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return fails(folder) ? -1 : (int)syscall(SYS_openat, folder, name, flags, mode);
}

int mkdirat(int folder, const char *name, mode_t mode)
{
    return fails(folder) ? -1 : (int)syscall(SYS_mkdirat, folder, name, mode);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return fails(to_folder) ? -1 : (int)syscall(SYS_renameat, from_folder, from, to_folder, to);
}

int unlinkat(int folder, const char *name, int flags)
{
    return fails(folder) ? -1 : (int)syscall(SYS_unlinkat, folder, name, flags);
}

int flock(int file, int operation)
{
    return fails(file) ? -1 : (int)syscall(SYS_flock, file, operation);
}

int fsync(int file)
{
    return fails(file) ? -1 : (int)syscall(SYS_fsync, file);
}

ssize_t pread(int file, void *data, size_t size, off_t at)
{
    return fails(file) ? -1 : (ssize_t)syscall(SYS_pread64, file, data, size, at);
}

ssize_t write(int file, const void *data, size_t size)
{
    return fails(file) ? -1 : (ssize_t)syscall(SYS_write, file, data, size);
}
