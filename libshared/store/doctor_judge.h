/* What the answers of a store show about it. Pure. */
#ifndef DOCTOR_JUDGE_H
#define DOCTOR_JUDGE_H

#include "millrace/store_doctor.h"

/* A set of outcomes. */
#define DOCTOR_SET(outcome) (1U << (outcome))

/* One answer, where those of `honest` keep the promise. `conditional`: a write that would be taken without its
 * condition, so that a refusal is one of the condition; but for 401 and 403, which are about who asks. */
MR_MUST_USE enum mr_doctor_verdict doctor_judge_answer(uint32_t honest, enum mr_store_outcome answer, int64_t native,
                                                       bool conditional);

/* One round of a race: all writers put at once, under a condition that holds for one of them alone. */
enum doctor_round {
    DOCTOR_ROUND_TOLD = 1,    /* one winner, and it was told so */
    DOCTOR_ROUND_SETTLED,     /* one winner, whose answer was unclear: known by reading */
    DOCTOR_ROUND_UNDECIDED,   /* nobody won, and somebody's answer was unclear */
    DOCTOR_ROUND_TWO_WINNERS, /* from here on it is broken */
    DOCTOR_ROUND_OVERWRITTEN, /* who was told that it won has lost */
    DOCTOR_ROUND_TORN,        /* the object is none that was written */
    DOCTOR_ROUND_NOBODY,      /* all were refused, although the condition held */
    DOCTOR_ROUND_LAST = DOCTOR_ROUND_NOBODY,
};
/* Who wrote what the object holds after the round: a writer's number, or one of these. */
enum { DOCTOR_HOLDER_BEFORE = -1 /* as before the round */, DOCTOR_HOLDER_STRANGE = -2, DOCTOR_HOLDER_UNREAD = -3 };
MR_MUST_USE enum doctor_round doctor_judge_round(const enum mr_store_outcome answers[], uint32_t writers,
                                                 int64_t holder);
const char *doctor_round_text(enum doctor_round round);

/* Of a race, by how often each kind of round came; a race of which most rounds told nothing tells nothing. */
struct doctor_rounds {
    uint32_t of[DOCTOR_ROUND_LAST + 1];
};
MR_MUST_USE enum mr_doctor_verdict doctor_judge_race(const struct doctor_rounds *rounds);

MR_MUST_USE enum mr_doctor_verdict doctor_judge_all(const struct mr_doctor_finding findings[], size_t count);
/* What a store that is broken there would lose. `refused`: it did nothing wrong but to refuse. */
const char *doctor_loss_text(enum mr_doctor_check check, bool refused);

#endif
