/* From a decision to what the stage loop does about it, in words for people. */
#ifndef VALIDATE_VERDICT_H
#define VALIDATE_VERDICT_H

#include "validate_codec.h"

/* All but the outputs of VALIDATED. `cause` says where, what was expected and what was found. Not for DEAD_LETTERED,
 * which asks nothing of the loop. */
struct mr_verdict validate_verdict_of(const struct validate_step *step, const char *cause);

#endif
