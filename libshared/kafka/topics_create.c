/* The protocol of millrace/topics_create.h. */
#include "kafka_topics.h"

#include <inttypes.h>
#include <string.h>

enum { RECORD_WAIT_MS = 30000 };

struct creation {
    struct mr_topics_admin *admin;
    struct mr_log *log;
    struct mr_topics_plan plan;
    struct mr_topics_outcome *outcome;
};

static const char *first_missing(const struct mr_topics_found *found)
{
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        if (!found->topics[i].exists) {
            return mr_topic_name(i);
        }
    }
    return NULL;
}

/* In topics that are settled. */
static struct mr_error find_deployment(struct creation *creation)
{
    struct mr_topics_outcome *const outcome = creation->outcome;
    return outcome->found.topics[MR_TOPICS_COUNT - 1].exists
               ? mr_deployment_find(creation->log, &outcome->has_deployment, &outcome->deployment)
               : mr_ok();
}

/* Creates what is missing, and looks again. */
static struct mr_error complete(struct creation *creation)
{
    struct mr_topics_outcome *const outcome = creation->outcome;
    MR_TRY(kafka_topics_add(creation->admin, &creation->plan, &outcome->found, &outcome->created));
    return kafka_topics_settle(creation->admin, true, &outcome->found);
}

static struct mr_error compare(struct creation *creation)
{
    struct mr_topics_outcome *const outcome = creation->outcome;
    mr_topics_compare(&creation->plan, &outcome->found, &outcome->differences);
    for (size_t i = 0; i < outcome->differences.count; i++) {
        const struct mr_topic_difference *const d = &outcome->differences.list[i];
        if (strcmp(d->what, "partitions") == 0) {
            return mr_error_make(MR_ERROR_REJECT, "log_discontinuity", 0, "%s has %s partitions, and should have %s",
                                 mr_topic_name(d->topic), d->found, d->wanted);
        }
    }
    return mr_ok();
}

/* ---- A deployment that is there ------------------------------------------------------------------------------ */

static struct mr_error check_counts(const struct creation *creation)
{
    const uint32_t found = creation->outcome->deployment.partitions, wanted = creation->plan.partitions;
    return found == wanted ? mr_ok()
                           : mr_error_make(MR_ERROR_REJECT, "log_discontinuity", 0,
                                           "the deployment has %" PRIu32 " partitions, not %" PRIu32
                                           ": a count is changed by new topics and millrace log adopt",
                                           found, wanted);
}

/* Origins are offsets in batches.submitted: without it the log is another one, whatever the deployment says. */
static struct mr_error check_addable(const char *missing, bool add_missing)
{
    if (strcmp(missing, MR_TOPIC_SUBMITTED) == 0) {
        return mr_error_make(MR_ERROR_REJECT, "log_discontinuity", 0,
                             "%s is lost, and the log with it: delete Millrace's other topics too, create all of them "
                             "anew, then millrace log adopt",
                             missing);
    }
    return add_missing ? mr_ok()
                       : mr_error_make(MR_ERROR_REJECT, "log_discontinuity", 0,
                                       "the deployment has no %s: --add-missing creates it, right when a new release "
                                       "has added it (docs/operate.md)",
                                       missing);
}

static struct mr_error check_existing(struct creation *creation, bool add_missing)
{
    struct mr_topics_outcome *const outcome = creation->outcome;
    MR_TRY(check_counts(creation));
    const char *const missing = first_missing(&outcome->found);
    if (missing != NULL) {
        MR_TRY(check_addable(missing, add_missing));
        MR_TRY(complete(creation));
    }
    return compare(creation);
}

/* ---- A new one ----------------------------------------------------------------------------------------------- */

/* Records that a stage wrote belong to the log of a deployment, and a new one would be another. What users submitted
 * before there was any belongs to the one that comes. */
static struct mr_error check_unwritten(const struct mr_topics_found *found)
{
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        if (found->topics[i].written && strcmp(mr_topics[i], MR_TOPIC_SUBMITTED) != 0) {
            return mr_error_make(MR_ERROR_REJECT, "log_discontinuity", 0,
                                 "%s has got records, but %s does not say of which deployment: delete the topics, or "
                                 "restore it",
                                 mr_topics[i], MR_TOPIC_DEPLOYMENT);
        }
    }
    return mr_ok();
}

static struct mr_error write_record(struct creation *creation, const struct mr_log_id *fresh)
{
    struct mr_topics_outcome *const outcome = creation->outcome;
    const struct mr_deployment ours = {.log_id = *fresh, .partitions = creation->plan.partitions};
    MR_TRY(mr_deployment_append(creation->log, &ours, MR_DEPLOYMENT_CREATED, RECORD_WAIT_MS));
    MR_TRY(mr_deployment_find(creation->log, &outcome->has_deployment, &outcome->deployment));
    if (!outcome->has_deployment) {
        return mr_error_make(MR_ERROR_UNKNOWN, "no_deployment", 0,
                             "the record in %s was acknowledged, and cannot be read: run it again",
                             MR_TOPIC_DEPLOYMENT);
    }
    outcome->is_new = memcmp(outcome->deployment.log_id.bytes, fresh->bytes, MR_LOG_ID_SIZE) == 0;
    return check_counts(creation);
}

static struct mr_error create_new(struct creation *creation, const struct mr_log_id *fresh)
{
    mr_topics_compare(&creation->plan, &creation->outcome->found, &creation->outcome->differences);
    if (creation->outcome->differences.count == 0) {
        MR_TRY(complete(creation));
    }
    MR_TRY(compare(creation));
    if (creation->outcome->differences.count > 0) {
        return mr_ok(); /* told by the caller; nothing is written on topics that are not as planned */
    }
    /* Another creator may have come first, and services after it. Records that were found belong to a deployment whose
     * own record was there before them. */
    MR_TRY(find_deployment(creation));
    if (creation->outcome->has_deployment) {
        return check_counts(creation);
    }
    MR_TRY(check_unwritten(&creation->outcome->found));
    return write_record(creation, fresh);
}

struct mr_error mr_topics_create(struct mr_topics_admin *admin, struct mr_log *log, const struct mr_topics_plan *plan,
                                 const struct mr_log_id *fresh, bool add_missing, struct mr_topics_outcome *ret_outcome)
{
    struct creation creation = {admin, log, *plan, ret_outcome};
    memset(ret_outcome, 0, sizeof *ret_outcome);
    MR_TRY(kafka_topics_settle(admin, false, &ret_outcome->found));
    MR_TRY(find_deployment(&creation));
    return ret_outcome->has_deployment ? check_existing(&creation, add_missing) : create_new(&creation, fresh);
}
