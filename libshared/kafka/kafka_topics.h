/* The admin API as the creation of the topics needs it. */
#ifndef KAFKA_TOPICS_H
#define KAFKA_TOPICS_H

#include "millrace/topics_create.h"

/* Creates the topics that were not found. Those that another one creates meanwhile are no failure. */
MR_MUST_USE struct mr_error kafka_topics_add(struct mr_topics_admin *admin, const struct mr_topics_plan *plan,
                                             const struct mr_topics_found *found, size_t *ret_created);
/* As mr_topics_find with values, once every partition of the topics that exist is served by its leader; `every`: once
 * all topics exist, too. Services that start then find them. TRANSIENT when that takes too long. */
MR_MUST_USE struct mr_error kafka_topics_settle(struct mr_topics_admin *admin, bool every,
                                                struct mr_topics_found *ret_found);

#endif
