/*
 * Objects by key, with conditional writes. Two back ends: file:///dir and s3://bucket/prefix.
 *
 * Every answer is one outcome. A write whose answer was lost is UNKNOWN: the caller reads back, and never takes it for
 * a failure. Keys: '/'-separated parts of 1 to 255 bytes of A-Z a-z 0-9 . _ : -, none of them "." or "..", at most 32
 * parts and 1,024 bytes. A key that no object can have is DENIED with native EINVAL. file:/// keeps folders for parts
 * (so no object below an object: DENIED), and ".millrace" for itself; it needs a local file system.
 *
 * ETags are of the content, so IF_MATCH cannot see ABA: an object that is what it was before has the ETag that it had
 * before. Whoever swaps an object puts something into each body that no other has (head.json: the commit id).
 */
#ifndef MR_STORE_H
#define MR_STORE_H

#include "millrace/base.h"

enum mr_store_outcome {
    MR_STORE_DONE = 1,
    MR_STORE_MISSING,             /* no such key (on If-Match too) */
    MR_STORE_PRECONDITION_FAILED, /* 412: the condition did not hold when it was looked at. Behind a proxy that sends
                                     requests twice it may be our own write that it met: rule C6 reads back */
    MR_STORE_CONFLICT, /* 409: another write was in progress; nothing is known but that this one did not apply */
    MR_STORE_DENIED,
    MR_STORE_THROTTLED,   /* asked to come back later, and did nothing */
    MR_STORE_UNAVAILABLE, /* a read that failed, or a write that certainly did not apply: connect refused, disk full
                             before the rename; `detail` says which step */
    MR_STORE_UNKNOWN,     /* a write that may or may not have been applied */
    MR_STORE_LAST = MR_STORE_UNKNOWN,
};
const char *mr_store_outcome_text(enum mr_store_outcome outcome);

enum { MR_ETAG_SIZE = 80 };
struct mr_etag {
    char text[MR_ETAG_SIZE]; /* unquoted */
};

struct mr_store_result {
    enum mr_store_outcome outcome;
    int64_t native;      /* errno or HTTP status; where no whole reply came, libcurl's code below zero */
    struct mr_etag etag; /* of head, put and a get of the whole object, when DONE; empty where a put without condition
                            was sent in parts and the server did not tell it */
    uint64_t size;       /* of the whole object; of get and head */
    bool keeps_versions; /* of a put of s3://: the server told of a version, so it keeps the one before it too */
    char detail[MR_ERROR_DETAIL_MAX];
};

enum mr_store_condition_kind { MR_STORE_ALWAYS = 1, MR_STORE_IF_ABSENT, MR_STORE_IF_MATCH };
struct mr_store_condition {
    enum mr_store_condition_kind kind;
    struct mr_etag etag; /* of IF_MATCH */
};

struct mr_store_range {
    uint64_t first, count; /* count 0: to the end */
};

struct mr_store_entry {
    char *key;
    uint64_t size;
    struct mr_etag etag; /* empty where the back end would have to read the object for it (file:///) */
};
/* One page of a listing: keys in ascending byte order. */
struct mr_store_page {
    struct mr_store_entry *entries;
    size_t count;
    bool more; /* ask again, after the last key */
};
void mr_store_page_deinit(struct mr_store_page *page);

/* Thread-safe: any thread may call any operation at any time. */
struct mr_store {
    const struct mr_store_ops *ops;
};
struct mr_store_ops {
    /* Appends the bytes to ret_body, which is unchanged unless DONE. A range beyond the end gives fewer bytes. */
    struct mr_store_result (*get)(struct mr_store *, const char *key, struct mr_store_range range,
                                  struct mr_buffer *ret_body);
    struct mr_store_result (*head)(struct mr_store *, const char *key);
    struct mr_store_result (*put)(struct mr_store *, const char *key, struct mr_bytes body,
                                  struct mr_store_condition condition);
    /* Keys that begin with prefix and come after `after` ("" for the first page), at most `limit` (1 to 1,000). */
    struct mr_store_result (*list)(struct mr_store *, const char *prefix, const char *after, uint32_t limit,
                                   struct mr_store_page *ret_page);
    /* mr_store_each, where the back end does it better than by pages; else NULL. */
    struct mr_store_result (*each)(struct mr_store *, const char *prefix,
                                   bool (*each)(void *self, const struct mr_store_entry *entry), void *self);
    /* DONE also when it was not there. */
    struct mr_store_result (*remove)(struct mr_store *, const char *key);
    void (*close)(struct mr_store *);
};

enum { MR_FILE_PATH_SIZE = 4096 };
/* The path of file:///absolute/path, with its %XX decoded. False: it is no such URI, or too long. */
MR_MUST_USE bool mr_file_uri_path(const char *uri, char ret_path[MR_FILE_PATH_SIZE]);
/* By URI; REJECT "bad_uri" or "unsupported_scheme", UNAVAILABLE-like failures are TRANSIENT. file:/// creates the
 * directory. s3:// asks no server yet; it takes its settings and credentials from the environment: REJECT
 * "bad_setting", "no_credentials" or "bad_credentials". */
MR_MUST_USE struct mr_error mr_store_open(const char *uri, struct mr_store **ret_store);
/* The settings of s3://, for the documentation. */
struct mr_option_table;
extern const struct mr_option_table mr_store_s3_settings;
/* Calls `each` for the keys that begin with prefix, in ascending byte order, until it gives false. What is there all
 * the while is given, and nothing twice; what comes or goes meanwhile may be. The entry lives until `each` returns. */
MR_MUST_USE struct mr_store_result mr_store_each(struct mr_store *store, const char *prefix,
                                                 bool (*each)(void *self, const struct mr_store_entry *entry),
                                                 void *self);

static inline struct mr_store_result mr_store_get(struct mr_store *s, const char *key, struct mr_buffer *ret_body)
{
    return s->ops->get(s, key, (struct mr_store_range){0, 0}, ret_body);
}
static inline struct mr_store_result mr_store_head(struct mr_store *s, const char *key)
{
    return s->ops->head(s, key);
}
static inline struct mr_store_result mr_store_put(struct mr_store *s, const char *key, struct mr_bytes body,
                                                  struct mr_store_condition condition)
{
    return s->ops->put(s, key, body, condition);
}
static inline struct mr_store_result mr_store_list(struct mr_store *s, const char *prefix, const char *after,
                                                   uint32_t limit, struct mr_store_page *ret_page)
{
    return s->ops->list(s, prefix, after, limit, ret_page);
}
static inline struct mr_store_result mr_store_remove(struct mr_store *s, const char *key)
{
    return s->ops->remove(s, key);
}
static inline void mr_store_close(struct mr_store *s)
{
    if (s != NULL) {
        s->ops->close(s);
    }
}

#endif
