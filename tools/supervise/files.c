#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct mr_error failed(const char *doing, const char *path)
{
    const int native = errno;
    return mr_error_make(MR_ERROR_FATAL, "file", native, "cannot %s %s: %s", doing, path, strerror(native));
}

bool supervise_path(const char *dir, const char *folder, const char *name, const char *extension,
                    char ret_path[SUPERVISE_PATH_SIZE])
{
    const int size = snprintf(ret_path, SUPERVISE_PATH_SIZE, "%s/%s/%s%s", dir, folder, name, extension);
    return size > 0 && size < SUPERVISE_PATH_SIZE;
}

struct mr_error supervise_file_write(const char *path, const char *text)
{
    char draft[SUPERVISE_PATH_SIZE + 8];
    (void)snprintf(draft, sizeof draft, "%s.draft", path);
    FILE *file = fopen(draft, "we");
    if (file == NULL) {
        return failed("create", draft);
    }
    const bool written = fputs(text, file) >= 0;
    if (fclose(file) != 0 || !written) {
        return failed("write", draft);
    }
    return rename(draft, path) == 0 ? mr_ok() : failed("rename to", path);
}

struct mr_error supervise_file_read(const char *path, char **ret_text)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return failed("open", path);
    }
    struct mr_buffer content = {.data = NULL, .size = 0, .capacity = 0};
    char block[4096];
    size_t got = 0;
    struct mr_error error = mr_ok();
    while (!mr_failed(error) && (got = fread(block, 1, sizeof block, file)) > 0) {
        error = mr_buffer_append(&content, block, got);
    }
    if (!mr_failed(error) && ferror(file) != 0) {
        error = failed("read", path);
    }
    (void)fclose(file);
    if (!mr_failed(error)) {
        error = mr_buffer_append(&content, "", 1);
    }
    if (mr_failed(error)) {
        mr_buffer_deinit(&content);
        return error;
    }
    *ret_text = (char *)content.data;
    return mr_ok();
}

struct mr_error supervise_lock(const char *path)
{
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) {
        return failed("open", path);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(file, F_SETLK, &lock) == 0) {
        return mr_ok(); /* the file stays open: closing it would give the lock back */
    }
    const bool taken = errno == EACCES || errno == EAGAIN;
    const struct mr_error error = failed("lock", path);
    (void)close(file);
    if (!taken) {
        return error;
    }
    pid_t holder = 0;
    MR_TRY(supervise_lock_holder(path, &holder));
    return mr_error_make(MR_ERROR_REJECT, "running", holder, "a stack runs in this folder already (supervisor %ld)",
                         (long)holder);
}

struct mr_error supervise_lock_holder(const char *path, pid_t *ret_holder)
{
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        if (errno == ENOENT) {
            *ret_holder = 0;
            return mr_ok();
        }
        return failed("open", path);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct mr_error error = mr_ok();
    if (fcntl(file, F_GETLK, &lock) != 0) {
        error = failed("ask for the lock of", path);
    } else {
        *ret_holder = lock.l_type == F_UNLCK ? 0 : lock.l_pid;
    }
    (void)close(file);
    return error;
}

struct mr_error supervise_lock_wait(const char *path)
{
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        return failed("open", path);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int got = -1;
    do {
        got = fcntl(file, F_SETLKW, &lock);
    } while (got != 0 && errno == EINTR);
    const struct mr_error error = got == 0 ? mr_ok() : failed("wait for the lock of", path);
    (void)close(file);
    return error;
}
