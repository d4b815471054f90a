#include "memory_log.h"

#include "prng.h"

#include <stdlib.h>
#include <string.h>

enum { MEMORY_MESSAGE_MAX_BYTES = 1000000, MEMORY_QUEUE_MAX = 100000 };

/* ---- The broker ---------------------------------------------------------------------------------------- */

struct memory_record {
    struct mr_log_record view;
    struct mr_log_header *headers;
    uint8_t *bytes; /* topic, header names and values, key, value */
};

struct memory_partition {
    struct memory_record **records;
    size_t count, capacity;
    uint64_t low;
};

struct memory_topic {
    struct memory_topic *next;
    char *name;
    struct memory_partition *partitions;
    uint32_t count;
    bool fail_next;
};

struct memory_commit {
    struct memory_commit *link;
    char *group, *topic;
    uint32_t partition;
    uint64_t next;
};

struct memory_broker {
    struct memory_topic *topics;
    struct memory_commit *commits;
    struct prng prng;
    bool down, hold_writes, hold_acks, shuffle;
    size_t acks_let_through, commits_to_fail, queue_max;
    size_t reads;
    int64_t now_ms;
};

static void *must(void *memory)
{
    MR_ASSERT(memory != NULL);
    return memory;
}

static uint8_t *put(uint8_t **at, const void *data, size_t size)
{
    uint8_t *const start = *at;
    if (size > 0) {
        memcpy(start, data, size);
    }
    *at += size;
    return start;
}

static size_t record_bytes(const struct mr_log_record *record)
{
    size_t size = strlen(record->topic) + 1 + record->key.size + record->value.size;
    for (size_t i = 0; i < record->header_count; i++) {
        size += strlen(record->headers[i].name) + 1 + record->headers[i].value.size;
    }
    return size;
}

static struct memory_record *record_copy(const struct mr_log_record *source)
{
    struct memory_record *const r = must(calloc(1, sizeof *r));
    r->headers = must(calloc(source->header_count + 1, sizeof *r->headers));
    r->bytes = must(malloc(record_bytes(source)));
    uint8_t *at = r->bytes;
    r->view = *source;
    r->view.topic = (const char *)put(&at, source->topic, strlen(source->topic) + 1);
    for (size_t i = 0; i < source->header_count; i++) {
        const struct mr_log_header *const from = &source->headers[i];
        r->headers[i].name = (const char *)put(&at, from->name, strlen(from->name) + 1);
        r->headers[i].value = mr_bytes_of(put(&at, from->value.data, from->value.size), from->value.size);
    }
    r->view.headers = r->headers;
    r->view.key = mr_bytes_of(put(&at, source->key.data, source->key.size), source->key.size);
    r->view.value = mr_bytes_of(put(&at, source->value.data, source->value.size), source->value.size);
    return r;
}

static void record_free(struct memory_record *record)
{
    if (record != NULL) {
        free(record->headers);
        free(record->bytes);
        free(record);
    }
}

static struct memory_record *record_of_output(const struct memory_broker *broker, const struct mr_log_output *output)
{
    const struct mr_log_record record = {
        .topic = output->topic,
        .partition = output->partition,
        .timestamp_ms = output->timestamp_ms != 0 ? output->timestamp_ms : broker->now_ms,
        .has_key = output->has_key,
        .has_value = output->has_value,
        .key = output->has_key ? output->key : mr_bytes_of(NULL, 0),
        .value = output->has_value ? output->value : mr_bytes_of(NULL, 0),
        .headers = output->headers,
        .header_count = output->header_count,
    };
    return record_copy(&record);
}

struct memory_broker *memory_broker_new(uint64_t seed)
{
    struct memory_broker *const broker = must(calloc(1, sizeof *broker));
    broker->prng.state = seed;
    broker->queue_max = MEMORY_QUEUE_MAX;
    return broker;
}

static void topic_free(struct memory_topic *topic)
{
    for (uint32_t p = 0; p < topic->count; p++) {
        for (size_t i = 0; i < topic->partitions[p].count; i++) {
            record_free(topic->partitions[p].records[i]);
        }
        free(topic->partitions[p].records);
    }
    free(topic->partitions);
    free(topic->name);
    free(topic);
}

void memory_broker_free(struct memory_broker *broker)
{
    while (broker->topics != NULL) {
        struct memory_topic *const topic = broker->topics;
        broker->topics = topic->next;
        topic_free(topic);
    }
    while (broker->commits != NULL) {
        struct memory_commit *const commit = broker->commits;
        broker->commits = commit->link;
        free(commit->group);
        free(commit->topic);
        free(commit);
    }
    free(broker);
}

static struct memory_topic *topic_find(const struct memory_broker *broker, const char *name)
{
    struct memory_topic *topic = broker->topics;
    while (topic != NULL && strcmp(topic->name, name) != 0) {
        topic = topic->next;
    }
    return topic;
}

static struct memory_partition *partition_find(const struct memory_broker *broker, const char *topic,
                                               uint32_t partition)
{
    const struct memory_topic *const found = topic_find(broker, topic);
    return found != NULL && partition < found->count ? &found->partitions[partition] : NULL;
}

static struct memory_partition *partition_must(const struct memory_broker *broker, const char *topic,
                                               uint32_t partition)
{
    return must(partition_find(broker, topic, partition));
}

void memory_broker_create(struct memory_broker *broker, const char *topic, uint32_t partitions)
{
    MR_ASSERT(topic_find(broker, topic) == NULL && partitions > 0);
    struct memory_topic *const made = must(calloc(1, sizeof *made));
    made->name = must(strdup(topic));
    made->partitions = must(calloc(partitions, sizeof *made->partitions));
    made->count = partitions;
    made->next = broker->topics;
    broker->topics = made;
}

/* Owns the record from here on. */
static uint64_t partition_append(struct memory_partition *partition, struct memory_record *record)
{
    if (partition->count == partition->capacity) {
        partition->capacity = partition->capacity == 0 ? 64 : partition->capacity * 2;
        partition->records = must(realloc(partition->records, partition->capacity * sizeof *partition->records));
    }
    record->view.offset = partition->count;
    partition->records[partition->count] = record;
    return partition->count++;
}

uint64_t memory_broker_append(struct memory_broker *broker, const struct mr_log_output *output)
{
    return partition_append(partition_must(broker, output->topic, output->partition), record_of_output(broker, output));
}

uint64_t memory_broker_low(const struct memory_broker *broker, const char *topic, uint32_t partition)
{
    return partition_must(broker, topic, partition)->low;
}

uint64_t memory_broker_high(const struct memory_broker *broker, const char *topic, uint32_t partition)
{
    return partition_must(broker, topic, partition)->count;
}

const struct mr_log_record *memory_broker_record(const struct memory_broker *broker, const char *topic,
                                                 uint32_t partition, uint64_t offset)
{
    const struct memory_partition *const found = partition_must(broker, topic, partition);
    MR_ASSERT(offset < found->count);
    return &found->records[offset]->view;
}

static struct memory_commit *commit_find(const struct memory_broker *broker, const char *group, const char *topic,
                                         uint32_t partition)
{
    struct memory_commit *c = broker->commits;
    while (c != NULL && (strcmp(c->group, group) != 0 || strcmp(c->topic, topic) != 0 || c->partition != partition)) {
        c = c->link;
    }
    return c;
}

bool memory_broker_committed(const struct memory_broker *broker, const char *group, const char *topic,
                             uint32_t partition, uint64_t *ret_next)
{
    const struct memory_commit *const found = commit_find(broker, group, topic, partition);
    if (found == NULL) {
        return false;
    }
    *ret_next = found->next;
    return true;
}

void memory_broker_commit(struct memory_broker *broker, const char *group, const char *topic, uint32_t partition,
                          uint64_t next)
{
    struct memory_commit *commit = commit_find(broker, group, topic, partition);
    if (commit == NULL) {
        commit = must(calloc(1, sizeof *commit));
        commit->group = must(strdup(group));
        commit->topic = must(strdup(topic));
        commit->partition = partition;
        commit->link = broker->commits;
        broker->commits = commit;
    }
    commit->next = next;
}

void memory_broker_hold_writes(struct memory_broker *broker, bool hold)
{
    broker->hold_writes = hold;
}
void memory_broker_hold_acks(struct memory_broker *broker, bool hold)
{
    broker->hold_acks = hold;
    broker->acks_let_through = 0;
}
void memory_broker_release_acks(struct memory_broker *broker, size_t count)
{
    broker->acks_let_through += count;
}
void memory_broker_fail_next(struct memory_broker *broker, const char *topic)
{
    struct memory_topic *const found = must(topic_find(broker, topic));
    found->fail_next = true;
}
void memory_broker_fail_commits(struct memory_broker *broker, size_t count)
{
    broker->commits_to_fail = count;
}
void memory_broker_set_down(struct memory_broker *broker, bool down)
{
    broker->down = down;
}
void memory_broker_expire(struct memory_broker *broker, const char *topic, uint32_t partition, uint64_t below)
{
    struct memory_partition *const found = partition_must(broker, topic, partition);
    MR_ASSERT(below >= found->low && below <= found->count);
    found->low = below;
}
void memory_broker_shuffle(struct memory_broker *broker, bool shuffle)
{
    broker->shuffle = shuffle;
}
void memory_broker_set_time(struct memory_broker *broker, int64_t now_ms)
{
    broker->now_ms = now_ms;
}
void memory_broker_set_queue_max(struct memory_broker *broker, size_t records)
{
    broker->queue_max = records;
}

/* ---- A client ------------------------------------------------------------------------------------------- */

enum memory_pending_state {
    MEMORY_PENDING_WAITING = 1, /* with the client alone */
    MEMORY_PENDING_LANDED,      /* in the log, not acknowledged */
    MEMORY_PENDING_FAILED,      /* never gets there; the client is not told yet */
    MEMORY_PENDING_TOLD,        /* failed and told; kept, for nothing later of its partition may follow it */
};

struct memory_pending {
    struct memory_pending *next;
    enum memory_pending_state state;
    struct memory_record *record; /* the log's once it has landed */
    uint64_t token;
};

struct memory_fetch {
    struct memory_fetch *next;
    char *topic;
    uint32_t partition;
    uint64_t at;
    bool paused, gone; /* gone: OFFSET_GONE was given */
};

enum memory_phase {
    MEMORY_PHASE_NONE = 1,
    MEMORY_PHASE_ASSIGNING, /* ASSIGNED is due */
    MEMORY_PHASE_ASSIGNED,
    MEMORY_PHASE_REVOKING, /* REVOKED is due */
    MEMORY_PHASE_REVOKED,  /* `released` is due */
};

struct memory_log {
    struct mr_log log;
    struct memory_broker *broker;
    char *group;
    enum mr_log_mode mode;
    enum memory_phase phase;
    uint32_t *partitions, *next_partitions;
    size_t partition_count, next_count;
    bool assign_next; /* after the release */
    bool seen_down;
    size_t commits_failed;
    uint32_t waited_ms; /* what the last poll was ready to wait */
    struct memory_fetch *fetches, *turn;
    struct memory_pending *oldest, *newest, *waiting; /* waiting: the oldest in that state */
    size_t in_flight, held;
};

struct mr_log_reader {
    char *topic;
    uint32_t partition;
    uint64_t at;
    struct memory_record *current;
};

static struct memory_log *of(struct mr_log *log)
{
    return (struct memory_log *)log;
}
static const struct memory_log *of_const(const struct mr_log *log)
{
    return (const struct memory_log *)log;
}

static struct mr_error is_down(void)
{
    return mr_error_make(MR_ERROR_TRANSIENT, "broker_down", 0, "the broker is down");
}
static struct mr_error unknown_topic(const char *topic, uint32_t partition)
{
    return mr_error_make(MR_ERROR_REJECT, "unknown_topic", 0, "no partition %u in topic %s", partition, topic);
}
static bool same_partition(const struct memory_pending *a, const struct memory_pending *b)
{
    return a->record->view.partition == b->record->view.partition &&
           strcmp(a->record->view.topic, b->record->view.topic) == 0;
}

/* ---- Producing ------------------------------------------------------------------------------------------- */

static bool failed(const struct memory_pending *pending)
{
    return pending->state == MEMORY_PENDING_FAILED || pending->state == MEMORY_PENDING_TOLD;
}

static bool follows_failure(const struct memory_log *self, const struct memory_pending *pending)
{
    const struct memory_pending *p = self->oldest;
    while (p != pending && !(failed(p) && same_partition(p, pending))) {
        p = p->next;
    }
    return p != pending;
}

static void land(struct memory_log *self, struct memory_pending *pending)
{
    struct memory_topic *const topic = must(topic_find(self->broker, pending->record->view.topic));
    if (topic->fail_next || follows_failure(self, pending)) {
        topic->fail_next = false;
        pending->state = MEMORY_PENDING_FAILED;
        return;
    }
    partition_append(&topic->partitions[pending->record->view.partition], pending->record);
    pending->state = MEMORY_PENDING_LANDED;
}

static void land_all(struct memory_log *self)
{
    if (self->broker->down || self->broker->hold_writes) {
        return;
    }
    for (; self->waiting != NULL; self->waiting = self->waiting->next) {
        land(self, self->waiting);
    }
}

/* The pending record that is answered next, or NULL. */
static struct memory_pending *answerable(const struct memory_log *self)
{
    enum { SPREAD = 16 };
    struct memory_broker *const broker = self->broker;
    if (broker->down || (broker->hold_acks && broker->acks_let_through == 0)) {
        return NULL;
    }
    struct memory_pending *chosen = NULL;
    uint64_t skip = broker->shuffle ? prng_below(&broker->prng, SPREAD) : 0;
    for (struct memory_pending *p = self->oldest; p != self->waiting; p = p->next) {
        if (p->state == MEMORY_PENDING_TOLD) {
            continue;
        }
        chosen = p;
        if (skip-- == 0) {
            break;
        }
    }
    struct memory_pending *first = self->oldest; /* of the chosen one's partition */
    while (chosen != NULL && (first->state == MEMORY_PENDING_TOLD || !same_partition(first, chosen))) {
        first = first->next;
    }
    return chosen == NULL ? NULL : first;
}

static void pending_remove(struct memory_log *self, struct memory_pending *pending)
{
    struct memory_pending *before = NULL;
    for (struct memory_pending *p = self->oldest; p != pending; p = p->next) {
        before = p;
    }
    if (before == NULL) {
        self->oldest = pending->next;
    } else {
        before->next = pending->next;
    }
    if (self->newest == pending) {
        self->newest = before;
    }
    free(pending);
}

static struct mr_log_event answer(struct memory_log *self, struct memory_pending *pending)
{
    self->in_flight--;
    if (self->broker->hold_acks) {
        self->broker->acks_let_through--;
    }
    struct mr_log_event event = {.kind = MR_LOG_EVENT_DELIVERED};
    if (pending->state == MEMORY_PENDING_FAILED) {
        event.kind = MR_LOG_EVENT_DELIVERY_FAILED;
        event.of.delivery_failed.token = pending->token;
        event.of.delivery_failed.error =
            mr_error_make(MR_ERROR_FATAL, "delivery_failed", 0, "a produce to %s [%u] failed for good",
                          pending->record->view.topic, pending->record->view.partition);
        pending->state = MEMORY_PENDING_TOLD;
        return event;
    }
    event.of.delivered.token = pending->token;
    event.of.delivered.offset = pending->record->view.offset;
    pending_remove(self, pending);
    return event;
}

static struct mr_error op_produce(struct mr_log *log, const struct mr_log_output *output)
{
    struct memory_log *const self = of(log);
    if (partition_find(self->broker, output->topic, output->partition) == NULL) {
        return unknown_topic(output->topic, output->partition);
    }
    if (output->key.size + output->value.size > MEMORY_MESSAGE_MAX_BYTES) {
        return mr_error_make(MR_ERROR_REJECT, "too_large", 0, "%zu bytes for %s", output->key.size + output->value.size,
                             output->topic);
    }
    if (self->in_flight >= self->broker->queue_max) {
        return mr_error_make(MR_ERROR_TRANSIENT, "queue_full", 0, "%zu records are in flight", self->in_flight);
    }
    struct memory_pending *const pending = must(calloc(1, sizeof *pending));
    pending->state = MEMORY_PENDING_WAITING;
    pending->record = record_of_output(self->broker, output);
    pending->token = output->token;
    if (self->newest != NULL) {
        self->newest->next = pending;
    } else {
        self->oldest = pending;
    }
    self->newest = pending;
    if (self->waiting == NULL) {
        self->waiting = pending;
    }
    self->in_flight++;
    return mr_ok();
}

static uint64_t op_in_flight(struct mr_log *log)
{
    return of(log)->in_flight;
}

/* ---- Fetching ------------------------------------------------------------------------------------------- */

static struct memory_fetch *fetch_find(const struct memory_log *self, const char *topic, uint32_t partition)
{
    struct memory_fetch *f = self->fetches;
    while (f != NULL && (f->partition != partition || strcmp(f->topic, topic) != 0)) {
        f = f->next;
    }
    return f;
}

static void fetches_clear(struct memory_log *self)
{
    while (self->fetches != NULL) {
        struct memory_fetch *const fetch = self->fetches;
        self->fetches = fetch->next;
        free(fetch->topic);
        free(fetch);
    }
    self->turn = NULL;
}

static bool has_event(const struct memory_log *self, const struct memory_fetch *fetch)
{
    const struct memory_partition *const p = partition_must(self->broker, fetch->topic, fetch->partition);
    return !fetch->paused && !fetch->gone && fetch->at != p->count;
}

/* Any of those that have something, equally likely. */
static struct memory_fetch *fetch_any(const struct memory_log *self)
{
    struct memory_fetch *chosen = NULL;
    uint64_t seen = 0;
    for (struct memory_fetch *f = self->fetches; f != NULL; f = f->next) {
        if (has_event(self, f) && prng_below(&self->broker->prng, ++seen) == 0) {
            chosen = f;
        }
    }
    return chosen;
}

/* The fetch whose turn it is, after the last one. NULL: none has anything. */
static struct memory_fetch *fetch_next(const struct memory_log *self)
{
    if (self->broker->down || self->phase == MEMORY_PHASE_REVOKED) {
        return NULL;
    }
    if (self->broker->shuffle) {
        return fetch_any(self);
    }
    struct memory_fetch *first = NULL, *after = NULL;
    bool passed = self->turn == NULL;
    for (struct memory_fetch *f = self->fetches; f != NULL; f = f->next) {
        if (has_event(self, f)) {
            first = first == NULL ? f : first;
            after = after == NULL && passed ? f : after;
        }
        passed = passed || f == self->turn;
    }
    return after != NULL ? after : first;
}

static struct mr_log_event fetch_event(struct memory_log *self, struct memory_fetch *fetch)
{
    struct mr_log_event event = {.kind = MR_LOG_EVENT_OFFSET_GONE};
    const struct memory_partition *const p = partition_must(self->broker, fetch->topic, fetch->partition);
    self->turn = fetch;
    if (fetch->at < p->low || fetch->at > p->count) {
        fetch->gone = true;
        event.of.offset_gone.topic = fetch->topic;
        event.of.offset_gone.partition = fetch->partition;
        return event;
    }
    struct memory_record *const copy = record_copy(&p->records[fetch->at++]->view);
    self->held++;
    event.kind = MR_LOG_EVENT_RECORD;
    event.of.record.view = copy->view;
    event.of.record.held = copy;
    return event;
}

static void op_record_free(struct mr_log *log, void *held)
{
    MR_ASSERT(of(log)->held > 0);
    of(log)->held--;
    record_free(held);
}

static struct mr_error op_fetch(struct mr_log *log, const char *topic, uint32_t partition, uint64_t from)
{
    struct memory_log *const self = of(log);
    const struct memory_partition *const p = partition_find(self->broker, topic, partition);
    if (p == NULL) {
        return unknown_topic(topic, partition);
    }
    uint64_t at = from;
    if (from == MR_LOG_OFFSET_COMMITTED &&
        (self->group == NULL || !memory_broker_committed(self->broker, self->group, topic, partition, &at))) {
        at = p->low;
    }
    struct memory_fetch *fetch = fetch_find(self, topic, partition);
    if (fetch == NULL) {
        fetch = must(calloc(1, sizeof *fetch));
        fetch->topic = must(strdup(topic));
        fetch->partition = partition;
        fetch->next = self->fetches;
        self->fetches = fetch;
    }
    fetch->at = at;
    fetch->gone = false;
    return mr_ok();
}

static struct mr_error set_paused(struct mr_log *log, const char *topic, uint32_t partition, bool paused)
{
    struct memory_fetch *const fetch = fetch_find(of(log), topic, partition);
    if (fetch == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "not_fetched", 0, "%s [%u] is not fetched", topic, partition);
    }
    fetch->paused = paused;
    return mr_ok();
}
static struct mr_error op_pause(struct mr_log *log, const char *topic, uint32_t partition)
{
    return set_paused(log, topic, partition, true);
}
static struct mr_error op_resume(struct mr_log *log, const char *topic, uint32_t partition)
{
    return set_paused(log, topic, partition, false);
}

/* ---- The group ------------------------------------------------------------------------------------------- */

static void partitions_set(uint32_t **ret_partitions, size_t *ret_count, const uint32_t *partitions, size_t count)
{
    free(*ret_partitions);
    *ret_partitions = must(calloc(count + 1, sizeof **ret_partitions));
    for (size_t i = 0; i < count; i++) {
        (*ret_partitions)[i] = partitions[i];
    }
    *ret_count = count;
}

static void assign_begin(struct memory_log *self)
{
    partitions_set(&self->partitions, &self->partition_count, self->next_partitions, self->next_count);
    self->assign_next = false;
    self->phase = MEMORY_PHASE_ASSIGNING;
}

void memory_log_assign(struct mr_log *log, const uint32_t *partitions, size_t count)
{
    struct memory_log *const self = of(log);
    MR_ASSERT(self->mode == MR_LOG_SUBSCRIBE && self->phase != MEMORY_PHASE_ASSIGNED);
    partitions_set(&self->next_partitions, &self->next_count, partitions, count);
    self->assign_next = true;
    if (self->phase == MEMORY_PHASE_NONE || self->phase == MEMORY_PHASE_ASSIGNING) {
        assign_begin(self);
    }
}

void memory_log_revoke(struct mr_log *log)
{
    struct memory_log *const self = of(log);
    MR_ASSERT(self->phase == MEMORY_PHASE_ASSIGNED);
    self->phase = MEMORY_PHASE_REVOKING;
}

uint32_t memory_log_waited_ms(const struct mr_log *log)
{
    return of_const(log)->waited_ms;
}

bool memory_log_revoking(const struct mr_log *log)
{
    return of_const(log)->phase == MEMORY_PHASE_REVOKED;
}

static void op_released(struct mr_log *log)
{
    struct memory_log *const self = of(log);
    MR_ASSERT(self->phase == MEMORY_PHASE_REVOKED);
    fetches_clear(self);
    self->phase = MEMORY_PHASE_NONE;
    if (self->assign_next) {
        assign_begin(self);
    }
}

static struct mr_error op_commit(struct mr_log *log, const char *topic, uint32_t partition, uint64_t next)
{
    struct memory_log *const self = of(log);
    if (self->group == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "no_group", 0, "a commit for %s, but the log was opened without a group",
                             topic);
    }
    if (partition_find(self->broker, topic, partition) == NULL) {
        return unknown_topic(topic, partition);
    }
    if (self->broker->commits_to_fail > 0) {
        self->broker->commits_to_fail--;
        self->commits_failed++;
        return mr_ok();
    }
    memory_broker_commit(self->broker, self->group, topic, partition, next);
    return mr_ok();
}
static struct mr_error op_commit_wait(struct mr_log *log, uint32_t wait_ms)
{
    (void)wait_ms;
    return of(log)->broker->down ? is_down() : mr_ok();
}
static struct mr_error op_committed(struct mr_log *log, const char *topic, uint32_t partition, bool *ret_some,
                                    uint64_t *ret_offset)
{
    const struct memory_log *const self = of(log);
    if (self->broker->down) {
        return is_down();
    }
    if (self->group == NULL) {
        *ret_some = false;
        return mr_ok();
    }
    *ret_some = memory_broker_committed(self->broker, self->group, topic, partition, ret_offset);
    return mr_ok();
}

/* ---- Polling ------------------------------------------------------------------------------------------- */

static struct mr_log_event status_event(struct memory_log *self)
{
    struct mr_log_event event = {.kind = MR_LOG_EVENT_QUIET};
    if (self->broker->down != self->seen_down) {
        self->seen_down = self->broker->down;
        event.kind = self->seen_down ? MR_LOG_EVENT_DOWN : MR_LOG_EVENT_UP;
        event.of.error = self->seen_down ? is_down() : mr_ok();
    } else if (self->commits_failed > 0) {
        self->commits_failed--;
        event.kind = MR_LOG_EVENT_COMMIT_FAILED;
        event.of.error = mr_error_make(MR_ERROR_TRANSIENT, "commit_failed", 0, "a commit was refused");
    } else if (self->phase == MEMORY_PHASE_REVOKING) {
        self->phase = MEMORY_PHASE_REVOKED;
        event.kind = MR_LOG_EVENT_REVOKED;
    } else if (self->phase == MEMORY_PHASE_ASSIGNING) {
        self->phase = MEMORY_PHASE_ASSIGNED;
        event.kind = MR_LOG_EVENT_ASSIGNED;
        event.of.assigned.partitions = self->partitions;
        event.of.assigned.count = self->partition_count;
    }
    return event;
}

static struct mr_log_event op_poll(struct mr_log *log, uint32_t wait_ms)
{
    struct memory_log *const self = of(log);
    self->waited_ms = wait_ms;
    land_all(self);
    const struct mr_log_event event = status_event(self);
    if (event.kind != MR_LOG_EVENT_QUIET) {
        return event;
    }
    struct memory_pending *const pending = answerable(self);
    struct memory_fetch *const fetch = fetch_next(self);
    const bool fetch_first = self->broker->shuffle && prng_below(&self->broker->prng, 2) == 0;
    if (pending != NULL && (fetch == NULL || !fetch_first)) {
        return answer(self, pending);
    }
    return fetch != NULL ? fetch_event(self, fetch) : event;
}

static void op_wake(struct mr_log *log)
{
    (void)log; /* poll never waits */
}

static struct mr_error op_watermarks(struct mr_log *log, const char *topic, uint32_t partition, uint64_t *ret_low,
                                     uint64_t *ret_high)
{
    const struct memory_log *const self = of(log);
    const struct memory_partition *const found = partition_find(self->broker, topic, partition);
    if (self->broker->down) {
        return is_down();
    }
    if (found == NULL) {
        return unknown_topic(topic, partition);
    }
    *ret_low = found->low;
    *ret_high = found->count;
    return mr_ok();
}

static bool op_fetched_end(const struct mr_log *log, const char *topic, uint32_t partition, uint64_t *ret_end)
{
    const struct memory_log *const self = (const struct memory_log *)log;
    const struct memory_partition *const found = partition_find(self->broker, topic, partition);
    if (found != NULL) {
        *ret_end = found->count;
    }
    return found != NULL;
}

static struct mr_error op_partition_count(struct mr_log *log, const char *topic, uint32_t *ret_count)
{
    const struct memory_log *const self = of(log);
    const struct memory_topic *const found = topic_find(self->broker, topic);
    if (self->broker->down) {
        return is_down();
    }
    if (found == NULL) {
        return unknown_topic(topic, 0);
    }
    *ret_count = found->count;
    return mr_ok();
}

/* ---- Readers ------------------------------------------------------------------------------------------- */

static struct mr_error op_reader_open(struct mr_log *log, const char *topic, uint32_t partition, uint64_t from,
                                      struct mr_log_reader **ret_reader)
{
    if (partition_find(of(log)->broker, topic, partition) == NULL) {
        return unknown_topic(topic, partition);
    }
    struct mr_log_reader *const reader = must(calloc(1, sizeof *reader));
    reader->topic = must(strdup(topic));
    reader->partition = partition;
    reader->at = from;
    *ret_reader = reader;
    return mr_ok();
}

static struct mr_error op_reader_seek(struct mr_log *log, struct mr_log_reader *reader, uint64_t offset)
{
    (void)log;
    reader->at = offset;
    return mr_ok();
}

static struct mr_error op_reader_next(struct mr_log *log, struct mr_log_reader *reader, uint32_t wait_ms,
                                      bool *ret_some, struct mr_log_record *ret_record)
{
    (void)wait_ms;
    struct memory_broker *const broker = of(log)->broker;
    const struct memory_partition *const p = partition_must(broker, reader->topic, reader->partition);
    broker->reads++;
    if (broker->down || reader->at == p->count) {
        *ret_some = false;
        return mr_ok();
    }
    if (reader->at < p->low || reader->at > p->count) {
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0, "%s [%u] has no offset %llu", reader->topic,
                             reader->partition, (unsigned long long)reader->at);
    }
    record_free(reader->current);
    reader->current = record_copy(&p->records[reader->at++]->view);
    *ret_record = reader->current->view;
    *ret_some = true;
    return mr_ok();
}

static void op_reader_close(struct mr_log *log, struct mr_log_reader *reader)
{
    (void)log;
    if (reader != NULL) {
        record_free(reader->current);
        free(reader->topic);
        free(reader);
    }
}

/* ---- Opening and closing --------------------------------------------------------------------------------- */

/* Of each partition's records that wait, as many land as the seed says, from the first; the others are lost. */
static void crash(struct memory_log *self)
{
    for (struct memory_pending *first = self->waiting; first != NULL; first = first->next) {
        if (first->state != MEMORY_PENDING_WAITING) {
            continue;
        }
        uint64_t count = 0;
        for (struct memory_pending *p = first; p != NULL; p = p->next) {
            count += same_partition(p, first) ? 1 : 0;
        }
        uint64_t lands = prng_below(&self->broker->prng, count + 1);
        for (struct memory_pending *p = first; p != NULL; p = p->next) {
            if (!same_partition(p, first)) {
                continue;
            }
            if (lands > 0) {
                lands--;
                land(self, p);
            } else {
                p->state = MEMORY_PENDING_FAILED;
            }
        }
    }
}

static void op_close(struct mr_log *log)
{
    struct memory_log *const self = of(log);
    crash(self);
    while (self->oldest != NULL) {
        struct memory_pending *const pending = self->oldest;
        self->oldest = pending->next;
        if (failed(pending)) {
            record_free(pending->record);
        }
        free(pending);
    }
    fetches_clear(self);
    free(self->partitions);
    free(self->next_partitions);
    free(self->group);
    free(self);
}

struct mr_log *memory_log_new(struct memory_broker *broker, const char *group, enum mr_log_mode mode)
{
    static const struct mr_log_ops ops = {
        .poll = op_poll,
        .record_free = op_record_free,
        .wake = op_wake,
        .fetch = op_fetch,
        .pause = op_pause,
        .resume = op_resume,
        .released = op_released,
        .commit = op_commit,
        .commit_wait = op_commit_wait,
        .committed = op_committed,
        .watermarks = op_watermarks,
        .fetched_end = op_fetched_end,
        .partition_count = op_partition_count,
        .produce = op_produce,
        .in_flight = op_in_flight,
        .reader_open = op_reader_open,
        .reader_seek = op_reader_seek,
        .reader_next = op_reader_next,
        .reader_close = op_reader_close,
        .close = op_close,
    };
    struct memory_log *const self = must(calloc(1, sizeof *self));
    self->log.ops = &ops;
    self->broker = broker;
    self->group = group == NULL ? NULL : must(strdup(group));
    self->mode = mode;
    self->phase = MEMORY_PHASE_NONE;
    return &self->log;
}

size_t memory_broker_reads(const struct memory_broker *broker)
{
    return broker->reads;
}

size_t memory_log_held(const struct mr_log *log)
{
    return of_const(log)->held;
}

bool memory_log_paused(const struct mr_log *log, const char *topic, uint32_t partition)
{
    const struct memory_fetch *const fetch = fetch_find(of_const(log), topic, partition);
    return fetch == NULL || fetch->paused;
}
