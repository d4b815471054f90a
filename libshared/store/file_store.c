/*
 * The file:/// back end: every object is a plain file, byte for byte, that only whole renames ever change.
 *
 * A write holds its key's lock (flock), compares, writes a temporary file, fsyncs it, renames it, and fsyncs the
 * folder, and those above that may be new. What fails before the rename certainly did not apply; a failed fsync after
 * it is UNKNOWN. For local file systems: a network one may not keep flock's promise.
 */
#include "file_internal.h"

#include "millrace/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mr_file_store *of(struct mr_store *base)
{
    return (struct mr_file_store *)base;
}

/* A key that no object can have is denied for good: repeating it helps nobody. */
static bool refuse_key(const char *key, struct mr_store_result *ret_result)
{
    const size_t own = sizeof MR_FILE_OWN - 1;
    if (!mr_store_key_valid(key)) {
        *ret_result = mr_store_answer(MR_STORE_DENIED, EINVAL, "\"%.120s\" is not a valid key", key == NULL ? "" : key);
        return true;
    }
    if (strncmp(key, MR_FILE_OWN, own) == 0 && (key[own] == '/' || key[own] == '\0')) {
        *ret_result = mr_store_answer(MR_STORE_DENIED, EINVAL, "\"%.120s\" is the store's own", key);
        return true;
    }
    return false;
}

/* ---- Reading --------------------------------------------------------------------------------------- */

static struct mr_store_result read_failed(const struct mr_file_store *store, const char *what, const char *key,
                                          int native)
{
    switch (native) {
    case ENOENT:
    case ENOTDIR: /* a part of the key is an object: nothing is below it */
    case ELOOP:   /* a symbolic link: not an object */
        if (!mr_file_root_alive(store)) {
            return mr_store_answer(MR_STORE_UNAVAILABLE, native, "%s %.100s: the store's folder was removed", what,
                                   key);
        }
        return mr_store_answer(MR_STORE_MISSING, native, "%s %.120s: no such object", what, key);
    case EACCES:
    case EPERM: return mr_store_answer(MR_STORE_DENIED, native, "%s %.120s: %s", what, key, strerror(native));
    default: return mr_store_answer(MR_STORE_UNAVAILABLE, native, "%s %.120s: %s", what, key, strerror(native));
    }
}

/* Opens, reads the size, and closes the folders again. */
static int open_object(const struct mr_file_store *store, const char *key, int *ret_file, uint64_t *ret_size)
{
    struct mr_file_path path;
    int native = mr_file_path_open(store, key, false, &path);
    if (native == 0) {
        native = mr_file_object_open(&path, ret_file, ret_size);
        mr_file_path_close(&path);
    }
    return native;
}

static struct mr_store_result file_get(struct mr_store *base, const char *key, struct mr_store_range range,
                                       struct mr_buffer *ret_body)
{
    struct mr_store_result result = {0};
    if (refuse_key(key, &result)) {
        return result;
    }
    int file = -1;
    int native = open_object(of(base), key, &file, &result.size);
    if (native != 0) {
        return read_failed(of(base), "get", key, native);
    }
    const size_t before = ret_body->size;
    native = mr_file_read(file, range.first, range.count, ret_body);
    (void)close(file);
    if (native != 0) {
        return read_failed(of(base), "get", key, native);
    }
    result.outcome = MR_STORE_DONE;
    if (range.first == 0 && range.count == 0) {
        result.etag = mr_file_etag_of(mr_bytes_of(ret_body->data + before, (size_t)result.size));
    }
    return result;
}

static struct mr_store_result file_head(struct mr_store *base, const char *key)
{
    struct mr_store_result result = {0};
    if (refuse_key(key, &result)) {
        return result;
    }
    int file = -1;
    int native = open_object(of(base), key, &file, &result.size);
    if (native != 0) {
        return read_failed(of(base), "head", key, native);
    }
    native = mr_file_etag(file, &result.etag);
    (void)close(file);
    if (native != 0) {
        return read_failed(of(base), "head", key, native);
    }
    result.outcome = MR_STORE_DONE;
    return result;
}

/* ---- Writing --------------------------------------------------------------------------------------- */

/* Of a write that certainly did not apply. */
static struct mr_store_result not_applied(const char *what, const char *key, const char *step, int native)
{
    const bool denied = native == EACCES || native == EPERM || native == EROFS || native == ENOTDIR ||
                        native == ELOOP || native == EISDIR || native == ENAMETOOLONG;
    return mr_store_answer(denied ? MR_STORE_DENIED : MR_STORE_UNAVAILABLE, native, "%s %.90s: nothing changed: %s: %s",
                           what, key, step, strerror(native));
}

static int lock_key(const struct mr_file_store *store, const char *key, int *ret_lock)
{
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of_text(key));
    char name[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&hash, name);
    name[3] = '\0';
    const int lock = openat(store->locks, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (lock < 0) {
        return errno;
    }
    const int native = mr_file_lock(lock, LOCK_EX);
    if (native != 0) {
        (void)close(lock);
        return native;
    }
    *ret_lock = lock;
    return 0;
}

enum { TEMPORARY_NAME_SIZE = 33 };

static int random_name(char ret_name[TEMPORARY_NAME_SIZE])
{
    uint8_t bytes[16];
    if (mr_failed(mr_random(bytes, sizeof bytes))) {
        return EIO;
    }
    mr_hex(mr_bytes_of(bytes, sizeof bytes), ret_name);
    return 0;
}

static int write_temporary(const struct mr_file_store *store, struct mr_bytes body, char ret_name[TEMPORARY_NAME_SIZE])
{
    int native = random_name(ret_name);
    if (native != 0) {
        return native;
    }
    const int file = openat(store->tmp, ret_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (file < 0) {
        return errno;
    }
    native = mr_file_write(file, body);
    if (close(file) != 0 && native == 0) {
        native = errno;
    }
    if (native != 0) {
        (void)unlinkat(store->tmp, ret_name, 0);
    }
    return native;
}

/* DONE: the condition holds now. The caller holds the key's lock. */
static struct mr_store_result check(const struct mr_file_store *store, const struct mr_file_path *path, const char *key,
                                    const struct mr_store_condition *condition)
{
    int file = -1;
    uint64_t size = 0;
    if (condition->kind == MR_STORE_ALWAYS) {
        return mr_store_answer(MR_STORE_DONE, 0, "%s", "");
    }
    int native = mr_file_object_open(path, &file, &size);
    if (native == ENOENT) {
        return condition->kind == MR_STORE_IF_ABSENT
                   ? mr_store_answer(MR_STORE_DONE, 0, "%s", "")
                   : mr_store_answer(MR_STORE_MISSING, ENOENT, "put %.120s: no such object to match", key);
    }
    if (native != 0) {
        return not_applied("put", key, "reading what is there", native);
    }
    struct mr_etag now = {{0}};
    native = condition->kind == MR_STORE_IF_MATCH ? mr_file_etag(file, &now) : 0;
    (void)close(file);
    if (native != 0) {
        return not_applied("put", key, "hashing what is there", native);
    }
    if (condition->kind == MR_STORE_IF_MATCH && strcmp(now.text, condition->etag.text) == 0) {
        return mr_store_answer(MR_STORE_DONE, 0, "%s", "");
    }
    /* The caller may build on what it finds there: make sure that it stays, whoever wrote it. */
    native = mr_file_path_sync(store, path);
    if (native != 0) {
        return not_applied("put", key, "fsync of what is there", native);
    }
    return mr_store_answer(MR_STORE_PRECONDITION_FAILED, EEXIST, "put %.120s: %s", key,
                           condition->kind == MR_STORE_IF_ABSENT ? "exists" : "its ETag is another one");
}

/* Under the key's lock: compares, renames, and makes it durable. The temporary is gone only when DONE or UNKNOWN. */
static struct mr_store_result put_locked(const struct mr_file_store *store, const struct mr_file_path *path,
                                         const char *key, const char *temporary,
                                         const struct mr_store_condition *condition)
{
    struct mr_store_result result = check(store, path, key, condition);
    if (result.outcome != MR_STORE_DONE) {
        return result;
    }
    if (renameat(store->tmp, temporary, path->folders[path->count - 1], path->name) != 0) {
        const int native = errno;
        if (native == EIO) {
            return mr_store_answer(MR_STORE_UNKNOWN, native, "put %.100s: rename: %s", key, strerror(native));
        }
        return not_applied("put", key, "rename", native);
    }
    const int native = mr_file_path_sync(store, path);
    if (native != 0) {
        return mr_store_answer(MR_STORE_UNKNOWN, native, "put %.90s: renamed, but fsync of its folder: %s", key,
                               strerror(native));
    }
    return result;
}

/* Creates the folders, takes the lock, and puts the temporary in place. */
static struct mr_store_result put_temporary(const struct mr_file_store *store, const char *key, const char *temporary,
                                            const struct mr_store_condition *condition)
{
    struct mr_file_path path;
    int native = mr_file_path_open(store, key, true, &path);
    if (native != 0) {
        return not_applied("put", key, "opening its folder", native);
    }
    int lock = -1;
    native = lock_key(store, key, &lock);
    if (native != 0) {
        mr_file_path_close(&path);
        return not_applied("put", key, "locking it", native);
    }
    const struct mr_store_result result = put_locked(store, &path, key, temporary, condition);
    (void)close(lock);
    mr_file_path_close(&path);
    return result;
}

static struct mr_store_result file_put(struct mr_store *base, const char *key, struct mr_bytes body,
                                       struct mr_store_condition condition)
{
    const struct mr_file_store *store = of(base);
    struct mr_store_result result = {0};
    if (refuse_key(key, &result)) {
        return result;
    }
    if (store->tmp < 0) {
        return not_applied("put", key, "the store is read-only", store->read_only_errno);
    }
    char temporary[TEMPORARY_NAME_SIZE];
    const int native = write_temporary(store, body, temporary);
    if (native != 0) {
        return not_applied("put", key, "writing a temporary file", native);
    }
    result = put_temporary(store, key, temporary, &condition);
    if (result.outcome == MR_STORE_DONE) {
        result.etag = mr_file_etag_of(body);
        result.size = body.size;
    } else {
        (void)unlinkat(store->tmp, temporary, 0);
    }
    return result;
}

/* The caller holds the key's lock. */
static struct mr_store_result remove_locked(const struct mr_file_path *path, const char *key)
{
    const int folder = path->folders[path->count - 1];
    if (unlinkat(folder, path->name, 0) != 0 && errno != ENOENT) {
        return not_applied("remove", key, "unlink", errno);
    }
    if (fsync(folder) != 0) {
        return mr_store_answer(MR_STORE_UNKNOWN, errno, "remove %.90s: unlinked, but fsync of its folder: %s", key,
                               strerror(errno));
    }
    return mr_store_answer(MR_STORE_DONE, 0, "%s", "");
}

static struct mr_store_result file_remove(struct mr_store *base, const char *key)
{
    const struct mr_file_store *store = of(base);
    struct mr_store_result result = {0};
    if (refuse_key(key, &result)) {
        return result;
    }
    if (store->tmp < 0) {
        return not_applied("remove", key, "the store is read-only", store->read_only_errno);
    }
    struct mr_file_path path;
    int native = mr_file_path_open(store, key, false, &path);
    if (native != 0) {
        result = read_failed(store, "remove", key, native);
        result.outcome = result.outcome == MR_STORE_MISSING ? MR_STORE_DONE : result.outcome;
        return result;
    }
    int lock = -1;
    native = lock_key(store, key, &lock);
    if (native != 0) {
        mr_file_path_close(&path);
        return not_applied("remove", key, "locking it", native);
    }
    result = remove_locked(&path, key);
    (void)close(lock);
    mr_file_path_close(&path);
    return result;
}

/* ---- Opening and closing --------------------------------------------------------------------------- */

static int make_folder(int parent, const char *name, int *ret_folder)
{
    if (mkdirat(parent, name, 0777) != 0 && errno != EEXIST) {
        return errno;
    }
    const int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        return errno;
    }
    *ret_folder = folder;
    return 0;
}

/* Removes a dead writer's folder. A failure leaves it for the next one. */
static void sweep_writer(int all, const char *name)
{
    const int folder = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        return;
    }
    DIR *stream = flock(folder, LOCK_EX | LOCK_NB) == 0 ? fdopendir(folder) : NULL;
    if (stream == NULL) { /* alive, or no memory */
        (void)close(folder);
        return;
    }
    for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
        }
    }
    (void)unlinkat(all, name, AT_REMOVEDIR);
    (void)closedir(stream);
}

static void sweep(int all)
{
    const int copy = openat(all, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (stream == NULL) {
        if (copy >= 0) {
            (void)close(copy);
        }
        return;
    }
    for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (entry->d_name[0] != '.') {
            sweep_writer(all, entry->d_name);
        }
    }
    (void)closedir(stream);
}

/* Every writer's folder is made and locked under the guard: one that is there and not locked has no owner any more. */
static int open_writer(struct mr_file_store *store, int own)
{
    int all = -1;
    int native = random_name(store->writer);
    const int guard = native != 0 ? -1 : openat(own, "guard", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (guard < 0) {
        return native != 0 ? native : errno;
    }
    native = mr_file_lock(guard, LOCK_EX);
    if (native == 0) {
        native = make_folder(own, "tmp", &all);
    }
    if (native == 0) {
        sweep(all);
        native = make_folder(all, store->writer, &store->tmp);
    }
    if (native == 0) {
        native = mr_file_lock(store->tmp, LOCK_EX);
    }
    if (all >= 0) {
        (void)close(all);
    }
    (void)close(guard);
    return native;
}

static int open_own(struct mr_file_store *store)
{
    int own = -1;
    int native = make_folder(store->root, MR_FILE_OWN, &own);
    if (native != 0) {
        return native;
    }
    native = make_folder(own, "locks", &store->locks);
    if (native == 0) {
        native = open_writer(store, own);
    }
    (void)close(own);
    return native;
}

static void file_close(struct mr_store *base)
{
    struct mr_file_store *store = of(base);
    if (store->tmp >= 0) {
        char name[sizeof MR_FILE_OWN + sizeof "/tmp/" + sizeof store->writer];
        (void)snprintf(name, sizeof name, "%s/tmp/%s", MR_FILE_OWN, store->writer);
        (void)unlinkat(store->root, name, AT_REMOVEDIR);
        (void)close(store->tmp);
    }
    if (store->locks >= 0) {
        (void)close(store->locks);
    }
    if (store->root >= 0) {
        (void)close(store->root);
    }
    mr_file_durable_free(store->durable);
    free(store);
}

/* mkdir -p, each new folder made durable in the one above. */
static int make_root(const char *path, int *ret_root)
{
    int at = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int native = at < 0 ? errno : 0;
    for (const char *part = path; native == 0 && *part != '\0';) {
        char name[256];
        const size_t slashes = strspn(part, "/");
        const size_t size = strcspn(part + slashes, "/");
        part += slashes + size;
        if (size == 0) {
            break;
        }
        if (size >= sizeof name) {
            native = ENAMETOOLONG;
            break;
        }
        memcpy(name, part - size, size);
        name[size] = '\0';
        const bool made = mkdirat(at, name, 0777) == 0;
        if (made && fsync(at) != 0) {
            native = errno;
            break;
        }
        const int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        native = next < 0 ? errno : 0;
        (void)close(at);
        at = next;
    }
    if (native != 0) {
        if (at >= 0) {
            (void)close(at);
        }
        return native;
    }
    *ret_root = at;
    return 0;
}

static const struct mr_store_ops ops = {
    .get = file_get,
    .head = file_head,
    .put = file_put,
    .list = mr_file_list,
    .each = mr_file_each,
    .remove = file_remove,
    .close = file_close,
};

static struct mr_error open_failed(const char *path, int native)
{
    const bool denied = native == EACCES || native == EPERM || native == EROFS;
    const bool wrong = native == ENOTDIR || native == ELOOP || native == ENAMETOOLONG;
    return mr_error_make(denied ? MR_ERROR_FATAL : (wrong ? MR_ERROR_REJECT : MR_ERROR_TRANSIENT),
                         denied ? "denied" : (wrong ? "bad_uri" : "unavailable"), native, "store folder %.120s: %s",
                         path, strerror(native));
}

struct mr_error mr_file_store_open(const char *path, struct mr_store **ret_store)
{
    struct mr_file_store *store = calloc(1, sizeof *store);
    struct mr_file_durable *durable = mr_file_durable_new();
    if (store == NULL || durable == NULL) {
        free(store);
        mr_file_durable_free(durable);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", ENOMEM, "opening store folder %.120s", path);
    }
    *store = (struct mr_file_store){.base = {&ops}, .root = -1, .locks = -1, .tmp = -1, .durable = durable};
    int native = make_root(path, &store->root);
    if (native == 0) {
        native = open_own(store);
        if (native == EACCES || native == EPERM || native == EROFS) {
            /* Whoever may only read it can still read it. */
            store->read_only_errno = native;
            native = 0;
        }
    }
    if (native != 0) {
        file_close(&store->base);
        return open_failed(path, native);
    }
    *ret_store = &store->base;
    return mr_ok();
}
