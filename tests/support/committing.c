#include "committing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t wall_ms(void *self)
{
    struct timespec now;
    (void)self;
    MR_ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void committing_init(struct committing *committing, struct mr_store *store, const char *writer)
{
    *committing = (struct committing){.store = store, .writer = writer, .deployment = {.partitions = 1}};
    memset(committing->deployment.log_id.bytes, 0xab, sizeof committing->deployment.log_id.bytes);
}

struct persist_produced committing_checkpoint(const struct committing *committing, uint64_t n, const char *content,
                                              const struct mr_sha256 *previous)
{
    struct persist_produced made = {
        .model_id = COMMITTING_MODEL,
        .run_id = "run-1",
        .arithmetic_profile = "mr-f32-v1",
        .message = "Checkpoint",
        .content_hash = mr_sha256_of(mr_bytes_of_text(content)),
        .size = strlen(content),
        .has_previous = previous != NULL,
        .step = n + 1,
        .event_time_ms = 1700000000000 + (int64_t)n,
        .bump = MR_BUMP_PATCH,
        .position = {.offset = 10 * n + 7},
    };
    memcpy(made.position.log_id, committing->deployment.log_id.bytes, sizeof made.position.log_id);
    if (previous != NULL) {
        made.previous = *previous;
    }
    return made;
}

bool committing_spool(const struct committing *committing, const struct persist_produced *produced, const char *content)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_spool(produced->model_id, &produced->content_hash, key);
    const struct mr_store_result put = mr_store_put(committing->store, key, mr_bytes_of_text(content),
                                                    (struct mr_store_condition){.kind = MR_STORE_IF_ABSENT});
    return put.outcome == MR_STORE_DONE || put.outcome == MR_STORE_PRECONDITION_FAILED;
}

static void decide(struct persist_commit *commit, const struct persist_event *event)
{
    const struct persist_step step = persist_decide(&commit->state, event);
    commit->state = step.next;
    commit->decision = step.decision;
}

struct persist_commit *committing_begin(const struct committing *committing, const struct persist_produced *produced)
{
    struct persist_commit *commit = calloc(1, sizeof *commit);
    MR_ASSERT(commit != NULL);
    commit->store = committing->store;
    commit->deployment = &committing->deployment;
    commit->clock = (struct mr_clock){.wall_ms = wall_ms};
    commit->writer = committing->writer;
    commit->build = "test";
    commit->produced = *produced;
    commit->state.kind = PERSIST_STATE_IDLE;
    const uint64_t offset = produced->position.offset;
    const struct persist_event event = {
        .kind = PERSIST_EVENT_BEGAN,
        .of = {.began = persist_checkpoint_of(produced, produced->has_previous, offset >= 10 ? offset - 10 : 0,
                                              &committing->deployment)},
    };
    decide(commit, &event);
    return commit;
}

static void perform(struct persist_commit *commit)
{
    persist_commit_prepare(commit);
    for (size_t part = 0; part < PERSIST_OBJECTS; part++) {
        if (persist_commit_has_part(commit, part)) {
            persist_commit_perform(commit, part);
        }
    }
    persist_commit_finish(commit);
    const struct persist_event event = commit->event;
    decide(commit, &event);
}

enum persist_decision_kind committing_go(struct persist_commit *commit, enum persist_decision_kind until,
                                         unsigned waits_max)
{
    static const struct persist_event elapsed = {.kind = PERSIST_EVENT_ELAPSED};
    while (commit->decision.kind != until && commit->decision.kind <= PERSIST_DECISION_WAIT) {
        if (commit->decision.kind < PERSIST_DECISION_WAIT) {
            perform(commit);
        } else if (waits_max-- > 0) {
            decide(commit, &elapsed);
        } else {
            break;
        }
    }
    return commit->decision.kind;
}

enum persist_decision_kind committing_run(const struct committing *committing, const struct persist_produced *produced,
                                          unsigned waits_max, struct mr_sha256 *ret_record_hash)
{
    struct persist_commit *commit = committing_begin(committing, produced);
    const enum persist_decision_kind kind = committing_go(commit, 0, waits_max);
    if (kind == PERSIST_DECISION_EMIT && ret_record_hash != NULL) {
        *ret_record_hash =
            commit->decision.of.emit == PERSIST_EMIT_ALREADY_COMMITTED ? commit->read_hash : commit->record_hash;
    } else if (kind != PERSIST_DECISION_EMIT) {
        (void)fprintf(stderr, "%s: %s: %s\n", committing->writer, persist_decision_text(&commit->decision),
                      commit->detail);
    }
    persist_commit_free(commit);
    return kind;
}
