/*
 * A large store for tests and benchmarks: mr_store_make URI MODEL VERSIONS [PAYLOAD_BYTES].
 *
 * Under file:///dir it writes plain files without fsync, since nobody else reads the store yet: 100,000 versions take
 * seconds. Elsewhere it puts several objects at once.
 */
#include "version_maker.h"
#include "version_pipeline.h"

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

static void fill(const struct version_maker *maker, uint64_t count)
{
    struct mr_version_entry last = version_maker_add(maker, NULL);
    for (uint64_t i = 1; i < count; i++) {
        last = version_maker_add(maker, &last);
    }
    version_maker_set_head(maker, &last);
}

/* ---- Elsewhere --------------------------------------------------------------------------------------------- */

struct upload {
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer body;
};

static void put_upload(void *self, void *item)
{
    const struct upload *upload = item;
    const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
    const struct mr_store_result result = mr_store_put(self, upload->key, mr_buffer_view(&upload->body), always);
    if (result.outcome != MR_STORE_DONE) {
        die(upload->key, result.detail);
    }
}

static void drop_upload(void *self, void *item)
{
    struct upload *upload = item;
    (void)self;
    mr_buffer_deinit(&upload->body);
}

static void put_beside(void *self, const char *key, struct mr_bytes body)
{
    struct upload *upload = mr_pipeline_next(self);
    (void)snprintf(upload->key, sizeof upload->key, "%s", key);
    MR_ASSERT(!mr_failed(mr_buffer_append(&upload->body, body.data, body.size)));
}

static void fill_store(struct mr_store *store, struct version_maker maker, uint64_t count)
{
    struct mr_pipeline *pipeline = NULL;
    const struct mr_pipeline_kind kind = {
        .item_size = sizeof(struct upload), .run = put_upload, .consume = drop_upload, .self = store};
    const struct mr_error error = mr_pipeline_open(8, &kind, &pipeline);
    if (mr_failed(error)) {
        die("threads", error.detail);
    }
    maker.put = put_beside;
    maker.self = pipeline;
    fill(&maker, count);
    mr_pipeline_close(pipeline);
}

int main(int argc, char *argv[])
{
    char path[MR_FILE_PATH_SIZE];
    if (argc < 4 || argc > 5 || number(argv[3]) == 0) {
        die("usage", "mr_store_make URI MODEL VERSIONS [PAYLOAD_BYTES]");
    }
    struct version_maker maker = {
        .model = argv[2], .payload_bytes = argc == 5 ? (size_t)number(argv[4]) : 64, .put = put_plain, .self = path};
    if (mr_file_uri_path(argv[1], path)) {
        fill(&maker, number(argv[3]));
        return 0;
    }
    struct mr_store *store = NULL;
    const struct mr_error error = mr_store_open(argv[1], &store);
    if (mr_failed(error)) {
        die(argv[1], error.detail);
    }
    fill_store(store, maker, number(argv[3]));
    mr_store_close(store);
    return 0;
}
