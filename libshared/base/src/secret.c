#include "secret.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_SIZE_MAX = 64 * 1024 };

struct secret {
    struct secret *next;
    char text[];
};

/* Keeps every secret reachable: options hand out plain pointers, which nobody frees. */
static struct secret *kept;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *keep(const char *text, size_t size)
{
    struct secret *secret = malloc(sizeof *secret + size + 1);
    if (secret == NULL) {
        return NULL;
    }
    memcpy(secret->text, text, size);
    secret->text[size] = '\0';
    MR_ASSERT(pthread_mutex_lock(&kept_lock) == 0);
    secret->next = kept;
    kept = secret;
    MR_ASSERT(pthread_mutex_unlock(&kept_lock) == 0);
    return secret->text;
}

static struct mr_error bad_file(const char *path, int64_t native, const char *why)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_secret_file", native, "secret file %s: %s", path, why);
}

struct mr_error mr_secret_read(const char *path, const char **ret_text)
{
    char text[SECRET_SIZE_MAX + 1];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        const int failure = errno;
        return bad_file(path, failure, strerror(failure));
    }
    errno = 0;
    size_t size = fread(text, 1, sizeof text, file);
    const int failure = ferror(file) != 0 ? errno : 0;
    (void)fclose(file);
    if (failure != 0) {
        return bad_file(path, failure, strerror(failure));
    }
    if (size > SECRET_SIZE_MAX) {
        return bad_file(path, 0, "it is over 64 KiB");
    }
    if (memchr(text, '\0', size) != NULL) {
        return bad_file(path, 0, "it holds a zero byte");
    }
    if (size > 0 && text[size - 1] == '\n') {
        size -= size > 1 && text[size - 2] == '\r' ? 2 : 1;
    }
    const char *secret = keep(text, size);
    if (secret == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for the secret in %s", path);
    }
    *ret_text = secret;
    return mr_ok();
}
