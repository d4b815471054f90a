#include "kafka_internal.h"

/*
 * librdkafka has hundreds of codes and adds more, so this is a chain with a stated fallback, not a switch: what is not
 * known to pass by itself is FATAL, and the process ends with its name rather than going on in silence.
 */

static bool is_one_of(rd_kafka_resp_err_t code, const rd_kafka_resp_err_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == code) {
            return true;
        }
    }
    return false;
}

static bool passes(rd_kafka_resp_err_t code)
{
    static const rd_kafka_resp_err_t list[] = {
        RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
        RD_KAFKA_RESP_ERR__RESOLVE,
        RD_KAFKA_RESP_ERR__TIMED_OUT,
        RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
        RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
        RD_KAFKA_RESP_ERR__WAIT_COORD,
        RD_KAFKA_RESP_ERR__WAIT_CACHE,
        RD_KAFKA_RESP_ERR__IN_PROGRESS,
        RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS,
        RD_KAFKA_RESP_ERR__RETRY,
        RD_KAFKA_RESP_ERR__PARTITION_EOF,
        RD_KAFKA_RESP_ERR__NO_OFFSET,
        RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST,
        RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
        RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
        RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
        RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
    };
    return is_one_of(code, list, MR_COUNT_OF(list));
}

static bool is_fenced(rd_kafka_resp_err_t code)
{
    static const rd_kafka_resp_err_t list[] = {
        RD_KAFKA_RESP_ERR__FENCED,
        RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
        RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
    };
    return is_one_of(code, list, MR_COUNT_OF(list));
}

static bool is_denied(rd_kafka_resp_err_t code)
{
    static const rd_kafka_resp_err_t list[] = {
        RD_KAFKA_RESP_ERR__AUTHENTICATION,
        RD_KAFKA_RESP_ERR__SSL,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
    };
    return is_one_of(code, list, MR_COUNT_OF(list));
}

struct mr_error kafka_error(rd_kafka_resp_err_t code, const char *what, const char *text)
{
    enum mr_error_class kind = MR_ERROR_FATAL; /* the fallback */
    const char *name = "broker_error";
    if (passes(code)) {
        kind = MR_ERROR_TRANSIENT;
        name = "broker_unavailable";
    } else if (is_fenced(code)) {
        kind = MR_ERROR_FENCED;
        name = "fenced";
    } else if (is_denied(code)) {
        name = "denied";
    } else if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        kind = MR_ERROR_TRANSIENT;
        name = "queue_full";
    } else if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        kind = MR_ERROR_REJECT;
        name = "too_large";
    } else if (code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
               code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        kind = MR_ERROR_REJECT;
        name = "unknown_topic";
    } else if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        kind = MR_ERROR_REJECT;
        name = "offset_gone";
    }
    return mr_error_make(kind, name, code, "%s: %s (%s)", what, text != NULL ? text : rd_kafka_err2str(code),
                         rd_kafka_err2name(code));
}
