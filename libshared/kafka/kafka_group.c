#include "kafka_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COORDINATOR_PAUSE_MS = 50 };

static struct mr_error subscribe(struct kafka_log *self)
{
    const struct mr_log_kafka_config *const config = &self->config;
    for (size_t i = 0; i < config->topic_count; i++) {
        MR_TRY(kafka_partition_check(self, config->topics[i], 0)); /* asking for it by name could create it */
    }
    rd_kafka_topic_partition_list_t *const list = rd_kafka_topic_partition_list_new((int)config->topic_count);
    for (size_t i = 0; i < config->topic_count; i++) {
        (void)rd_kafka_topic_partition_list_add(list, config->topics[i], RD_KAFKA_PARTITION_UA);
    }
    const rd_kafka_resp_err_t code = rd_kafka_subscribe(self->group.handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? mr_ok() : kafka_error(code, "subscribing", NULL);
}

struct mr_error kafka_group_open(struct kafka_log *self)
{
    struct kafka_group *const g = &self->group;
    MR_TRY(kafka_handle_open(&self->config, KAFKA_ROLE_GROUP, &g->handle));
    (void)rd_kafka_poll_set_consumer(g->handle);
    g->queue = rd_kafka_queue_get_consumer(g->handle);
    g->commit_queue = rd_kafka_queue_new(g->handle);
    g->commit_failure = mr_ok();
    kafka_queue_watch(self, g->queue);
    kafka_queue_watch(self, g->commit_queue);
    return self->config.mode == MR_LOG_SUBSCRIBE ? subscribe(self) : mr_ok();
}

/* ---- Membership ------------------------------------------------------------------------------------------- */

/* The member fetches nothing itself: it answers every assignment with an empty list, and stays in the group. */
static void answer_assigned(struct kafka_group *g)
{
    rd_kafka_topic_partition_list_t *const none = rd_kafka_topic_partition_list_new(0);
    (void)rd_kafka_assign(g->handle, none);
    rd_kafka_topic_partition_list_destroy(none);
}

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* The indexes of one topic's partitions, sorted; ret_indexes has room for the whole list. */
static size_t indexes_of(const rd_kafka_topic_partition_list_t *list, const char *topic, uint32_t *ret_indexes)
{
    size_t count = 0;
    for (int i = 0; i < list->cnt; i++) {
        if (strcmp(list->elems[i].topic, topic) == 0) {
            ret_indexes[count++] = (uint32_t)list->elems[i].partition;
        }
    }
    qsort(ret_indexes, count, sizeof *ret_indexes, compare);
    return count;
}

/* Rule O2 rests on it: a model stays on one index throughout, so a member must own the same ones everywhere. */
static struct mr_error partitions_of(struct kafka_log *self, const rd_kafka_topic_partition_list_t *list)
{
    const size_t room = (size_t)list->cnt + 1;
    uint32_t *const first = calloc(2 * room, sizeof *first);
    if (first == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "an assignment of %d partitions", list->cnt);
    }
    uint32_t *const other = first + room;
    const size_t count = indexes_of(list, self->config.topics[0], first);
    for (size_t i = 1; i < self->config.topic_count; i++) {
        if (indexes_of(list, self->config.topics[i], other) != count ||
            memcmp(first, other, count * sizeof *first) != 0) {
            free(first);
            return mr_error_make(MR_ERROR_FATAL, "uneven_assignment", 0,
                                 "the group assigned other partitions of %s than of %s: have all topics the same "
                                 "number of partitions, and all members the same assignor?",
                                 self->config.topics[i], self->config.topics[0]);
        }
    }
    free(self->group.partitions);
    self->group.partitions = first;
    self->group.partition_count = count;
    return mr_ok();
}

static struct mr_log_event assigned(struct kafka_log *self, rd_kafka_event_t *event)
{
    struct kafka_group *const g = &self->group;
    const struct mr_error error = partitions_of(self, rd_kafka_event_topic_partition_list(event));
    if (mr_failed(error)) {
        return kafka_failed(error);
    }
    answer_assigned(g);
    g->membership = KAFKA_MEMBERSHIP_ASSIGNED;
    return (struct mr_log_event){.kind = MR_LOG_EVENT_ASSIGNED, .of.assigned = {g->partitions, g->partition_count}};
}

static struct mr_log_event revoked(struct kafka_group *g)
{
    g->membership = KAFKA_MEMBERSHIP_REVOKED;
    return (struct mr_log_event){.kind = MR_LOG_EVENT_REVOKED};
}

/* Owns the event. False: nothing to tell. */
static bool rebalance(struct kafka_log *self, rd_kafka_event_t *event, struct mr_log_event *ret_event)
{
    struct kafka_group *const g = &self->group;
    const bool gives = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (gives && g->membership == KAFKA_MEMBERSHIP_NONE) {
        *ret_event = assigned(self, event);
        rd_kafka_event_destroy(event);
        return true;
    }
    if (gives) {
        g->next_assignment = event; /* an empty assignment is replaced without being revoked */
    } else {
        rd_kafka_event_destroy(event);
    }
    if (g->membership == KAFKA_MEMBERSHIP_ASSIGNED) {
        *ret_event = revoked(g);
        return true;
    }
    (void)rd_kafka_assign(g->handle, NULL);
    return false;
}

void kafka_released(struct mr_log *log)
{
    struct kafka_log *const self = kafka_of(log);
    struct kafka_group *const g = &self->group;
    MR_ASSERT(g->membership == KAFKA_MEMBERSHIP_REVOKED);
    kafka_fetcher_stop_all(self);
    for (struct kafka_commit *c = g->commits; c != NULL; c = c->link) {
        c->due = false;
    }
    g->membership = KAFKA_MEMBERSHIP_NONE;
    if (g->next_assignment == NULL) {
        (void)rd_kafka_assign(g->handle, NULL);
    }
}

/* ---- Commits: one request at a time, with whatever is due by then ----------------------------------------- */

static struct mr_error no_group(const char *topic)
{
    return mr_error_make(MR_ERROR_FATAL, "no_group", 0, "an offset of %s, but the log was opened without a group",
                         topic);
}

static void send_commits(struct kafka_group *g)
{
    rd_kafka_topic_partition_list_t *const list = rd_kafka_topic_partition_list_new(8);
    for (struct kafka_commit *c = g->commits; c != NULL; c = c->link) {
        if (c->due) {
            rd_kafka_topic_partition_list_add(list, c->topic, (int32_t)c->partition)->offset = (int64_t)c->next;
            c->due = false;
        }
    }
    if (list->cnt > 0) {
        const rd_kafka_resp_err_t code = rd_kafka_commit_queue(g->handle, list, g->commit_queue, NULL, NULL);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            g->commit_in_flight = true;
        } else {
            g->commit_failure = kafka_error(code, "committing offsets", NULL);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void commit_answered(struct kafka_group *g, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *const list = rd_kafka_event_topic_partition_list(event);
    for (int i = 0; list != NULL && i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        g->commit_failure = kafka_error(code, "committing offsets", NULL);
    }
    g->commit_in_flight = false;
    send_commits(g);
}

/* False: no answer came. */
static bool serve_commits(struct kafka_group *g, int wait_ms)
{
    rd_kafka_event_t *const event = rd_kafka_queue_poll(g->commit_queue, wait_ms);
    if (event == NULL) {
        return false;
    }
    commit_answered(g, event);
    rd_kafka_event_destroy(event);
    return true;
}

struct mr_error kafka_commit(struct mr_log *log, const char *topic, uint32_t partition, uint64_t next)
{
    struct kafka_group *const g = &kafka_of(log)->group;
    if (g->handle == NULL) {
        return no_group(topic);
    }
    struct kafka_commit *c = g->commits;
    while (c != NULL && (c->partition != partition || strcmp(c->topic, topic) != 0)) {
        c = c->link;
    }
    if (c == NULL) {
        c = calloc(1, sizeof *c);
        char *const name = strdup(topic);
        if (c == NULL || name == NULL) {
            free(c);
            free(name);
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a commit for %s", topic);
        }
        *c = (struct kafka_commit){.link = g->commits, .topic = name, .partition = partition};
        g->commits = c;
    }
    c->next = next;
    c->due = true;
    if (!g->commit_in_flight) {
        send_commits(g);
    }
    return mr_ok();
}

struct mr_error kafka_commit_wait(struct mr_log *log, uint32_t wait_ms)
{
    struct kafka_group *const g = &kafka_of(log)->group;
    const int64_t deadline_ms = kafka_now_ms() + wait_ms;
    while (g->handle != NULL && g->commit_in_flight) {
        if (!serve_commits(g, kafka_remaining_ms(deadline_ms)) && kafka_remaining_ms(deadline_ms) == 0) {
            return mr_error_make(MR_ERROR_TRANSIENT, "broker_unavailable", 0,
                                 "offset commits were not answered within %u ms", wait_ms);
        }
    }
    return mr_ok();
}

/* A new cluster makes the topic of the offsets when it is first asked for a group, and answers at once that it is not
 * there yet; so it does while a coordinator moves. */
static bool without_coordinator(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR || code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

static rd_kafka_resp_err_t ask_committed(rd_kafka_t *handle, rd_kafka_topic_partition_list_t *list)
{
    const int64_t deadline_ms = kafka_now_ms() + KAFKA_CALL_WAIT_MS;
    const struct timespec pause = {.tv_nsec = COORDINATOR_PAUSE_MS * 1000000L};
    for (;;) {
        const rd_kafka_resp_err_t code = rd_kafka_committed(handle, list, KAFKA_CALL_WAIT_MS);
        const rd_kafka_resp_err_t all = code != RD_KAFKA_RESP_ERR_NO_ERROR ? code : list->elems[0].err;
        if (!without_coordinator(all) || kafka_remaining_ms(deadline_ms) == 0) {
            return all;
        }
        (void)nanosleep(&pause, NULL);
    }
}

struct mr_error kafka_committed(struct mr_log *log, const char *topic, uint32_t partition, bool *ret_some,
                                uint64_t *ret_offset)
{
    struct kafka_log *const self = kafka_of(log);
    if (self->group.handle == NULL) {
        *ret_some = false;
        return mr_ok();
    }
    MR_TRY(kafka_partition_check(self, topic, partition));
    rd_kafka_topic_partition_list_t *const list = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(list, topic, (int32_t)partition);
    const rd_kafka_resp_err_t code = ask_committed(self->group.handle, list);
    const int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error(code, topic, NULL);
    }
    *ret_some = offset >= 0;
    if (offset >= 0) {
        *ret_offset = (uint64_t)offset;
    }
    return mr_ok();
}

/* ---- Polling and closing ------------------------------------------------------------------------------------ */

bool kafka_group_event(struct kafka_log *self, struct mr_log_event *ret_event)
{
    struct kafka_group *const g = &self->group;
    if (g->handle == NULL) {
        return false;
    }
    while (serve_commits(g, 0)) {
    }
    if (mr_failed(g->commit_failure)) {
        *ret_event = (struct mr_log_event){.kind = MR_LOG_EVENT_COMMIT_FAILED, .of.error = g->commit_failure};
        g->commit_failure = mr_ok();
        return true;
    }
    if (g->next_assignment != NULL && g->membership == KAFKA_MEMBERSHIP_NONE) {
        rd_kafka_event_t *const event = g->next_assignment;
        g->next_assignment = NULL;
        return rebalance(self, event, ret_event);
    }
    if (g->membership == KAFKA_MEMBERSHIP_REVOKED) {
        return false; /* the rebalance waits for `released` */
    }
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(g->queue, 0)) != NULL) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
            if (rebalance(self, event, ret_event)) {
                return true;
            }
            continue;
        }
        const bool tell = kafka_trouble(self, event, ret_event);
        rd_kafka_event_destroy(event);
        if (tell) {
            return true;
        }
    }
    return false;
}

/* Tells the group, so that the others need not wait for the session to end; bounded, for the broker may be gone. */
static void leave(struct kafka_group *g)
{
    if (g->next_assignment != NULL) {
        rd_kafka_event_destroy(g->next_assignment);
    }
    if (g->membership == KAFKA_MEMBERSHIP_REVOKED) {
        (void)rd_kafka_assign(g->handle, NULL);
    }
    rd_kafka_error_t *const failure = rd_kafka_consumer_close_queue(g->handle, g->queue);
    if (failure != NULL) {
        rd_kafka_error_destroy(failure);
        return;
    }
    const int64_t deadline_ms = kafka_now_ms() + KAFKA_CLOSE_WAIT_MS;
    while (!rd_kafka_consumer_closed(g->handle) && kafka_remaining_ms(deadline_ms) > 0) {
        rd_kafka_event_t *const event = rd_kafka_queue_poll(g->queue, 20);
        if (event != NULL && rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
            (void)rd_kafka_assign(g->handle, NULL);
        }
        if (event != NULL) {
            rd_kafka_event_destroy(event);
        }
    }
}

void kafka_group_close(struct kafka_log *self)
{
    struct kafka_group *const g = &self->group;
    if (g->handle == NULL) {
        return;
    }
    if (self->config.mode == MR_LOG_SUBSCRIBE) {
        leave(g);
    }
    rd_kafka_queue_destroy(g->commit_queue);
    rd_kafka_queue_destroy(g->queue);
    rd_kafka_destroy_flags(g->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    while (g->commits != NULL) {
        struct kafka_commit *const c = g->commits;
        g->commits = c->link;
        free(c->topic);
        free(c);
    }
    free(g->partitions);
}
