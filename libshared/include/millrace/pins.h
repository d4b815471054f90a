/*
 * What GC must leave alone: pinned versions, and those that an open run restarts from.
 *
 *   <model>/pins/<version id>/<name>                                   by people: until it is removed
 *   <model>/pins/<version id>/run:<log id>:<partition>:<offset>        by train: until head is past the start of that
 * run <model>/restarts/<log id>:<partition>:<offset>.json                whether that run may use the version; for good
 *
 * GC puts collected.json, then lists the pins, then removes the payload; whoever pins puts the pin, then looks for
 * collected.json. So a pin that finds none was seen by every GC since: its payload stays (rule C11).
 *
 * Errors are those of reading in versions.h, and REJECT "version_gone": GC has collected the version, or has begun to.
 */
#ifndef MR_PINS_H
#define MR_PINS_H

#include "millrace/versions.h"

/* Keeps the payload of a version of the chain; a pin that is there already is as good. REJECT "bad_id": name is no id
 * (rule O10). On "version_gone" the payload may go at any time; where GC began just then, the pin stands all the same.
 */
MR_MUST_USE struct mr_error mr_pin_put(struct mr_store *store, const char *model_id, struct mr_version_choice choice,
                                       const char *name, char ret_version_id[MR_VERSION_ID_SIZE]);
/* REJECT "not_found": there is no such pin. The version need not be in the chain; name may be a run's pin too. */
MR_MUST_USE struct mr_error mr_pin_remove(struct mr_store *store, const char *model_id, struct mr_version_choice choice,
                                          const char *name, char ret_version_id[MR_VERSION_ID_SIZE]);

struct mr_pin {
    char version_id[MR_VERSION_ID_SIZE];
    uint64_t counter;
    const char *name; /* until the callback returns */
    bool of_run;      /* then start is where the run began */
    struct mr_position start;
};
/* Calls `each` for every pin of the model, by version id and name, until it fails. */
MR_MUST_USE struct mr_error mr_pins_each(struct mr_store *store, const char *model_id,
                                         struct mr_error (*each)(void *self, const struct mr_pin *pin), void *self);

/* Decides, once and for whoever folds this start again, whether the run may begin from the version (rule C9). If so,
 * its payload stays until head is at `start` or past it. */
MR_MUST_USE struct mr_error mr_restart_decide(struct mr_store *store, const char *model_id, const char *version_id,
                                              const struct mr_position *start, bool *ret_held);
/* Only reads: what was decided, if it was. */
MR_MUST_USE struct mr_error mr_restart_read(struct mr_store *store, const char *model_id, const char *version_id,
                                            const struct mr_position *start, bool *ret_decided, bool *ret_held);

#endif
