/* A store whose next answers are written by the test: any outcome, before or after the operation took effect. */
#ifndef SCRIPTED_STORE_H
#define SCRIPTED_STORE_H

#include "millrace/store.h"

struct scripted_store {
    struct mr_store base;
    struct mr_store *real;           /* takes what is let through */
    enum mr_store_outcome put, head; /* 0: what the real store says */
    bool put_applies;                /* a scripted put takes effect before its answer is lost */
    unsigned puts, heads;
};
/* `real` stays the caller's. */
void scripted_store_init(struct scripted_store *store, struct mr_store *real);

#endif
