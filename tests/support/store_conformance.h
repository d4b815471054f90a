/* What store.h promises of every back end. The fixture opens an empty store for each test. */
#ifndef STORE_CONFORMANCE_H
#define STORE_CONFORMANCE_H

#include "millrace/store.h"

#include <check.h>

extern struct mr_store *conformance_store;
void store_conformance_add(TCase *tcase);

static const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
static const struct mr_store_condition absent = {.kind = MR_STORE_IF_ABSENT};
static inline struct mr_store_condition match(struct mr_etag etag)
{
    return (struct mr_store_condition){.kind = MR_STORE_IF_MATCH, .etag = etag};
}
struct mr_store_result conformance_put(const char *key, const char *text, struct mr_store_condition condition);
void conformance_expect_text(const char *key, const char *text);

#endif
