#include "validate_verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "millrace/config.h"

static struct mr_verdict dead_letter(struct mr_verdict verdict, const struct validate_decision *decision)
{
    verdict.kind = MR_VERDICT_DEAD_LETTER;
    (void)snprintf(verdict.reason, sizeof verdict.reason, "%s", validate_reason_text(decision->reason));
    return verdict;
}

/* The precision with its reason, when it was not simply kept. */
static void say_precision(struct mr_verdict *verdict, struct validate_precision precision, const char *cause)
{
    if (precision.kind == VALIDATE_PRECISION_KEEP) {
        (void)snprintf(verdict->detail, sizeof verdict->detail, "%s", cause);
    } else {
        (void)snprintf(verdict->detail, sizeof verdict->detail, "%s(%s)%s%.130s",
                       validate_precision_text(precision.kind), validate_precision_reason_text(precision.reason),
                       cause[0] == '\0' ? "" : ": ", cause);
    }
}

static void say_place(struct mr_verdict *verdict, const struct validate_place *place, const char *cause)
{
    (void)snprintf(verdict->detail, sizeof verdict->detail, "row %" PRIu64 ", %s: %.120s", place->row, place->field,
                   cause);
}

struct mr_verdict validate_verdict_of(const struct validate_step *step, const char *cause)
{
    const struct validate_decision *decision = &step->decision;
    struct mr_verdict verdict;
    memset(&verdict, 0, sizeof verdict);
    verdict.decision = validate_decision_text(decision->kind);
    (void)snprintf(verdict.detail, sizeof verdict.detail, "%s", cause);
    switch (decision->kind) {
    case VALIDATE_DECISION_VALIDATED:
        verdict.kind = MR_VERDICT_EMIT;
        say_precision(&verdict, decision->of.precision, cause);
        return verdict;
    case VALIDATE_DECISION_FETCH: verdict.kind = MR_VERDICT_BUSY; return verdict;
    case VALIDATE_DECISION_STORE_DOWN: verdict.kind = MR_VERDICT_DEPENDENCY_DOWN; return verdict;
    case VALIDATE_DECISION_OUT_OF_DOMAIN:
    case VALIDATE_DECISION_NON_FINITE:
        say_place(&verdict, &decision->of.place, cause);
        return dead_letter(verdict, decision);
    case VALIDATE_DECISION_DTYPE_INCOMPATIBLE:
        say_precision(&verdict, decision->of.precision, cause);
        return dead_letter(verdict, decision);
    case VALIDATE_DECISION_SHAPE_MISMATCH:
    case VALIDATE_DECISION_CHECKSUM_MISMATCH:
    case VALIDATE_DECISION_UNKNOWN_RUN:
    case VALIDATE_DECISION_RUN_CLOSED:
    case VALIDATE_DECISION_REJECTED:
    case VALIDATE_DECISION_RETRY_EXHAUSTED: return dead_letter(verdict, decision);
    case VALIDATE_DECISION_RETRY_SCHEDULED:
        verdict.kind = MR_VERDICT_RETRY;
        verdict.due_ms = decision->of.retry.at_ms;
        (void)snprintf(verdict.detail, sizeof verdict.detail, "%s, attempt %" PRIu32 ": %.120s",
                       validate_reason_text(decision->reason), decision->of.retry.attempt, cause);
        return verdict;
    case VALIDATE_DECISION_FAULT:
        verdict.kind = MR_VERDICT_FATAL;
        verdict.exit_code = MR_EXIT_SOFTWARE;
        (void)snprintf(verdict.detail, sizeof verdict.detail, "an event that cannot happen in state %s",
                       validate_state_text(step->next.kind));
        return verdict;
    case VALIDATE_DECISION_DEAD_LETTERED: break;
    }
    mr_unreachable(__func__);
}
