/* Between the files of the file:/// back end. */
#ifndef MR_FILE_INTERNAL_H
#define MR_FILE_INTERNAL_H

#include "store_internal.h"

/* The back end's own files, never listed and never a key:
 *   .millrace/guard          held while a writer's folder is made or swept
 *   .millrace/locks/<xxx>    4,096 lock files; a key uses the one that its SHA-256 names
 *   .millrace/tmp/<writer>/  what one open store is writing; its owner holds a lock on the folder while it lives */
#define MR_FILE_OWN ".millrace"

struct mr_file_durable;
struct mr_file_store {
    struct mr_store base;
    int root, locks, tmp; /* descriptors of folders; locks and tmp are -1 when the store cannot be written */
    int read_only_errno;  /* why it cannot */
    char writer[33];      /* the name of tmp */
    struct mr_file_durable *durable;
};

/* The folders from the root to the one that holds the key's file: [0] is the root's own descriptor, never closed. */
struct mr_file_path {
    int folders[MR_STORE_KEY_PARTS_MAX + 1];
    size_t count;
    const char *name; /* the key's last part */
};
/* 0 or an errno. `create` makes folders that are missing. */
MR_MUST_USE int mr_file_path_open(const struct mr_file_store *store, const char *key, bool create,
                                  struct mr_file_path *ret_path);
void mr_file_path_close(struct mr_file_path *path);
/* fsync of the folder that holds the entry, and of those above whose own folder is not known to stay: then the entry
 * and all folders above it are durable, whoever made them. */
MR_MUST_USE int mr_file_path_sync(const struct mr_file_store *store, const struct mr_file_path *path);
struct mr_file_durable *mr_file_durable_new(void); /* NULL: memory is out */
void mr_file_durable_free(struct mr_file_durable *durable);

/* False when somebody removed the store's folder: then "no such object" would be no answer. */
MR_MUST_USE bool mr_file_root_alive(const struct mr_file_store *store);
/* Opens the key's file for reading: a plain file and nothing else (ENOENT otherwise). 0 or an errno. */
MR_MUST_USE int mr_file_object_open(const struct mr_file_path *path, int *ret_file, uint64_t *ret_size);
/* Reads up to `count` bytes from `first` on; 0 or an errno (ENOMEM). */
MR_MUST_USE int mr_file_read(int file, uint64_t first, uint64_t count, struct mr_buffer *ret_body);
/* The content's SHA-256. */
MR_MUST_USE int mr_file_etag(int file, struct mr_etag *ret_etag);
MR_MUST_USE struct mr_etag mr_file_etag_of(struct mr_bytes body);
MR_MUST_USE int mr_file_write(int file, struct mr_bytes body);
/* flock, begun again after a signal. */
MR_MUST_USE int mr_file_lock(int file, int operation);

MR_MUST_USE struct mr_store_result mr_file_list(struct mr_store *store, const char *prefix, const char *after,
                                                uint32_t limit, struct mr_store_page *ret_page);
MR_MUST_USE struct mr_store_result mr_file_each(struct mr_store *store, const char *prefix,
                                                bool (*each)(void *self, const struct mr_store_entry *entry),
                                                void *self);

#endif
