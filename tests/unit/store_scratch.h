/* A scratch folder for one test, removed with all that is in it. */
#ifndef STORE_SCRATCH_H
#define STORE_SCRATCH_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct scratch {
    char path[64], uri[80];
};

static int scratch_remove(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline struct scratch scratch_make(void)
{
    struct scratch scratch = {.path = "/tmp/mr_store_XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(scratch.path));
    (void)snprintf(scratch.uri, sizeof scratch.uri, "file://%s", scratch.path);
    return scratch;
}

static inline void scratch_drop(const struct scratch *scratch)
{
    ck_assert_int_eq(nftw(scratch->path, scratch_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
