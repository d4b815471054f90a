/* From a decision to what the stage loop does about it, in words for people. */
#ifndef INGEST_VERDICT_H
#define INGEST_VERDICT_H

#include "ingest_codec.h"

/* All but the outputs of ACCEPTED. `view` is what the decision was made on. Not for DEAD_LETTERED, which asks nothing
 * of the loop. */
struct mr_verdict ingest_verdict_of(const struct ingest_decision *decision, const struct ingest_record *record,
                                    const struct ingest_view *view, const struct ingest_limits *limits);

#endif
