/*
 * A large store for tests and benchmarks: mr_store_make URI MODEL VERSIONS [PAYLOAD_BYTES].
 *
 * Under file:///dir it writes plain files without fsync, since nobody else reads the store yet: 100,000 versions take
 * seconds. Elsewhere it puts one object after another.
 */
#include "version_maker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what, const char *detail)
{
    (void)fprintf(stderr, "mr_store_make: %s: %s\n", what, detail);
    exit(1);
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            die(path, strerror(errno));
        }
        *slash = '/';
    }
}

static void put_plain(void *self, const char *key, struct mr_bytes body)
{
    char path[MR_FILE_PATH_SIZE + MR_VERSION_KEY_SIZE + 1];
    (void)snprintf(path, sizeof path, "%s/%s", (const char *)self, key);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0 && errno == ENOENT) {
        make_folders(path);
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    }
    if (file < 0 || write(file, body.data, body.size) != (ssize_t)body.size || close(file) != 0) {
        die(path, strerror(errno));
    }
}

static uint64_t number(const char *text)
{
    char *end = NULL;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value > SIZE_MAX / 2) {
        die(text, "not a number");
    }
    return value;
}

static void fill_plain(char *path, const char *model, uint64_t count, size_t payload_bytes)
{
    const struct version_maker maker = {.model = model, .payload_bytes = payload_bytes, .put = put_plain, .self = path};
    struct mr_version_entry last = version_maker_add(&maker, NULL);
    for (uint64_t i = 1; i < count; i++) {
        last = version_maker_add(&maker, &last);
    }
    version_maker_set_head(&maker, &last);
}

int main(int argc, char *argv[])
{
    char path[MR_FILE_PATH_SIZE];
    if (argc < 4 || argc > 5 || number(argv[3]) == 0) {
        die("usage", "mr_store_make URI MODEL VERSIONS [PAYLOAD_BYTES]");
    }
    const size_t payload_bytes = argc == 5 ? (size_t)number(argv[4]) : 64;
    if (mr_file_uri_path(argv[1], path)) {
        fill_plain(path, argv[2], number(argv[3]), payload_bytes);
        return 0;
    }
    struct mr_store *store = NULL;
    const struct mr_error error = mr_store_open(argv[1], &store);
    if (mr_failed(error)) {
        die(argv[1], error.detail);
    }
    (void)version_maker_fill(store, argv[2], number(argv[3]), payload_bytes);
    mr_store_close(store);
    return 0;
}
