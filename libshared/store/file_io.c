/* The system calls of the file:/// back end: folders, reading, hashing, writing. Each gives 0 or an errno. */
#include "file_internal.h"

#include "millrace/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_SIZE = 1 << 16 };

int mr_file_lock(int file, int operation)
{
    while (flock(file, operation) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Symbolic links are not followed: a key never leads out of the store. */
static int open_folder(int parent, const char *name, bool create)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int folder = openat(parent, name, flags);
    if (folder < 0 && errno == ENOENT && create) {
        if (mkdirat(parent, name, 0777) != 0 && errno != EEXIST) {
            return -1;
        }
        folder = openat(parent, name, flags);
    }
    return folder;
}

int mr_file_path_open(const struct mr_file_store *store, const char *key, bool create, struct mr_file_path *ret_path)
{
    struct mr_file_path path = {.folders = {store->root}, .count = 1, .name = key};
    for (const char *slash = strchr(path.name, '/'); slash != NULL; slash = strchr(path.name, '/')) {
        char part[256];
        const size_t size = (size_t)(slash - path.name);
        memcpy(part, path.name, size);
        part[size] = '\0';
        const int folder = open_folder(path.folders[path.count - 1], part, create);
        if (folder < 0) {
            const int native = errno;
            mr_file_path_close(&path);
            return native;
        }
        path.folders[path.count++] = folder;
        path.name = slash + 1;
    }
    *ret_path = path;
    return 0;
}

void mr_file_path_close(struct mr_file_path *path)
{
    while (path->count > 1) {
        (void)close(path->folders[--path->count]);
    }
}

bool mr_file_root_alive(const struct mr_file_store *store)
{
    struct stat about;
    return fstat(store->root, &about) == 0 && about.st_nlink > 0;
}

int mr_file_object_open(const struct mr_file_path *path, int *ret_file, uint64_t *ret_size)
{
    struct stat about;
    /* O_NONBLOCK: a pipe that somebody put there must not hold us. */
    const int file = openat(path->folders[path->count - 1], path->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
        return errno;
    }
    if (fstat(file, &about) != 0) {
        const int native = errno;
        (void)close(file);
        return native;
    }
    if (!S_ISREG(about.st_mode)) {
        (void)close(file);
        return ENOENT;
    }
    *ret_file = file;
    *ret_size = (uint64_t)about.st_size;
    return 0;
}

/* One pread that is begun again after a signal: the bytes read, 0 at the end, or -1 with errno. */
static ssize_t read_some(int file, void *data, size_t size, uint64_t at)
{
    for (;;) {
        const ssize_t got = pread(file, data, size, (off_t)at);
        if (got >= 0 || errno != EINTR) {
            return got;
        }
    }
}

int mr_file_read(int file, uint64_t first, uint64_t count, struct mr_buffer *ret_body)
{
    struct stat about;
    if (fstat(file, &about) != 0) {
        return errno;
    }
    const uint64_t size = (uint64_t)about.st_size;
    if (first >= size) {
        return 0;
    }
    const uint64_t wanted = count == 0 || count > size - first ? size - first : count;
    if (wanted > SIZE_MAX - ret_body->size || mr_failed(mr_buffer_reserve(ret_body, ret_body->size + (size_t)wanted))) {
        return ENOMEM;
    }
    uint64_t done = 0;
    while (done < wanted) {
        const ssize_t got =
            read_some(file, ret_body->data + ret_body->size + done, (size_t)(wanted - done), first + done);
        if (got < 0) {
            return errno;
        }
        if (got == 0) {
            return EIO; /* objects are replaced, never cut: somebody else's hand */
        }
        done += (uint64_t)got;
    }
    ret_body->size += (size_t)wanted;
    return 0;
}

static struct mr_etag etag_of_hash(const struct mr_sha256 *hash)
{
    struct mr_etag etag = {{0}};
    char text[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(hash, text);
    memcpy(etag.text, text, sizeof text);
    return etag;
}

struct mr_etag mr_file_etag_of(struct mr_bytes body)
{
    const struct mr_sha256 hash = mr_sha256_of(body);
    return etag_of_hash(&hash);
}

int mr_file_etag(int file, struct mr_etag *ret_etag)
{
    uint8_t chunk[CHUNK_SIZE];
    uint64_t at = 0;
    int native = 0;
    struct mr_sha256_stream *stream = mr_sha256_begin();
    if (stream == NULL) {
        return ENOMEM;
    }
    for (;;) {
        const ssize_t got = read_some(file, chunk, sizeof chunk, at);
        if (got <= 0) {
            native = got < 0 ? errno : 0;
            break;
        }
        mr_sha256_update(stream, mr_bytes_of(chunk, (size_t)got));
        at += (uint64_t)got;
    }
    const struct mr_sha256 hash = mr_sha256_end(stream);
    if (native == 0) {
        *ret_etag = etag_of_hash(&hash);
    }
    return native;
}

int mr_file_write(int file, struct mr_bytes body)
{
    for (size_t done = 0; done < body.size;) {
        const ssize_t wrote = write(file, body.data + done, body.size - done);
        if (wrote < 0 && errno != EINTR) {
            return errno;
        }
        done += wrote < 0 ? 0 : (size_t)wrote;
    }
    return fsync(file) == 0 ? 0 : errno;
}
