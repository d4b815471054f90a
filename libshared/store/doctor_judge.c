#include "doctor_judge.h"

const char *mr_doctor_check_text(enum mr_doctor_check check)
{
    switch (check) {
    case MR_DOCTOR_WRITES: return "writes";
    case MR_DOCTOR_CREATE_IF_ABSENT: return "create_if_absent";
    case MR_DOCTOR_COMPARE_AND_SWAP: return "compare_and_swap";
    case MR_DOCTOR_ETAGS: return "etags";
    case MR_DOCTOR_READ_AFTER_WRITE: return "read_after_write";
    case MR_DOCTOR_RANGES: return "ranges";
    case MR_DOCTOR_LIST_AFTER_WRITE: return "list_after_write";
    case MR_DOCTOR_LIST_PAGES: return "list_pages";
    case MR_DOCTOR_LARGE_OBJECTS: return "large_objects";
    case MR_DOCTOR_CREATE_RACE: return "create_race";
    case MR_DOCTOR_SWAP_RACE: return "swap_race";
    case MR_DOCTOR_VERSIONED_BUCKET: return "versioned_bucket";
    case MR_DOCTOR_CLEANUP: return "cleanup";
    }
    mr_unreachable(__func__);
}

const char *mr_doctor_verdict_text(enum mr_doctor_verdict verdict)
{
    switch (verdict) {
    case MR_DOCTOR_GOOD: return "good";
    case MR_DOCTOR_BROKEN: return "broken";
    case MR_DOCTOR_COULD_NOT_TELL: return "could_not_tell";
    }
    mr_unreachable(__func__);
}

enum mr_doctor_verdict doctor_judge_answer(uint32_t honest, enum mr_store_outcome answer, int64_t native,
                                           bool conditional)
{
    if ((honest & DOCTOR_SET(answer)) != 0) {
        return MR_DOCTOR_GOOD;
    }
    switch (answer) {
    case MR_STORE_DONE:
    case MR_STORE_MISSING:
    case MR_STORE_PRECONDITION_FAILED: return MR_DOCTOR_BROKEN;
    case MR_STORE_DENIED:
        return conditional && native != 401 && native != 403 ? MR_DOCTOR_BROKEN : MR_DOCTOR_COULD_NOT_TELL;
    case MR_STORE_CONFLICT:
    case MR_STORE_THROTTLED: return MR_DOCTOR_COULD_NOT_TELL;
    case MR_STORE_UNAVAILABLE:
    case MR_STORE_UNKNOWN:
        /* "Good" from a server, and then not what it must be. */
        return native >= 200 && native < 300 ? MR_DOCTOR_BROKEN : MR_DOCTOR_COULD_NOT_TELL;
    }
    mr_unreachable(__func__);
}

/* ---- Races ---------------------------------------------------------------------------------------------- */

/* Whether the answer says for sure that the condition did not hold. */
static bool is_refusal(enum mr_store_outcome answer)
{
    switch (answer) {
    case MR_STORE_MISSING:
    case MR_STORE_PRECONDITION_FAILED: return true;
    case MR_STORE_DONE:
    case MR_STORE_CONFLICT:
    case MR_STORE_DENIED:
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE:
    case MR_STORE_UNKNOWN: return false;
    }
    mr_unreachable(__func__);
}

enum doctor_round doctor_judge_round(const enum mr_store_outcome answers[], uint32_t writers, int64_t holder)
{
    uint32_t winners = 0, refused = 0;
    int64_t winner = DOCTOR_HOLDER_UNREAD;
    for (uint32_t i = 0; i < writers; i++) {
        winners += answers[i] == MR_STORE_DONE ? 1 : 0;
        winner = answers[i] == MR_STORE_DONE ? (int64_t)i : winner;
        refused += is_refusal(answers[i]) ? 1 : 0;
    }
    if (winners > 1) {
        return DOCTOR_ROUND_TWO_WINNERS;
    }
    if (holder == DOCTOR_HOLDER_UNREAD) {
        return DOCTOR_ROUND_UNDECIDED;
    }
    if (holder == DOCTOR_HOLDER_STRANGE) {
        return DOCTOR_ROUND_TORN;
    }
    if (winners == 1) {
        return holder == winner ? DOCTOR_ROUND_TOLD : DOCTOR_ROUND_OVERWRITTEN;
    }
    if (holder != DOCTOR_HOLDER_BEFORE) {
        return DOCTOR_ROUND_SETTLED; /* as a commit is, by reading: rule C6 */
    }
    return refused == writers ? DOCTOR_ROUND_NOBODY : DOCTOR_ROUND_UNDECIDED;
}

const char *doctor_round_text(enum doctor_round round)
{
    switch (round) {
    case DOCTOR_ROUND_TOLD: return "one winner";
    case DOCTOR_ROUND_SETTLED: return "one winner, known by reading";
    case DOCTOR_ROUND_UNDECIDED: return "undecided";
    case DOCTOR_ROUND_TWO_WINNERS: return "more than one writer was told that it had won";
    case DOCTOR_ROUND_OVERWRITTEN: return "the winner's object was overwritten by one that had lost";
    case DOCTOR_ROUND_TORN: return "the object is none that was written";
    case DOCTOR_ROUND_NOBODY: return "all writers were refused, although the condition held";
    }
    mr_unreachable(__func__);
}

enum mr_doctor_verdict doctor_judge_race(const struct doctor_rounds *rounds)
{
    const uint32_t *of = rounds->of;
    if (of[DOCTOR_ROUND_TWO_WINNERS] + of[DOCTOR_ROUND_OVERWRITTEN] + of[DOCTOR_ROUND_TORN] + of[DOCTOR_ROUND_NOBODY] >
        0) {
        return MR_DOCTOR_BROKEN;
    }
    return of[DOCTOR_ROUND_TOLD] + of[DOCTOR_ROUND_SETTLED] > of[DOCTOR_ROUND_UNDECIDED] ? MR_DOCTOR_GOOD
                                                                                         : MR_DOCTOR_COULD_NOT_TELL;
}

/* ---- The whole ------------------------------------------------------------------------------------------ */

enum mr_doctor_verdict doctor_judge_all(const struct mr_doctor_finding findings[], size_t count)
{
    enum mr_doctor_verdict all = MR_DOCTOR_GOOD;
    for (size_t i = 0; i < count; i++) {
        switch (findings[i].verdict) {
        case MR_DOCTOR_GOOD: break;
        case MR_DOCTOR_BROKEN: return MR_DOCTOR_BROKEN;
        case MR_DOCTOR_COULD_NOT_TELL: all = MR_DOCTOR_COULD_NOT_TELL; break;
        }
    }
    return all;
}

const char *doctor_loss_text(enum mr_doctor_check check, bool refused)
{
    if (refused) {
        return "nothing; but no version could ever be committed";
    }
    switch (check) {
    case MR_DOCTOR_WRITES: return "whatever is written";
    case MR_DOCTOR_CREATE_IF_ABSENT:
        return "objects of committed versions, overwritten by others of the same name; a model's chain, begun anew";
    case MR_DOCTOR_COMPARE_AND_SWAP:
    case MR_DOCTOR_CREATE_RACE:
    case MR_DOCTOR_SWAP_RACE:
        return "committed versions: of two services that commit at once, one is told that it did, and head is the "
               "other's";
    case MR_DOCTOR_ETAGS: return "committed versions: a head that changed is overwritten as if it had not";
    case MR_DOCTOR_READ_AFTER_WRITE:
        return "versions whose commit had no answer: reading head could not tell whether they are committed";
    case MR_DOCTOR_RANGES: return "nothing that is stored; but what is read in parts is not what was written";
    case MR_DOCTOR_LIST_AFTER_WRITE:
        return "a model's chain, begun anew when head.json is gone and its versions are not listed";
    case MR_DOCTOR_LIST_PAGES: return "versions behind the first page: not listed, so not verified and not collected";
    case MR_DOCTOR_LARGE_OBJECTS: return "checkpoints of that size";
    case MR_DOCTOR_VERSIONED_BUCKET: return "committed versions: use a bucket that is not versioned";
    case MR_DOCTOR_CLEANUP: return "nothing; but what is garbage stays, and the store only grows";
    }
    mr_unreachable(__func__);
}
