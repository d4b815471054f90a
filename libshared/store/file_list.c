/* Listing of the file:/// back end: a walk of the folders in the byte order of whole keys. */
#include "file_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a folder's names, as many are held at once: of a larger one the lowest, and then it is read again. */
enum { WINDOW_NAMES = 16384 };

struct walk {
    const char *prefix, *after;
    size_t prefix_size;
    int (*take)(struct walk *walk, uint64_t size); /* the file whose key is at hand; may set `enough` */
    bool enough;
    char key[MR_STORE_KEY_MAX + 2]; /* of the file or folder at hand; a folder's ends in '/' */
};

/* A folder's name has a '/' at its end, which is what puts names in the order of whole keys. */
struct names {
    char **items;
    size_t count, capacity;
    bool cut; /* there are more behind items[WINDOW_NAMES - 1] */
};

static void names_truncate(struct names *names, size_t count)
{
    while (names->count > count) {
        free(names->items[--names->count]);
    }
}

static void names_deinit(struct names *names)
{
    names_truncate(names, 0);
    free(names->items);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_sort(struct names *names)
{
    if (names->count > 1) {
        qsort(names->items, names->count, sizeof *names->items, by_bytes);
    }
    if (names->count > WINDOW_NAMES) {
        names_truncate(names, WINDOW_NAMES);
        names->cut = true;
    }
}

static int names_add(struct names *names, const char *name)
{
    if (names->cut && strcmp(name, names->items[WINDOW_NAMES - 1]) > 0) {
        return 0;
    }
    if (names->count == (size_t)2 * WINDOW_NAMES) {
        names_sort(names);
    }
    if (names->count == names->capacity) {
        const size_t capacity = names->capacity == 0 ? 64 : names->capacity * 2;
        char **items = realloc(names->items, capacity * sizeof *items);
        if (items == NULL) {
            return ENOMEM;
        }
        names->items = items;
        names->capacity = capacity;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return ENOMEM;
    }
    names->items[names->count++] = copy;
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

/* 0 for what is neither a plain file nor a folder, or is gone since. */
static int kind_of(int folder, const struct dirent *entry, mode_t *ret_kind)
{
    struct stat about;
    *ret_kind = 0;
    if (entry->d_type != DT_UNKNOWN) {
        *ret_kind = entry->d_type == DT_REG ? S_IFREG : entry->d_type == DT_DIR ? S_IFDIR : 0;
        return 0;
    }
    if (fstatat(folder, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? 0 : errno;
    }
    *ret_kind = S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) ? about.st_mode & S_IFMT : 0;
    return 0;
}

/* A folder on the walk. */
struct place {
    DIR *stream;
    size_t used, depth; /* of the key: its bytes and parts */
};

static int consider(struct walk *walk, const struct place *place, const struct dirent *entry, const char *behind,
                    struct names *names)
{
    mode_t kind = 0;
    const size_t size = strlen(entry->d_name);
    if (!mr_store_part_valid(entry->d_name, size) || (place->depth == 0 && strcmp(entry->d_name, MR_FILE_OWN) == 0)) {
        return 0;
    }
    if (place->used + size > MR_STORE_KEY_MAX || place->depth >= MR_STORE_KEY_PARTS_MAX) {
        return 0; /* no key is that long or deep */
    }
    const int native = kind_of(dirfd(place->stream), entry, &kind);
    if (native != 0 || kind == 0) {
        return native;
    }
    char *name = walk->key + place->used;
    memcpy(name, entry->d_name, size);
    memcpy(name + size, kind == S_IFDIR ? "/" : "", kind == S_IFDIR ? 2 : 1);
    return wanted(walk, walk->key, kind == S_IFDIR) && strcmp(name, behind) > 0 ? names_add(names, name) : 0;
}

/* The lowest names behind the one given. */
static int names_read(struct walk *walk, const struct place *place, const char *behind, struct names *names)
{
    int native = 0;
    rewinddir(place->stream);
    while (native == 0) {
        errno = 0;
        const struct dirent *entry = readdir(place->stream);
        if (entry == NULL) {
            native = errno;
            break;
        }
        native = consider(walk, place, entry, behind, names);
    }
    names_sort(names);
    return native;
}

static int walk_folder(struct walk *walk, int folder, size_t used, size_t depth);

static int visit(struct walk *walk, const struct place *place, const char *name)
{
    struct stat about;
    const int folder = dirfd(place->stream);
    const size_t size = strlen(name);
    memcpy(walk->key + place->used, name, size + 1);
    if (name[size - 1] == '/') {
        const int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0) {
            return errno == ENOENT ? 0 : errno;
        }
        return walk_folder(walk, inner, place->used + size, place->depth + 1);
    }
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? 0 : errno;
    }
    return walk->take(walk, (uint64_t)about.st_size);
}

/* Takes the descriptor. The recursion is as deep as keys have parts: at most MR_STORE_KEY_PARTS_MAX. */
static int walk_folder(struct walk *walk, int folder, size_t used, size_t depth)
{
    const struct place place = {.stream = fdopendir(folder), .used = used, .depth = depth};
    char behind[NAME_MAX + 2] = "";
    int native = place.stream == NULL ? errno : 0;
    if (native != 0) {
        (void)close(folder);
        return native;
    }
    for (bool more = true; more && native == 0;) {
        struct names names = {0};
        native = names_read(walk, &place, behind, &names);
        for (size_t i = 0; native == 0 && !walk->enough && i < names.count; i++) {
            native = visit(walk, &place, names.items[i]);
        }
        more = names.cut && !walk->enough;
        if (more) {
            memcpy(behind, names.items[names.count - 1], strlen(names.items[names.count - 1]) + 1);
        }
        names_deinit(&names);
    }
    (void)closedir(place.stream);
    return native;
}

static struct mr_store_result walk_store(struct mr_store *base, struct walk *walk)
{
    const struct mr_file_store *store = (const struct mr_file_store *)base;
    int native = mr_file_root_alive(store) ? 0 : ESTALE;
    if (native == 0) {
        const int root = openat(store->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        native = root < 0 ? errno : walk_folder(walk, root, 0, 0);
    }
    if (native == 0) {
        return mr_store_answer(MR_STORE_DONE, 0, "%s", "");
    }
    return mr_store_answer(native == EACCES || native == EPERM ? MR_STORE_DENIED : MR_STORE_UNAVAILABLE, native,
                           "list \"%s\": %s", walk->prefix, strerror(native));
}

/* ---- One page ------------------------------------------------------------------------------------------ */

struct page_walk {
    struct walk walk;
    uint32_t limit;
    size_t capacity;
    struct mr_store_page page;
};

static int page_take(struct walk *walk, uint64_t size)
{
    struct page_walk *self = (struct page_walk *)walk; /* its first member */
    struct mr_store_page *page = &self->page;
    if (page->count == self->limit) {
        page->more = true;
        walk->enough = true;
        return 0;
    }
    if (page->count == self->capacity) {
        const size_t capacity = self->capacity == 0 ? 32 : self->capacity * 2;
        struct mr_store_entry *entries = realloc(page->entries, capacity * sizeof *entries);
        if (entries == NULL) {
            return ENOMEM;
        }
        page->entries = entries;
        self->capacity = capacity;
    }
    char *key = strdup(walk->key);
    if (key == NULL) {
        return ENOMEM;
    }
    page->entries[page->count++] = (struct mr_store_entry){.key = key, .size = size};
    return 0;
}

struct mr_store_result mr_file_list(struct mr_store *base, const char *prefix, const char *after, uint32_t limit,
                                    struct mr_store_page *ret_page)
{
    if (limit < 1 || limit > 1000) {
        return mr_store_answer(MR_STORE_DENIED, EINVAL, "list \"%s\": limit %u is not within 1 to 1,000", prefix,
                               limit);
    }
    struct page_walk self = {
        .walk = {.prefix = prefix, .prefix_size = strlen(prefix), .after = after, .take = page_take}, .limit = limit};
    const struct mr_store_result result = walk_store(base, &self.walk);
    if (result.outcome == MR_STORE_DONE) {
        *ret_page = self.page;
    } else {
        mr_store_page_deinit(&self.page);
    }
    return result;
}

/* ---- All of them ----------------------------------------------------------------------------------------- */

struct each_walk {
    struct walk walk;
    bool (*each)(void *self, const struct mr_store_entry *entry);
    void *self;
};

static int each_take(struct walk *walk, uint64_t size)
{
    const struct each_walk *self = (const struct each_walk *)walk; /* its first member */
    const struct mr_store_entry entry = {.key = walk->key, .size = size};
    walk->enough = !self->each(self->self, &entry);
    return 0;
}

struct mr_store_result mr_file_each(struct mr_store *base, const char *prefix,
                                    bool (*each)(void *self, const struct mr_store_entry *entry), void *self)
{
    struct each_walk walk = {.walk = {.prefix = prefix, .prefix_size = strlen(prefix), .after = "", .take = each_take},
                             .each = each,
                             .self = self};
    return walk_store(base, &walk.walk);
}
