#include "train_ledger.h"

#include <stdlib.h>

static void pending_free(struct train_pending *pending)
{
    if (pending->has_cut) {
        train_cut_deinit(&pending->cut);
    }
    free(pending);
}

static void pop(struct train_ledger *ledger)
{
    struct train_pending *pending = ledger->first;
    ledger->first = pending->next;
    if (ledger->first == NULL) {
        ledger->last = NULL;
    }
    pending_free(pending);
}

void train_ledger_deinit(struct train_ledger *ledger)
{
    while (ledger->first != NULL) {
        pop(ledger);
    }
    ledger->uncommitted = 0;
}

void train_ledger_drop(struct train_ledger *ledger)
{
    train_ledger_deinit(ledger);
    if (!ledger->has_floor) {
        ledger->has_floor = true;
        ledger->floor = 0; /* nothing more is given up */
    }
}

uint64_t train_ledger_fold(struct train_ledger *ledger, uint64_t offset)
{
    if (!ledger->has_floor) {
        ledger->has_floor = true;
        ledger->floor = offset;
    }
    if (ledger->last != NULL && !ledger->last->has_next) {
        ledger->last->has_next = true;
        ledger->last->next_offset = offset;
    }
    ledger->unacked++;
    return ++ledger->sequence;
}

void train_ledger_ack(struct train_ledger *ledger, uint64_t sequence)
{
    ledger->unacked--;
    for (struct train_pending *pending = ledger->first; pending != NULL; pending = pending->next) {
        if (pending->sequence >= sequence) {
            pending->unacked--;
        }
    }
}

struct train_pending *train_ledger_add(struct train_ledger *ledger, struct train_cut *cut, uint64_t origin,
                                       int64_t event_time_ms)
{
    struct train_pending *pending = calloc(1, sizeof *pending);
    if (pending == NULL) {
        return NULL;
    }
    pending->id = ++ledger->last_id;
    pending->has_cut = true;
    pending->cut = *cut;
    pending->produced = train_produced_of(cut, event_time_ms);
    pending->origin = origin;
    pending->sequence = ledger->sequence;
    pending->unacked = ledger->unacked;
    if (ledger->last == NULL) {
        ledger->first = pending;
    } else {
        ledger->last->next = pending;
    }
    ledger->last = pending;
    ledger->uncommitted++;
    return pending;
}

struct train_pending *train_ledger_find(struct train_ledger *ledger, uint64_t id)
{
    struct train_pending *pending = ledger->first;
    while (pending != NULL && pending->id != id) {
        pending = pending->next;
    }
    return pending;
}

struct train_pending *train_ledger_to_seal(const struct train_ledger *ledger)
{
    struct train_pending *pending = ledger->first;
    while (pending != NULL && pending->sealed) {
        pending = pending->next;
    }
    return pending != NULL && pending->has_cut ? pending : NULL;
}

struct train_pending *train_ledger_to_hand(const struct train_ledger *ledger)
{
    struct train_pending *pending = ledger->first;
    while (pending != NULL && pending->handed) {
        pending = pending->next;
    }
    return pending != NULL && pending->sealed && pending->unacked == 0 ? pending : NULL;
}

/* What is committed and handed leaves from the front; later ones may be neither. */
static void leave(struct train_ledger *ledger)
{
    while (ledger->first != NULL && ledger->first->committed && ledger->first->handed) {
        pop(ledger);
    }
}

void train_ledger_handed(struct train_ledger *ledger, struct train_pending *pending)
{
    pending->handed = true;
    leave(ledger);
}

struct train_pending *train_ledger_produced(const struct train_ledger *ledger, const struct mr_sha256 *content_hash)
{
    for (struct train_pending *pending = ledger->first; pending != NULL; pending = pending->next) {
        if (pending->sealed && !pending->committed && mr_sha256_equal(&pending->produced.content_hash, content_hash)) {
            return pending;
        }
    }
    return NULL;
}

void train_ledger_committed(struct train_ledger *ledger, struct train_pending *pending)
{
    for (struct train_pending *each = ledger->first; each != pending->next; each = each->next) {
        if (!each->committed) {
            each->committed = true;
            ledger->uncommitted--;
        }
    }
    ledger->has_floor = pending->has_next;
    ledger->floor = pending->next_offset;
    leave(ledger);
}

uint64_t train_ledger_floor(const struct train_ledger *ledger, bool run_open)
{
    const bool holds = ledger->has_floor && (run_open || ledger->first != NULL);
    return holds ? ledger->floor : UINT64_MAX;
}
