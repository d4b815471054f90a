#include "millrace/lag.h"

#include "kafka_internal.h"

#include <stdlib.h>

enum { COORDINATOR_PAUSE_MS = 50 };

struct mr_lag_asker {
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue; /* of the answers about groups */
    struct kafka_catalog catalog;
};

struct mr_error mr_lag_asker_open(const char *brokers, const char *settings, struct mr_lag_asker **ret_asker)
{
    const struct mr_log_kafka_config config = {
        .brokers = brokers, .settings = settings, .client_id = "millrace-lag", .mode = MR_LOG_ASSIGN};
    struct mr_lag_asker *const asker = calloc(1, sizeof *asker);
    if (asker == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a Kafka client");
    }
    const struct mr_error error = kafka_handle_open(&config, KAFKA_ROLE_QUERY, &asker->handle);
    if (mr_failed(error)) {
        free(asker);
        return error;
    }
    asker->queue = rd_kafka_queue_new(asker->handle);
    *ret_asker = asker;
    return mr_ok();
}

void mr_lag_asker_close(struct mr_lag_asker *asker)
{
    if (asker != NULL) {
        rd_kafka_queue_destroy(asker->queue);
        rd_kafka_destroy(asker->handle);
        kafka_catalog_deinit(&asker->catalog);
        free(asker);
    }
}

/* To ask for one that is not there could create it. */
static struct mr_error check_topics(struct mr_lag_asker *asker, uint32_t partitions, const struct mr_lag *lags,
                                    size_t count)
{
    MR_TRY(kafka_catalog_read(asker->handle, KAFKA_CALL_WAIT_MS, &asker->catalog));
    for (size_t i = 0; i < count; i++) {
        const struct kafka_topic *const topic = kafka_catalog_find(&asker->catalog, lags[i].topic);
        if (topic == NULL || topic->partitions < partitions) {
            return mr_error_make(MR_ERROR_REJECT, "unknown_topic", 0, "the broker has no topic %s of %u partitions",
                                 lags[i].topic, (unsigned)partitions);
        }
    }
    return mr_ok();
}

static rd_kafka_topic_partition_list_t *list_of(const struct mr_lag *lag, uint32_t partitions, int64_t offset)
{
    rd_kafka_topic_partition_list_t *const list = rd_kafka_topic_partition_list_new((int)partitions);
    for (uint32_t p = 0; p < partitions; p++) {
        rd_kafka_topic_partition_list_add(list, lag->topic, (int32_t)p)->offset = offset;
    }
    return list;
}

/* ---- Ends ------------------------------------------------------------------------------------------------------ */

/* Where each partition of the topic begins, or ends: those are times that Kafka knows. The caller destroys the list. */
static struct mr_error bounds_of(const struct mr_lag_asker *asker, const struct mr_lag *lag, uint32_t partitions,
                                 int64_t which, rd_kafka_topic_partition_list_t **ret_list)
{
    rd_kafka_topic_partition_list_t *const list = list_of(lag, partitions, which);
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(asker->handle, list, KAFKA_CALL_WAIT_MS);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_topic_partition_list_destroy(list);
        return kafka_error(code, lag->topic, NULL);
    }
    *ret_list = list;
    return mr_ok();
}

/* `committed` is NULL where the group has read nothing. */
static void reckon(struct mr_lag *lag, const rd_kafka_topic_partition_list_t *lows,
                   const rd_kafka_topic_partition_list_t *ends, const rd_kafka_topic_partition_list_t *committed)
{
    lag->end = lag->lag = 0;
    for (int i = 0; i < ends->cnt; i++) {
        const int64_t end = ends->elems[i].offset;
        int64_t from = lows->elems[i].offset;
        for (int n = 0; committed != NULL && n < committed->cnt; n++) {
            const rd_kafka_topic_partition_t *const each = &committed->elems[n];
            from = each->partition == ends->elems[i].partition && each->offset > from ? each->offset : from;
        }
        lag->end += (uint64_t)end;
        lag->lag += from < end ? (uint64_t)(end - from) : 0;
    }
}

/* The ends are asked for after what was committed: a group is never ahead of them. */
static struct mr_error compare(const struct mr_lag_asker *asker, uint32_t partitions,
                               const rd_kafka_topic_partition_list_t *committed, struct mr_lag *lag)
{
    rd_kafka_topic_partition_list_t *lows, *ends;
    MR_TRY(bounds_of(asker, lag, partitions, RD_KAFKA_OFFSET_BEGINNING, &lows));
    const struct mr_error error = bounds_of(asker, lag, partitions, RD_KAFKA_OFFSET_END, &ends);
    if (!mr_failed(error)) {
        reckon(lag, lows, ends, committed);
        rd_kafka_topic_partition_list_destroy(ends);
    }
    rd_kafka_topic_partition_list_destroy(lows);
    return error;
}

/* ---- Groups ---------------------------------------------------------------------------------------------------- */

static void ask(struct mr_lag_asker *asker, uint32_t partitions, struct mr_lag *lag)
{
    rd_kafka_topic_partition_list_t *const list = list_of(lag, partitions, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_ListConsumerGroupOffsets_t *group = rd_kafka_ListConsumerGroupOffsets_new(lag->group, list);
    rd_kafka_AdminOptions_t *const options =
        rd_kafka_AdminOptions_new(asker->handle, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, KAFKA_CALL_WAIT_MS, NULL, 0);
    rd_kafka_AdminOptions_set_opaque(options, lag);
    rd_kafka_ListConsumerGroupOffsets(asker->handle, &group, 1, options, asker->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ListConsumerGroupOffsets_destroy(group);
    rd_kafka_topic_partition_list_destroy(list);
}

/* What the event says of the one group that was asked about; *ret_list belongs to the event. */
static rd_kafka_resp_err_t answer(rd_kafka_event_t *event, const rd_kafka_topic_partition_list_t **ret_list)
{
    size_t count = 0;
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return rd_kafka_event_error(event);
    }
    const rd_kafka_group_result_t **const groups =
        rd_kafka_ListConsumerGroupOffsets_result_groups(rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    if (count != 1) {
        return RD_KAFKA_RESP_ERR__BAD_MSG;
    }
    const rd_kafka_error_t *const error = rd_kafka_group_result_error(groups[0]);
    *ret_list = rd_kafka_group_result_partitions(groups[0]);
    return error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
}

/* A new cluster has no coordinator when it is first asked for one, nor does a group whose coordinator moves. */
static bool without_coordinator(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR || code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

static struct mr_error take(struct mr_lag_asker *asker, uint32_t partitions, int64_t deadline_ms,
                            rd_kafka_event_t *event, size_t *waiting)
{
    struct mr_lag *const lag = rd_kafka_event_opaque(event);
    const rd_kafka_topic_partition_list_t *committed = NULL;
    const rd_kafka_resp_err_t code = answer(event, &committed);
    if (without_coordinator(code) && kafka_remaining_ms(deadline_ms) > 0) {
        (void)rd_kafka_poll(asker->handle, COORDINATOR_PAUSE_MS);
        ask(asker, partitions, lag);
        return mr_ok();
    }
    (*waiting)--;
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? compare(asker, partitions, committed, lag)
                                              : kafka_error(code, lag->group, rd_kafka_event_error_string(event));
}

struct mr_error mr_lag_ask(struct mr_lag_asker *asker, uint32_t partitions, struct mr_lag *lags, size_t count)
{
    const int64_t deadline_ms = kafka_now_ms() + KAFKA_CALL_WAIT_MS;
    struct mr_error error = mr_ok();
    size_t waiting = count;
    MR_TRY(check_topics(asker, partitions, lags, count));
    for (size_t i = 0; i < count; i++) {
        ask(asker, partitions, &lags[i]);
    }
    /* Each is answered, if only by a timeout: nothing is left for the next call to find. */
    while (waiting > 0) {
        rd_kafka_event_t *const event = rd_kafka_queue_poll(asker->queue, -1);
        if (event == NULL || rd_kafka_event_type(event) != RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT) {
            rd_kafka_event_destroy(event);
            continue;
        }
        const struct mr_error got = take(asker, partitions, deadline_ms, event, &waiting);
        error = mr_failed(error) ? error : got;
        rd_kafka_event_destroy(event);
    }
    return error;
}
