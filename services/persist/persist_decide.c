#include "persist.h"

#include <string.h>

/* ---- Small truths -------------------------------------------------------------------------------------- */

static bool same_hash(const struct mr_sha256 *a, const struct mr_sha256 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool before(struct persist_place a, struct persist_place b)
{
    return a.epoch < b.epoch || (a.epoch == b.epoch && a.offset < b.offset);
}

/* `previous` is the checkpoint of the event before ours, so it stands at prev_origin: once head is there or past it
 * with other content, it never comes. */
static bool ancestor_may_come(const struct persist_checkpoint *ours, const struct persist_record *head)
{
    if (!ours->has_previous) {
        return false; /* a first checkpoint, and head is another's */
    }
    const struct persist_place ancestor = {ours->position.epoch, ours->prev_origin};
    return !ours->has_prev_origin || before(head->position, ancestor);
}

/* ---- Steps --------------------------------------------------------------------------------------------- */

static struct persist_step go(const struct persist_state *state, enum persist_state_kind next,
                              enum persist_decision_kind decision)
{
    struct persist_step step = {.next = *state, .decision = {.kind = decision}};
    step.next.kind = next;
    return step;
}

static struct persist_step read_head(const struct persist_state *state, enum persist_suspicion suspicion)
{
    struct persist_step step = go(state, PERSIST_STATE_READING_HEAD, PERSIST_DECISION_READ_HEAD);
    step.next.suspicion = suspicion;
    return step;
}

static struct persist_step read_metadata(const struct persist_state *state, enum persist_state_kind next,
                                         const char *version_id, const struct mr_sha256 *record_hash, uint64_t counter)
{
    struct persist_step step = go(state, next, PERSIST_DECISION_READ_METADATA);
    step.next.cursor_counter = counter;
    step.next.cursor_record_hash = *record_hash;
    memcpy(step.next.cursor_version_id, version_id, sizeof step.next.cursor_version_id);
    step.decision.of.read_metadata.record_hash = *record_hash;
    memcpy(step.decision.of.read_metadata.version_id, version_id, sizeof step.next.cursor_version_id);
    return step;
}

static struct persist_step read_cursor(const struct persist_state *state)
{
    return read_metadata(state, state->kind, state->cursor_version_id, &state->cursor_record_hash,
                         state->cursor_counter);
}

static struct persist_step wait_in(const struct persist_state *state, enum persist_state_kind next,
                                   enum persist_wait why)
{
    struct persist_step step = go(state, next, PERSIST_DECISION_WAIT);
    step.decision.of.wait = why;
    return step;
}

static struct persist_step emit(const struct persist_state *state, enum persist_emit how)
{
    struct persist_step step = go(state, PERSIST_STATE_ENDED, PERSIST_DECISION_EMIT);
    step.decision.of.emit = how;
    return step;
}

static struct persist_step abandon(const struct persist_state *state, enum persist_abandon why,
                                   const struct mr_sha256 *remote_hash)
{
    struct persist_step step = go(state, PERSIST_STATE_ENDED, PERSIST_DECISION_ABANDON);
    step.decision.of.abandon.why = why;
    step.decision.of.abandon.remote_hash = *remote_hash;
    return step;
}

static struct persist_step stop(const struct persist_state *state, enum persist_stop why)
{
    struct persist_step step = go(state, PERSIST_STATE_ENDED, PERSIST_DECISION_STOP);
    step.decision.of.stop = why;
    return step;
}

static struct persist_step refuse(const struct persist_state *state, enum persist_refuse why)
{
    struct persist_step step = go(state, PERSIST_STATE_ENDED, PERSIST_DECISION_REFUSE);
    step.decision.of.refuse = why;
    return step;
}

static struct persist_step fault(const struct persist_state *state)
{
    return (struct persist_step){.next = *state, .decision = {.kind = PERSIST_DECISION_FAULT}};
}

/* A read that gave nothing: it is asked again, unless it is forbidden. */
static struct persist_step unread(const struct persist_state *state, enum mr_store_outcome outcome)
{
    return outcome == MR_STORE_DENIED ? refuse(state, PERSIST_REFUSE_DENIED)
                                      : wait_in(state, state->kind, PERSIST_WAIT_LOCAL_PENDING);
}

/* ---- Head ------------------------------------------------------------------------------------------------ */

/* Fast-forward: head is our checkpoint's previous. */
static struct persist_step go_on(const struct persist_state *state, const struct persist_record *head)
{
    switch (state->suspicion) {
    case PERSIST_SUSPICION_SPOOL_MISSING: return stop(state, PERSIST_STOP_SPOOL_MISSING);
    case PERSIST_SUSPICION_SPOOL_CORRUPT: return stop(state, PERSIST_STOP_SPOOL_CORRUPT);
    case PERSIST_SUSPICION_NONE:
    case PERSIST_SUSPICION_HEAD_MISSING: {
        struct persist_step step = go(state, PERSIST_STATE_READING_SPOOL, PERSIST_DECISION_READ_SPOOL);
        step.next.genesis = head == NULL;
        step.next.base_counter = head == NULL ? 0 : head->counter;
        step.next.base_record_hash = head == NULL ? (struct mr_sha256){{0}} : head->record_hash;
        step.next.counter = head == NULL ? 0 : head->counter + 1;
        return step;
    }
    }
    mr_unreachable(__func__);
}

/* "Already there" is decided before anything else is read: the spool may be gone by then. */
static struct persist_step judge(const struct persist_state *state, const struct persist_record *head)
{
    const struct persist_checkpoint *ours = &state->ours;
    if (!before(head->position, ours->position)) {
        struct persist_step step =
            read_metadata(state, PERSIST_STATE_WALKING, head->version_id, &head->record_hash, head->counter);
        step.next.passed_content_hash = head->content_hash;
        return step;
    }
    if (ours->has_previous && same_hash(&ours->previous, &head->content_hash)) {
        return go_on(state, head);
    }
    if (ancestor_may_come(ours, head)) {
        struct persist_step step = wait_in(state, PERSIST_STATE_READING_HEAD, PERSIST_WAIT_NOT_FAST_FORWARD);
        step.next.suspicion = PERSIST_SUSPICION_NONE; /* it was about another head */
        return step;
    }
    return abandon(state, PERSIST_ABANDON_ROLLBACK_REQUIRED, &head->content_hash);
}

/* The store said "not found". That is genesis only for a first checkpoint, and only if no version above genesis says
 * that there was a head. */
static struct persist_step without_head(const struct persist_state *state)
{
    switch (state->suspicion) {
    case PERSIST_SUSPICION_HEAD_MISSING: return stop(state, PERSIST_STOP_HEAD_MISSING);
    case PERSIST_SUSPICION_SPOOL_MISSING: return stop(state, PERSIST_STOP_SPOOL_MISSING);
    case PERSIST_SUSPICION_SPOOL_CORRUPT: return stop(state, PERSIST_STOP_SPOOL_CORRUPT);
    case PERSIST_SUSPICION_NONE:
        return state->ours.has_previous ? stop(state, PERSIST_STOP_HEAD_MISSING)
                                        : go(state, PERSIST_STATE_LISTING, PERSIST_DECISION_LIST_VERSIONS);
    }
    mr_unreachable(__func__);
}

/* Head is there, or the store could not tell; `judgement` is of the record that it names. */
static struct persist_step with_head(const struct persist_state *state, enum mr_store_outcome outcome,
                                     enum persist_finding finding, const struct persist_record *record,
                                     struct persist_step (*judgement)(const struct persist_state *,
                                                                      const struct persist_record *))
{
    if (outcome != MR_STORE_DONE) {
        return unread(state, outcome);
    }
    switch (finding) {
    case PERSIST_FINDING_RECORD: return judgement(state, record);
    case PERSIST_FINDING_FOREIGN_LOG: return refuse(state, PERSIST_REFUSE_LOG_DISCONTINUITY);
    case PERSIST_FINDING_BROKEN: return stop(state, PERSIST_STOP_HEAD_CORRUPT);
    case PERSIST_FINDING_NONE:
    case PERSIST_FINDING_SAME:
    case PERSIST_FINDING_ADOPTED:
    case PERSIST_FINDING_DIFFERENT:
    case PERSIST_FINDING_NO_VERSIONS:
    case PERSIST_FINDING_VERSIONS: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct persist_step when_reading_head(const struct persist_state *state, enum mr_store_outcome outcome,
                                             enum persist_finding finding, const struct persist_record *record)
{
    if (outcome == MR_STORE_MISSING) {
        return without_head(state);
    }
    return with_head(state, outcome, finding, record, judge);
}

static struct persist_step when_listing(const struct persist_state *state, enum mr_store_outcome outcome,
                                        enum persist_finding finding)
{
    if (outcome != MR_STORE_DONE) {
        return unread(state, outcome);
    }
    switch (finding) {
    case PERSIST_FINDING_NO_VERSIONS: return go_on(state, NULL);
    case PERSIST_FINDING_VERSIONS: return read_head(state, PERSIST_SUSPICION_HEAD_MISSING);
    case PERSIST_FINDING_NONE:
    case PERSIST_FINDING_RECORD:
    case PERSIST_FINDING_FOREIGN_LOG:
    case PERSIST_FINDING_BROKEN:
    case PERSIST_FINDING_SAME:
    case PERSIST_FINDING_ADOPTED:
    case PERSIST_FINDING_DIFFERENT: return fault(state);
    }
    mr_unreachable(__func__);
}

/* ---- Walks ----------------------------------------------------------------------------------------------- */

static struct persist_step read_parent(const struct persist_state *state, const struct persist_record *record)
{
    return read_metadata(state, state->kind, record->parent_version_id, &record->parent_record_hash,
                         record->counter - 1);
}

/* Head is at our position or past it: the version that stands there is ours, or ours will never be committed. */
static struct persist_step walked(const struct persist_state *state, const struct persist_record *record)
{
    const struct persist_place ours = state->ours.position;
    if (before(ours, record->position) && record->has_parent) {
        if (record->counter == 0) {
            return stop(state, PERSIST_STOP_CHAIN_BROKEN);
        }
        struct persist_step step = read_parent(state, record);
        step.next.passed_content_hash = record->content_hash;
        return step;
    }
    if (before(record->position, ours)) { /* the chain has no version at our position */
        return abandon(state, PERSIST_ABANDON_CONFLICT_DETECTED, &state->passed_content_hash);
    }
    return !before(ours, record->position) && same_hash(&record->content_hash, &state->ours.content_hash)
               ? emit(state, PERSIST_EMIT_ALREADY_COMMITTED)
               : abandon(state, PERSIST_ABANDON_CONFLICT_DETECTED, &record->content_hash);
}

/* Head is past our counter: the version at our counter is ours, or another writer's. */
static struct persist_step walked_back(const struct persist_state *state, const struct persist_record *record)
{
    if (record->counter > state->counter) {
        return record->has_parent ? read_parent(state, record) : stop(state, PERSIST_STOP_CHAIN_BROKEN);
    }
    return same_hash(&record->record_hash, &state->record_hash)
               ? emit(state, PERSIST_EMIT_COMMITTED)
               : abandon(state, PERSIST_ABANDON_CONFLICT_DETECTED, &record->content_hash);
}

static struct persist_step when_walking(const struct persist_state *state, enum mr_store_outcome outcome,
                                        enum persist_finding finding, const struct persist_record *record)
{
    if (outcome == MR_STORE_MISSING) {
        return stop(state, PERSIST_STOP_CHAIN_BROKEN); /* metadata is never removed */
    }
    if (outcome != MR_STORE_DONE) {
        return unread(state, outcome);
    }
    switch (finding) {
    case PERSIST_FINDING_RECORD:
        if (record->counter != state->cursor_counter) {
            return stop(state, PERSIST_STOP_CHAIN_BROKEN);
        }
        return state->kind == PERSIST_STATE_WALKING ? walked(state, record) : walked_back(state, record);
    case PERSIST_FINDING_FOREIGN_LOG: return refuse(state, PERSIST_REFUSE_LOG_DISCONTINUITY);
    case PERSIST_FINDING_BROKEN: return stop(state, PERSIST_STOP_CHAIN_BROKEN);
    case PERSIST_FINDING_NONE:
    case PERSIST_FINDING_SAME:
    case PERSIST_FINDING_ADOPTED:
    case PERSIST_FINDING_DIFFERENT:
    case PERSIST_FINDING_NO_VERSIONS:
    case PERSIST_FINDING_VERSIONS: return fault(state);
    }
    mr_unreachable(__func__);
}

/* ---- Payload and records ------------------------------------------------------------------------------------ */

static struct persist_step store(const struct persist_state *state)
{
    struct persist_step step = go(state, PERSIST_STATE_STORING, PERSIST_DECISION_STORE);
    memcpy(step.decision.of.store.tasks, state->tasks, sizeof state->tasks);
    return step;
}

static struct persist_step store_all(const struct persist_state *state, const struct persist_record *built)
{
    struct persist_state next = *state;
    next.record_hash = built->record_hash;
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        next.tasks[i] = PERSIST_TASK_PUT;
    }
    return store(&next);
}

/* A spool object is removed once its version event is acknowledged: if ours is not there, look at head again. */
static struct persist_step when_reading_spool(const struct persist_state *state, enum mr_store_outcome outcome,
                                              enum persist_finding finding, const struct persist_record *record)
{
    if (outcome == MR_STORE_MISSING) {
        return read_head(state, PERSIST_SUSPICION_SPOOL_MISSING);
    }
    if (outcome != MR_STORE_DONE) {
        return unread(state, outcome);
    }
    switch (finding) {
    case PERSIST_FINDING_SAME: return record->counter == state->counter ? store_all(state, record) : fault(state);
    case PERSIST_FINDING_DIFFERENT: return read_head(state, PERSIST_SUSPICION_SPOOL_CORRUPT);
    case PERSIST_FINDING_NONE:
    case PERSIST_FINDING_RECORD:
    case PERSIST_FINDING_FOREIGN_LOG:
    case PERSIST_FINDING_BROKEN:
    case PERSIST_FINDING_ADOPTED:
    case PERSIST_FINDING_NO_VERSIONS:
    case PERSIST_FINDING_VERSIONS: return fault(state);
    }
    mr_unreachable(__func__);
}

/* What an answer leads to: the next task, and where it is not zero: a wait before it, or an end. */
struct outlook {
    enum persist_task next;
    enum persist_wait wait;
    enum persist_stop stop;
    bool denied, impossible;
};

/* A put if absent. Whether it was answered by "exists" or not at all: what stands there is read and compared. */
static struct outlook after_put(enum mr_store_outcome outcome)
{
    switch (outcome) {
    case MR_STORE_DONE: return (struct outlook){.next = PERSIST_TASK_NONE};
    case MR_STORE_PRECONDITION_FAILED:
    case MR_STORE_UNKNOWN: return (struct outlook){.next = PERSIST_TASK_COMPARE};
    case MR_STORE_DENIED: return (struct outlook){.next = PERSIST_TASK_PUT, .denied = true};
    case MR_STORE_MISSING: /* the bucket, say: the object cannot be meant */
    case MR_STORE_CONFLICT:
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE: return (struct outlook){.next = PERSIST_TASK_PUT, .wait = PERSIST_WAIT_LOCAL_PENDING};
    }
    mr_unreachable(__func__);
}

/* Other bytes than ours. An audit entry of the same instant may be another writer's: ours gets another name. */
static struct outlook when_different(size_t object)
{
    static const enum persist_stop stops[PERSIST_OBJECTS] = {
        [PERSIST_CHECKPOINT] = PERSIST_STOP_PAYLOAD_DIFFERS,
        [PERSIST_HASH] = PERSIST_STOP_HASH_DIFFERS,
        [PERSIST_METADATA] = PERSIST_STOP_METADATA_DIFFERS,
    };
    return (struct outlook){.next = PERSIST_TASK_PUT, .stop = stops[object]};
}

/* What stands under our version's name was read. If nothing does, it is put again: a first put that comes late finds
 * the second, or is found by it, and both have the same bytes. */
static struct outlook after_compare(size_t object, const struct persist_answer *answer)
{
    if (answer->outcome == MR_STORE_MISSING) {
        return (struct outlook){.next = PERSIST_TASK_PUT, .wait = PERSIST_WAIT_OUTCOME_UNKNOWN};
    }
    if (answer->outcome == MR_STORE_DENIED) {
        return (struct outlook){.next = PERSIST_TASK_COMPARE, .denied = true};
    }
    if (answer->outcome != MR_STORE_DONE) {
        return (struct outlook){.next = PERSIST_TASK_COMPARE, .wait = PERSIST_WAIT_LOCAL_PENDING};
    }
    switch (answer->finding) {
    case PERSIST_FINDING_SAME: return (struct outlook){.next = PERSIST_TASK_NONE};
    case PERSIST_FINDING_ADOPTED:
        return (struct outlook){.next = PERSIST_TASK_NONE, .impossible = object != PERSIST_METADATA};
    case PERSIST_FINDING_DIFFERENT:
    case PERSIST_FINDING_BROKEN: return when_different(object);
    case PERSIST_FINDING_NONE:
    case PERSIST_FINDING_RECORD:
    case PERSIST_FINDING_FOREIGN_LOG:
    case PERSIST_FINDING_NO_VERSIONS:
    case PERSIST_FINDING_VERSIONS: return (struct outlook){.next = PERSIST_TASK_COMPARE, .impossible = true};
    }
    mr_unreachable(__func__);
}

static struct outlook after_task(const struct persist_state *state, size_t object, const struct persist_answer *answer)
{
    switch (state->tasks[object]) {
    case PERSIST_TASK_PUT: return after_put(answer->outcome);
    case PERSIST_TASK_COMPARE: return after_compare(object, answer);
    case PERSIST_TASK_NONE: return (struct outlook){.next = PERSIST_TASK_NONE};
    }
    mr_unreachable(__func__);
}

/* Of all: the worst, and the more general of two waits. */
static void add_outlook(struct outlook *sum, const struct outlook *one)
{
    sum->denied = sum->denied || one->denied;
    sum->impossible = sum->impossible || one->impossible;
    sum->stop = sum->stop != 0 ? sum->stop : one->stop;
    sum->wait = sum->wait == 0 || one->wait == PERSIST_WAIT_LOCAL_PENDING ? one->wait : sum->wait;
}

/* Head is swapped only when all of them are there, the audit entry too. */
static struct persist_step when_storing(const struct persist_state *state, const struct persist_event *event)
{
    struct persist_state next = *state;
    struct outlook sum = {0};
    bool all = true;
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        const struct outlook one = after_task(state, i, &event->of.stored.answers[i]);
        next.tasks[i] = one.next;
        add_outlook(&sum, &one);
    }
    const struct persist_answer *metadata = &event->of.stored.answers[PERSIST_METADATA];
    if (state->tasks[PERSIST_METADATA] == PERSIST_TASK_COMPARE && metadata->outcome == MR_STORE_DONE &&
        metadata->finding == PERSIST_FINDING_ADOPTED) {
        next.record_hash = event->of.stored.adopted;  /* head names what is stored, */
        next.tasks[PERSIST_AUDIT] = PERSIST_TASK_PUT; /* and so does an audit entry */
    }
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        all = all && next.tasks[i] == PERSIST_TASK_NONE;
    }
    return sum.denied       ? refuse(state, PERSIST_REFUSE_DENIED)
           : sum.impossible ? fault(state)
           : sum.stop != 0  ? stop(state, sum.stop)
           : sum.wait != 0  ? wait_in(&next, PERSIST_STATE_STORING, sum.wait)
           : all            ? go(&next, PERSIST_STATE_SWAPPING_HEAD, PERSIST_DECISION_SWAP_HEAD)
                            : store(&next);
}

/* ---- The swap --------------------------------------------------------------------------------------------- */

/* Only a yes settles it, and only "denied" is a no: what was lost, late or refused is looked up in head. */
static struct persist_step when_swapping(const struct persist_state *state, enum mr_store_outcome outcome)
{
    switch (outcome) {
    case MR_STORE_DONE: return emit(state, PERSIST_EMIT_COMMITTED);
    case MR_STORE_DENIED: return refuse(state, PERSIST_REFUSE_DENIED);
    case MR_STORE_MISSING:
    case MR_STORE_PRECONDITION_FAILED:
    case MR_STORE_CONFLICT:
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE:
    case MR_STORE_UNKNOWN: return go(state, PERSIST_STATE_SETTLING, PERSIST_DECISION_READ_HEAD);
    }
    mr_unreachable(__func__);
}

static struct persist_step settle(const struct persist_state *state, const struct persist_record *head)
{
    if (same_hash(&head->record_hash, &state->record_hash)) {
        return emit(state, PERSIST_EMIT_COMMITTED);
    }
    if (!state->genesis && same_hash(&head->record_hash, &state->base_record_hash)) {
        return wait_in(state, PERSIST_STATE_SWAPPING_HEAD, PERSIST_WAIT_OUTCOME_UNKNOWN);
    }
    if (head->counter > state->counter) {
        return read_metadata(state, PERSIST_STATE_WALKING_BACK, head->version_id, &head->record_hash, head->counter);
    }
    if (head->counter == state->counter) {
        return abandon(state, PERSIST_ABANDON_CONFLICT_DETECTED, &head->content_hash);
    }
    return judge(state, head); /* head went back: somebody restored it */
}

static struct persist_step when_settling(const struct persist_state *state, enum mr_store_outcome outcome,
                                         enum persist_finding finding, const struct persist_record *record)
{
    if (outcome == MR_STORE_MISSING) {
        return state->genesis ? wait_in(state, PERSIST_STATE_SWAPPING_HEAD, PERSIST_WAIT_OUTCOME_UNKNOWN)
                              : stop(state, PERSIST_STOP_HEAD_MISSING);
    }
    return with_head(state, outcome, finding, record, settle);
}

/* ---- The machine -------------------------------------------------------------------------------------------- */

static struct persist_step began(const struct persist_state *state, const struct persist_checkpoint *ours)
{
    const struct persist_state next = {.kind = PERSIST_STATE_READING_HEAD, .ours = *ours};
    struct persist_step step = read_head(&next, PERSIST_SUSPICION_NONE);
    step.decision.of.read_head.and_spool = true; /* what a commit that goes through will need */
    return state->kind != PERSIST_STATE_IDLE ? fault(state)
           : ours->foreign_log               ? refuse(state, PERSIST_REFUSE_LOG_DISCONTINUITY)
                                             : step;
}

/* The wait is over: what the state is about is done again. */
static struct persist_step elapsed(const struct persist_state *state)
{
    switch (state->kind) {
    case PERSIST_STATE_READING_HEAD: return read_head(state, state->suspicion);
    case PERSIST_STATE_LISTING: return go(state, state->kind, PERSIST_DECISION_LIST_VERSIONS);
    case PERSIST_STATE_WALKING:
    case PERSIST_STATE_WALKING_BACK: return read_cursor(state);
    case PERSIST_STATE_READING_SPOOL: return go(state, state->kind, PERSIST_DECISION_READ_SPOOL);
    case PERSIST_STATE_STORING: return store(state);
    case PERSIST_STATE_SWAPPING_HEAD: return go(state, state->kind, PERSIST_DECISION_SWAP_HEAD);
    case PERSIST_STATE_SETTLING: return go(state, state->kind, PERSIST_DECISION_READ_HEAD);
    case PERSIST_STATE_IDLE:
    case PERSIST_STATE_ENDED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct persist_step answered(const struct persist_state *state, enum mr_store_outcome outcome,
                                    enum persist_finding finding, const struct persist_record *record)
{
    switch (state->kind) {
    case PERSIST_STATE_READING_HEAD: return when_reading_head(state, outcome, finding, record);
    case PERSIST_STATE_LISTING: return when_listing(state, outcome, finding);
    case PERSIST_STATE_WALKING:
    case PERSIST_STATE_WALKING_BACK: return when_walking(state, outcome, finding, record);
    case PERSIST_STATE_READING_SPOOL: return when_reading_spool(state, outcome, finding, record);
    case PERSIST_STATE_SWAPPING_HEAD: return when_swapping(state, outcome);
    case PERSIST_STATE_SETTLING: return when_settling(state, outcome, finding, record);
    case PERSIST_STATE_STORING:
    case PERSIST_STATE_IDLE:
    case PERSIST_STATE_ENDED: return fault(state);
    }
    mr_unreachable(__func__);
}

struct persist_step persist_decide(const struct persist_state *state, const struct persist_event *event)
{
    switch (event->kind) {
    case PERSIST_EVENT_BEGAN: return began(state, &event->of.began);
    case PERSIST_EVENT_UNREADABLE:
        return state->kind == PERSIST_STATE_IDLE ? stop(state, PERSIST_STOP_UNREADABLE) : fault(state);
    case PERSIST_EVENT_ELAPSED: return elapsed(state);
    case PERSIST_EVENT_ANSWERED:
        return answered(state, event->of.answered.answer.outcome, event->of.answered.answer.finding,
                        &event->of.answered.record);
    case PERSIST_EVENT_STORED: return state->kind == PERSIST_STATE_STORING ? when_storing(state, event) : fault(state);
    }
    mr_unreachable(__func__);
}
