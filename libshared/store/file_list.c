/* Listing of the file:/// back end: a walk of the folders in the byte order of whole keys. */
#include "file_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
    const char *prefix, *after;
    size_t prefix_size;
    uint32_t limit;
    size_t capacity;
    struct mr_store_page page;
    char key[MR_STORE_KEY_MAX + 2]; /* of the folder at hand, with its '/' */
};

/* The names of a folder; a folder's has a '/' at its end, which is what puts them in the order of whole keys. */
struct names {
    char **items;
    size_t count, capacity;
};

static void names_deinit(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i]);
    }
    free(names->items);
}

static int names_add(struct names *names, const char *name, bool folder)
{
    if (names->count == names->capacity) {
        const size_t capacity = names->capacity == 0 ? 64 : names->capacity * 2;
        char **items = realloc(names->items, capacity * sizeof *items);
        if (items == NULL) {
            return ENOMEM;
        }
        names->items = items;
        names->capacity = capacity;
    }
    const size_t size = strlen(name);
    char *copy = malloc(size + 2);
    if (copy == NULL) {
        return ENOMEM;
    }
    memcpy(copy, name, size);
    memcpy(copy + size, folder ? "/" : "", folder ? 2 : 1);
    names->items[names->count++] = copy;
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Plain files and folders whose names can be part of a key. */
static int names_read(int folder, bool root, struct names *names)
{
    const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (stream == NULL) {
        const int native = errno;
        if (copy >= 0) {
            (void)close(copy);
        }
        return native;
    }
    int native = 0;
    while (native == 0) {
        struct stat about;
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            native = errno;
            break;
        }
        if (!mr_store_part_valid(entry->d_name, strlen(entry->d_name)) ||
            (root && strcmp(entry->d_name, MR_FILE_OWN) == 0)) {
            continue;
        }
        if (fstatat(folder, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
            native = errno == ENOENT ? 0 : errno; /* gone since: not there */
        } else if (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode)) {
            native = names_add(names, entry->d_name, S_ISDIR(about.st_mode));
        }
    }
    (void)closedir(stream);
    if (names->count > 1) {
        qsort(names->items, names->count, sizeof *names->items, by_bytes);
    }
    return native;
}

static int page_add(struct walk *walk, int folder, const char *name)
{
    struct stat about;
    struct mr_store_page *page = &walk->page;
    if (page->count == walk->limit) {
        page->more = true;
        return 0;
    }
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? 0 : errno;
    }
    if (page->count == walk->capacity) {
        const size_t capacity = walk->capacity == 0 ? 32 : walk->capacity * 2;
        struct mr_store_entry *entries = realloc(page->entries, capacity * sizeof *entries);
        if (entries == NULL) {
            return ENOMEM;
        }
        page->entries = entries;
        walk->capacity = capacity;
    }
    char *key = strdup(walk->key);
    if (key == NULL) {
        return ENOMEM;
    }
    page->entries[page->count++] = (struct mr_store_entry){.key = key, .size = (uint64_t)about.st_size};
    return 0;
}

/* Whether keys that begin with `stem` can be wanted: some of them have the prefix, and come after `after`. */
static bool wanted(const struct walk *walk, const char *stem, bool folder)
{
    const size_t size = strlen(stem);
    const size_t shared = size < walk->prefix_size ? size : walk->prefix_size;
    if (memcmp(stem, walk->prefix, shared) != 0 || (!folder && size < walk->prefix_size)) {
        return false;
    }
    return strcmp(stem, walk->after) > 0 || (folder && strncmp(walk->after, stem, size) == 0);
}

/* The recursion is as deep as keys have parts: at most MR_STORE_KEY_PARTS_MAX. */
static int walk_folder(struct walk *walk, int folder, size_t used, size_t depth)
{
    struct names names = {0};
    int native = names_read(folder, depth == 0, &names);
    for (size_t i = 0; native == 0 && !walk->page.more && i < names.count; i++) {
        const size_t size = strlen(names.items[i]);
        const bool is_folder = names.items[i][size - 1] == '/';
        if (used + size > MR_STORE_KEY_MAX || depth >= MR_STORE_KEY_PARTS_MAX) {
            continue; /* no key is that long or deep */
        }
        memcpy(walk->key + used, names.items[i], size + 1);
        if (!wanted(walk, walk->key, is_folder)) {
            continue;
        }
        if (!is_folder) {
            native = page_add(walk, folder, names.items[i]);
            continue;
        }
        const int inner = openat(folder, names.items[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0) {
            native = errno == ENOENT ? 0 : errno;
            continue;
        }
        native = walk_folder(walk, inner, used + size, depth + 1);
        (void)close(inner);
    }
    names_deinit(&names);
    return native;
}

struct mr_store_result mr_file_list(struct mr_store *base, const char *prefix, const char *after, uint32_t limit,
                                    struct mr_store_page *ret_page)
{
    const struct mr_file_store *store = (const struct mr_file_store *)base;
    if (limit < 1 || limit > 1000) {
        return mr_store_answer(MR_STORE_DENIED, EINVAL, "list \"%s\": limit %u is not within 1 to 1,000", prefix,
                               limit);
    }
    struct walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        return mr_store_answer(MR_STORE_UNAVAILABLE, ENOMEM, "list \"%s\": out of memory", prefix);
    }
    *walk = (struct walk){.prefix = prefix, .prefix_size = strlen(prefix), .after = after, .limit = limit};
    const int native = mr_file_root_alive(store) ? walk_folder(walk, store->root, 0, 0) : ESTALE;
    if (native == 0) {
        *ret_page = walk->page;
        free(walk);
        return mr_store_answer(MR_STORE_DONE, 0, "%s", "");
    }
    mr_store_page_deinit(&walk->page);
    free(walk);
    return mr_store_answer(native == EACCES || native == EPERM ? MR_STORE_DENIED : MR_STORE_UNAVAILABLE, native,
                           "list \"%s\": %s", prefix, strerror(native));
}
