/* The decision table of persist, row by row: what each answer leads to, and why. */
#include "check_main.h"
#include "persist.h"

#include <stdio.h>
#include <string.h>

/* ---- A model with versions 0 (position 10) and 1 (position 20), and checkpoints that follow ------------------ */

static struct mr_sha256 hash(uint8_t fill)
{
    struct mr_sha256 value;
    memset(value.bytes, fill, sizeof value.bytes);
    return value;
}

/* Content hash n, record hash 100 + n. */
static struct persist_record version(uint64_t counter, uint64_t offset)
{
    struct persist_record record = {
        .counter = counter,
        .content_hash = hash((uint8_t)counter),
        .record_hash = hash((uint8_t)(100 + counter)),
        .position = {0, offset},
        .has_parent = counter > 0,
        .parent_record_hash = hash((uint8_t)(99 + counter)),
    };
    (void)snprintf(record.version_id, sizeof record.version_id, "v%d", (int)counter);
    (void)snprintf(record.parent_version_id, sizeof record.parent_version_id, "v%d", (int)counter - 1);
    return record;
}

/* The checkpoint that becomes version n of the same model. */
static struct persist_checkpoint checkpoint(uint64_t counter, uint64_t offset)
{
    return (struct persist_checkpoint){
        .content_hash = hash((uint8_t)counter),
        .has_previous = counter > 0,
        .previous = hash((uint8_t)(counter - 1)),
        .position = {0, offset},
        .has_prev_origin = counter > 0,
        .prev_origin = offset - 10,
    };
}

static struct persist_step begin(struct persist_checkpoint ours)
{
    const struct persist_state idle = {.kind = PERSIST_STATE_IDLE};
    const struct persist_event event = {.kind = PERSIST_EVENT_BEGAN, .of = {.began = ours}};
    return persist_decide(&idle, &event);
}

static struct persist_step answered(struct persist_step step, enum mr_store_outcome outcome,
                                    enum persist_finding finding, struct persist_record record)
{
    const struct persist_event event = {
        .kind = PERSIST_EVENT_ANSWERED,
        .of = {.answered = {.answer = {outcome, finding}, .record = record}},
    };
    return persist_decide(&step.next, &event);
}

static struct persist_step found(struct persist_step step, struct persist_record record)
{
    return answered(step, MR_STORE_DONE, PERSIST_FINDING_RECORD, record);
}

static struct persist_step got(struct persist_step step, enum mr_store_outcome outcome)
{
    return answered(step, outcome, PERSIST_FINDING_NONE, (struct persist_record){0});
}

static struct persist_step read_as(struct persist_step step, enum persist_finding finding)
{
    return answered(step, MR_STORE_DONE, finding, (struct persist_record){0});
}

static struct persist_step elapsed(struct persist_step step)
{
    return persist_decide(&step.next, &(struct persist_event){.kind = PERSIST_EVENT_ELAPSED});
}

static void expect(struct persist_step step, const char *decision)
{
    ck_assert_str_eq(persist_decision_text(&step.decision), decision);
}

/* One object's answer, while all others are done. */
static struct persist_step stored(struct persist_step step, size_t object, enum mr_store_outcome outcome,
                                  enum persist_finding finding)
{
    struct persist_event event = {.kind = PERSIST_EVENT_STORED};
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        event.of.stored.answers[i] = (struct persist_answer){MR_STORE_DONE, PERSIST_FINDING_SAME};
    }
    event.of.stored.answers[object] = (struct persist_answer){outcome, finding};
    event.of.stored.adopted = hash(88);
    return persist_decide(&step.next, &event);
}

static struct persist_step all_stored(struct persist_step step)
{
    return stored(step, PERSIST_CHECKPOINT, MR_STORE_DONE, PERSIST_FINDING_SAME);
}

/* What is to be done about one object, and about the others nothing. */
static void expect_only(struct persist_step step, size_t object, enum persist_task task)
{
    expect(step, "store");
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        ck_assert_int_eq(step.decision.of.store.tasks[i], i == object ? task : PERSIST_TASK_NONE);
    }
}

/* Checkpoint 2 on head 1, the spool read and verified: the next decision is store. */
static struct persist_step building(void)
{
    struct persist_step step = found(begin(checkpoint(2, 30)), version(1, 20));
    expect(step, "read_spool");
    const struct persist_record ours = {.counter = 2, .record_hash = hash(102)};
    return answered(step, MR_STORE_DONE, PERSIST_FINDING_SAME, ours);
}

/* The same, all put, the audit entry too: the next decision is swap_head. */
static struct persist_step swapping(void)
{
    struct persist_step step = all_stored(building());
    expect(step, "swap_head");
    return step;
}

/* Three round trips: what is read, what is put, the swap. The spool is fetched beside head, and judged after it. */
START_TEST(the_way_of_a_commit)
{
    struct persist_step step = begin(checkpoint(2, 30));
    expect(step, "read_head");
    ck_assert(step.decision.of.read_head.and_spool);
    step = building();
    expect(step, "store");
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        ck_assert_int_eq(step.decision.of.store.tasks[i], PERSIST_TASK_PUT);
    }
    step = all_stored(step);
    expect(step, "swap_head");
    step = got(step, MR_STORE_DONE);
    expect(step, "Committed");
    ck_assert_int_eq(step.next.kind, PERSIST_STATE_ENDED);
}
END_TEST

/* Rule C7. */
START_TEST(genesis_needs_not_found_and_no_versions)
{
    struct persist_step step = got(begin(checkpoint(0, 10)), MR_STORE_MISSING);
    expect(step, "list_versions");
    const struct persist_step none = read_as(step, PERSIST_FINDING_NO_VERSIONS);
    expect(none, "read_spool");
    ck_assert(none.next.genesis);
    ck_assert_uint_eq(none.next.counter, 0);

    /* Versions may be there because somebody committed between the two looks: head is read again. */
    const struct persist_step again = read_as(step, PERSIST_FINDING_VERSIONS);
    expect(again, "read_head");
    expect(got(again, MR_STORE_MISSING), "HeadMissing");
    expect(found(again, version(1, 20)), "read_metadata");

    /* A checkpoint that has a predecessor is no genesis. */
    expect(got(begin(checkpoint(2, 30)), MR_STORE_MISSING), "HeadMissing");
    /* Nor is anything but "not found" an absence. */
    static const enum mr_store_outcome others[] = {MR_STORE_UNAVAILABLE, MR_STORE_UNKNOWN, MR_STORE_THROTTLED,
                                                   MR_STORE_CONFLICT, MR_STORE_PRECONDITION_FAILED};
    for (size_t i = 0; i < MR_COUNT_OF(others); i++) {
        expect(got(begin(checkpoint(0, 10)), others[i]), "LocalPending");
        expect(elapsed(got(begin(checkpoint(0, 10)), others[i])), "read_head");
        expect(elapsed(got(step, others[i])), "list_versions");
    }
}
END_TEST

START_TEST(already_committed_is_decided_before_the_spool)
{
    struct persist_step step = found(begin(checkpoint(1, 20)), version(1, 20));
    expect(step, "read_metadata");
    expect(found(step, version(1, 20)), "AlreadyCommitted");

    /* Below head: the chain is walked to its position. */
    step = found(begin(checkpoint(1, 20)), version(3, 40));
    expect(step, "read_metadata");
    ck_assert_str_eq(step.decision.of.read_metadata.version_id, "v3");
    step = found(step, version(3, 40));
    ck_assert_str_eq(step.decision.of.read_metadata.version_id, "v2");
    step = found(step, version(2, 30));
    expect(found(step, version(1, 20)), "AlreadyCommitted");
}
END_TEST

START_TEST(conflicts)
{
    struct persist_checkpoint other = checkpoint(1, 20);
    other.content_hash = hash(77);
    struct persist_step step = found(found(begin(other), version(1, 20)), version(1, 20));
    expect(step, "ConflictDetected");
    ck_assert_mem_eq(step.decision.of.abandon.remote_hash.bytes, hash(1).bytes, sizeof hash(1).bytes);

    /* The chain went past our position without a version there. */
    struct persist_checkpoint between = checkpoint(1, 25);
    step = found(found(begin(between), version(2, 30)), version(2, 30));
    expect(step, "read_metadata");
    step = found(step, version(1, 20));
    expect(step, "ConflictDetected");
    ck_assert_mem_eq(step.decision.of.abandon.remote_hash.bytes, hash(2).bytes, sizeof hash(2).bytes);

    /* Genesis itself is past it. */
    struct persist_checkpoint early = checkpoint(0, 5);
    expect(found(found(begin(early), version(0, 10)), version(0, 10)), "ConflictDetected");
}
END_TEST

START_TEST(not_fast_forward)
{
    /* Checkpoint 3 (position 40, its predecessor at 30) while head is 1 (position 20): 2 may still come. */
    struct persist_step step = found(begin(checkpoint(3, 40)), version(1, 20));
    expect(step, "NotFastForward");
    step = elapsed(step);
    expect(step, "read_head");
    expect(found(step, version(2, 30)), "read_spool");

    /* Head stands where the predecessor stood, with other content: it never comes. */
    struct persist_record other = version(2, 30);
    other.content_hash = hash(77);
    step = found(begin(checkpoint(3, 40)), other);
    expect(step, "RollbackRequired");
    ck_assert_mem_eq(step.decision.of.abandon.remote_hash.bytes, other.content_hash.bytes, sizeof hash(0).bytes);

    /* A first checkpoint, and head is another's. */
    expect(found(begin(checkpoint(0, 25)), version(1, 20)), "RollbackRequired");
    /* In a later epoch every position is larger. */
    struct persist_checkpoint later = checkpoint(3, 4);
    later.position.epoch = 1;
    later.has_prev_origin = false;
    expect(found(begin(later), version(2, 30)), "read_spool");
    expect(found(begin(later), version(1, 20)), "NotFastForward");
}
END_TEST

static const char *const differs[PERSIST_OBJECTS] = {"PayloadDiffers", "HashDiffers", "MetadataDiffers", NULL};

/* Rule C5: what exists is read and compared; the rest is not put again. */
START_TEST(existing_objects)
{
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        const struct persist_step step = stored(building(), i, MR_STORE_PRECONDITION_FAILED, PERSIST_FINDING_NONE);
        expect_only(step, i, PERSIST_TASK_COMPARE);
        expect(stored(step, i, MR_STORE_DONE, PERSIST_FINDING_SAME), "swap_head");
        const struct persist_step other = stored(step, i, MR_STORE_DONE, PERSIST_FINDING_DIFFERENT);
        if (i == PERSIST_AUDIT) {
            expect_only(other, i, PERSIST_TASK_PUT); /* under another name: head is not swapped without an entry */
        } else {
            expect(other, differs[i]);
        }
        const struct persist_step gone = stored(step, i, MR_STORE_MISSING, PERSIST_FINDING_NONE);
        expect(gone, "OutcomeUnknown");
        expect_only(elapsed(gone), i, PERSIST_TASK_PUT);
    }
    const struct persist_step step =
        stored(building(), PERSIST_METADATA, MR_STORE_PRECONDITION_FAILED, PERSIST_FINDING_NONE);
    expect(stored(step, PERSIST_METADATA, MR_STORE_DONE, PERSIST_FINDING_BROKEN), "MetadataDiffers");
}
END_TEST

/* Metadata that somebody else wrote for the same version: head names what is stored, and an audit entry does before. */
START_TEST(adopted_metadata_is_audited)
{
    struct persist_step step = stored(building(), PERSIST_METADATA, MR_STORE_PRECONDITION_FAILED, PERSIST_FINDING_NONE);
    step = stored(step, PERSIST_METADATA, MR_STORE_DONE, PERSIST_FINDING_ADOPTED);
    expect_only(step, PERSIST_AUDIT, PERSIST_TASK_PUT);
    ck_assert_mem_eq(step.next.record_hash.bytes, hash(88).bytes, sizeof hash(88).bytes);
    expect(all_stored(step), "swap_head");
}
END_TEST

/* Rule C6: a put that was not answered is read back, and repeated only if it is not there. */
START_TEST(unknown_puts_are_read_back)
{
    static const enum mr_store_outcome none_done[] = {MR_STORE_UNAVAILABLE, MR_STORE_THROTTLED, MR_STORE_CONFLICT,
                                                      MR_STORE_MISSING};
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        const struct persist_step lost = stored(building(), i, MR_STORE_UNKNOWN, PERSIST_FINDING_NONE);
        expect_only(lost, i, PERSIST_TASK_COMPARE);
        const struct persist_step unread = stored(lost, i, MR_STORE_UNAVAILABLE, PERSIST_FINDING_NONE);
        expect(unread, "LocalPending");
        expect_only(elapsed(unread), i, PERSIST_TASK_COMPARE);
        expect(stored(lost, i, MR_STORE_DENIED, PERSIST_FINDING_NONE), "Denied");
        for (size_t o = 0; o < MR_COUNT_OF(none_done); o++) {
            const struct persist_step waits = stored(building(), i, none_done[o], PERSIST_FINDING_NONE);
            expect(waits, "LocalPending");
            expect_only(elapsed(waits), i, PERSIST_TASK_PUT);
        }
        expect(stored(building(), i, MR_STORE_DENIED, PERSIST_FINDING_NONE), "Denied");
    }
}
END_TEST

/* Several at once: the worst decides, and none is forgotten. */
START_TEST(answers_are_taken_together)
{
    struct persist_event event = {.kind = PERSIST_EVENT_STORED};
    event.of.stored.answers[PERSIST_CHECKPOINT].outcome = MR_STORE_DONE;
    event.of.stored.answers[PERSIST_HASH].outcome = MR_STORE_UNKNOWN;
    event.of.stored.answers[PERSIST_METADATA].outcome = MR_STORE_THROTTLED;
    event.of.stored.answers[PERSIST_AUDIT].outcome = MR_STORE_DONE;
    const struct persist_state state = building().next;
    struct persist_step step = persist_decide(&state, &event);
    expect(step, "LocalPending");
    step = elapsed(step);
    expect(step, "store");
    ck_assert_int_eq(step.decision.of.store.tasks[PERSIST_CHECKPOINT], PERSIST_TASK_NONE);
    ck_assert_int_eq(step.decision.of.store.tasks[PERSIST_HASH], PERSIST_TASK_COMPARE);
    ck_assert_int_eq(step.decision.of.store.tasks[PERSIST_METADATA], PERSIST_TASK_PUT);
    ck_assert_int_eq(step.decision.of.store.tasks[PERSIST_AUDIT], PERSIST_TASK_NONE);
    event.of.stored.answers[PERSIST_AUDIT].outcome = MR_STORE_DENIED;
    expect(persist_decide(&state, &event), "Denied");
}
END_TEST

START_TEST(lost_swaps_are_settled_by_reading_head)
{
    static const enum mr_store_outcome unsettled[] = {
        MR_STORE_MISSING,   MR_STORE_PRECONDITION_FAILED, MR_STORE_CONFLICT,
        MR_STORE_THROTTLED, MR_STORE_UNAVAILABLE,         MR_STORE_UNKNOWN,
    };
    for (size_t i = 0; i < MR_COUNT_OF(unsettled); i++) {
        struct persist_step step = got(swapping(), unsettled[i]);
        expect(step, "read_head");
        /* It is ours. */
        expect(found(step, version(2, 30)), "Committed");
        /* It is still the old one: the same swap again. */
        struct persist_step again = found(step, version(1, 20));
        expect(again, "OutcomeUnknown");
        expect(elapsed(again), "swap_head");
        /* It is another's at our counter. */
        struct persist_record other = version(2, 30);
        other.record_hash = hash(55);
        other.content_hash = hash(56);
        expect(found(step, other), "ConflictDetected");
        /* It is past ours: below it stands ours, or another. */
        struct persist_step walk = found(step, version(4, 50));
        expect(walk, "read_metadata");
        walk = found(walk, version(4, 50));
        walk = found(walk, version(3, 40));
        ck_assert_str_eq(walk.decision.of.read_metadata.version_id, "v2");
        expect(found(walk, version(2, 30)), "Committed");
        expect(found(walk, other), "ConflictDetected");
        /* 404 never means genesis. */
        expect(got(step, MR_STORE_MISSING), "HeadMissing");
        expect(elapsed(got(step, MR_STORE_UNAVAILABLE)), "read_head");
        /* It went back: judged anew. */
        expect(found(step, version(0, 10)), "NotFastForward");
    }
    expect(got(swapping(), MR_STORE_DENIED), "Denied");
}
END_TEST

START_TEST(lost_genesis_is_settled)
{
    struct persist_step step = read_as(got(begin(checkpoint(0, 10)), MR_STORE_MISSING), PERSIST_FINDING_NO_VERSIONS);
    step = answered(step, MR_STORE_DONE, PERSIST_FINDING_SAME, version(0, 10));
    step = all_stored(step);
    expect(step, "swap_head");
    step = got(step, MR_STORE_UNKNOWN);
    expect(step, "read_head");
    expect(elapsed(got(step, MR_STORE_MISSING)), "swap_head");
    expect(found(step, version(0, 10)), "Committed");
    struct persist_record other = version(0, 10);
    other.record_hash = hash(55);
    expect(found(step, other), "ConflictDetected");
}
END_TEST

/* A spool object that is gone or wrong may belong to a commit that somebody else has just finished. */
START_TEST(spool)
{
    struct persist_step step = found(begin(checkpoint(2, 30)), version(1, 20));
    struct persist_step gone = got(step, MR_STORE_MISSING);
    expect(gone, "read_head");
    expect(found(gone, version(1, 20)), "SpoolMissing");
    expect(found(found(gone, version(2, 30)), version(2, 30)), "AlreadyCommitted");
    struct persist_step wrong = read_as(step, PERSIST_FINDING_DIFFERENT);
    expect(wrong, "read_head");
    expect(found(wrong, version(1, 20)), "SpoolCorrupt");
    expect(elapsed(got(step, MR_STORE_UNAVAILABLE)), "read_spool");
}
END_TEST

START_TEST(broken_chains_and_foreign_logs)
{
    const struct persist_record none = {0};
    struct persist_step step = begin(checkpoint(1, 20));
    expect(answered(step, MR_STORE_DONE, PERSIST_FINDING_BROKEN, none), "HeadCorrupt");
    expect(answered(step, MR_STORE_DONE, PERSIST_FINDING_FOREIGN_LOG, none), "LogDiscontinuity");
    expect(got(step, MR_STORE_DENIED), "Denied");
    struct persist_step walk = found(step, version(3, 40));
    expect(got(walk, MR_STORE_MISSING), "ChainBroken");
    expect(read_as(walk, PERSIST_FINDING_BROKEN), "ChainBroken");
    expect(found(walk, version(2, 40)), "ChainBroken"); /* another counter than its child's minus one */
    expect(elapsed(got(walk, MR_STORE_THROTTLED)), "read_metadata");
    struct persist_checkpoint foreign = checkpoint(1, 20);
    foreign.foreign_log = true;
    expect(begin(foreign), "LogDiscontinuity");
    const struct persist_state idle = {.kind = PERSIST_STATE_IDLE};
    expect(persist_decide(&idle, &(struct persist_event){.kind = PERSIST_EVENT_UNREADABLE}), "Unreadable");
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, the_way_of_a_commit);
    tcase_add_test(tcase, genesis_needs_not_found_and_no_versions);
    tcase_add_test(tcase, already_committed_is_decided_before_the_spool);
    tcase_add_test(tcase, conflicts);
    tcase_add_test(tcase, not_fast_forward);
    tcase_add_test(tcase, existing_objects);
    tcase_add_test(tcase, adopted_metadata_is_audited);
    tcase_add_test(tcase, unknown_puts_are_read_back);
    tcase_add_test(tcase, answers_are_taken_together);
    tcase_add_test(tcase, lost_swaps_are_settled_by_reading_head);
    tcase_add_test(tcase, lost_genesis_is_settled);
    tcase_add_test(tcase, spool);
    tcase_add_test(tcase, broken_chains_and_foreign_logs);
}

int main(void)
{
    return check_main("persist_decide", add);
}
