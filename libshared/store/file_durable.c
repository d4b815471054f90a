/*
 * Which folders are known to stay: an fsync of the folder above has been over since they were made. Without it every
 * put would have to sync each folder up to the root, whose entries are years old; with it, only those that are new to
 * this process, whoever made them.
 */
#define _GNU_SOURCE /* statx */
#include "file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 4096 }; /* of a folder that falls out, the entry is synced once more */

/* A folder in its parent. Numbers of removed folders are given again, so the time of birth belongs to it. */
struct entry {
    uint64_t device, parent, folder;
    int64_t born_s;
    uint32_t born_ns;
    bool known;
};

struct mr_file_durable {
    pthread_mutex_t lock;
    struct entry slots[SLOTS];
};

struct mr_file_durable *mr_file_durable_new(void)
{
    struct mr_file_durable *durable = calloc(1, sizeof *durable);
    if (durable != NULL) {
        MR_ASSERT(pthread_mutex_init(&durable->lock, NULL) == 0);
    }
    return durable;
}

void mr_file_durable_free(struct mr_file_durable *durable)
{
    if (durable != NULL) {
        (void)pthread_mutex_destroy(&durable->lock);
        free(durable);
    }
}

/* False: the file system does not tell when it was made; then nothing is known. */
static bool identify(int parent, int folder, struct entry *ret_entry)
{
    struct statx own, above;
    if (statx(folder, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &own) != 0 ||
        statx(parent, "", AT_EMPTY_PATH, STATX_INO, &above) != 0 || (own.stx_mask & STATX_BTIME) == 0) {
        return false;
    }
    *ret_entry = (struct entry){
        .device = (uint64_t)own.stx_dev_major << 32 | own.stx_dev_minor,
        .parent = above.stx_ino,
        .folder = own.stx_ino,
        .born_s = own.stx_btime.tv_sec,
        .born_ns = own.stx_btime.tv_nsec,
        .known = true,
    };
    return true;
}

static struct entry *slot_of(struct mr_file_durable *durable, const struct entry *entry)
{
    return &durable->slots[(entry->folder * 0x9e3779b97f4a7c15u >> 32) % SLOTS];
}

static bool is_known(struct mr_file_durable *durable, const struct entry *entry)
{
    MR_ASSERT(pthread_mutex_lock(&durable->lock) == 0);
    const struct entry *slot = slot_of(durable, entry);
    const bool known = slot->known && slot->device == entry->device && slot->parent == entry->parent &&
                       slot->folder == entry->folder && slot->born_s == entry->born_s &&
                       slot->born_ns == entry->born_ns;
    MR_ASSERT(pthread_mutex_unlock(&durable->lock) == 0);
    return known;
}

static void learn(struct mr_file_durable *durable, const struct entry *entry)
{
    MR_ASSERT(pthread_mutex_lock(&durable->lock) == 0);
    *slot_of(durable, entry) = *entry;
    MR_ASSERT(pthread_mutex_unlock(&durable->lock) == 0);
}

int mr_file_path_sync(const struct mr_file_store *store, const struct mr_file_path *path)
{
    if (fsync(path->folders[path->count - 1]) != 0) {
        return errno;
    }
    for (size_t i = path->count - 1; i > 0; i--) {
        struct entry entry;
        const bool identified = identify(path->folders[i - 1], path->folders[i], &entry);
        if (identified && is_known(store->durable, &entry)) {
            continue;
        }
        if (fsync(path->folders[i - 1]) != 0) {
            return errno;
        }
        if (identified) {
            learn(store->durable, &entry);
        }
    }
    return 0;
}
