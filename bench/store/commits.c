#include "commits.h"

#include "millrace/work.h"
#include "persist_commit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One model's way through its checkpoints. */
struct lane {
    char model_id[MR_ID_SIZE];
    struct persist_commit *commit; /* NULL: through */
    uint32_t done;
    struct mr_sha256 last; /* of the checkpoint before */
    int64_t began_us;
};

struct run {
    const struct bench_commits *commits;
    struct mr_deployment deployment;
    struct mr_clock clock;
    struct mr_work *work;
    struct lane *lanes;
    uint32_t busy;
    uint8_t *payload;
    uint32_t *us;
    size_t count;
    uint64_t trips;
};

void bench_commits_model(const struct bench_commits *commits, uint32_t number, char ret_id[MR_ID_SIZE])
{
    (void)snprintf(ret_id, MR_ID_SIZE, "%s-%u", commits->name, number);
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------------- */

/* Different for each checkpoint, and what a compressor or a deduplicating disk cannot make smaller. */
static struct mr_sha256 fill(const struct bench_commits *commits, uint32_t model, uint32_t index, uint8_t *payload)
{
    uint64_t word = ((uint64_t)model << 32 | index) + 1;
    for (uint64_t at = 0; at < commits->payload_bytes; at++) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        payload[at] = (uint8_t)word;
    }
    return mr_sha256_of(mr_bytes_of(payload, commits->payload_bytes));
}

static struct mr_error spool_one(const struct bench_commits *commits, uint32_t model, uint32_t index, uint8_t *payload)
{
    char model_id[MR_ID_SIZE], key[MR_VERSION_KEY_SIZE];
    bench_commits_model(commits, model, model_id);
    const struct mr_sha256 hash = fill(commits, model, index, payload);
    mr_key_spool(model_id, &hash, key);
    const struct mr_store_result put = mr_store_put(commits->store, key, mr_bytes_of(payload, commits->payload_bytes),
                                                    (struct mr_store_condition){.kind = MR_STORE_IF_ABSENT});
    return put.outcome == MR_STORE_DONE || put.outcome == MR_STORE_PRECONDITION_FAILED
               ? mr_ok()
               : mr_error_make(MR_ERROR_TRANSIENT, "not_spooled", put.native, "%s", put.detail);
}

struct mr_error bench_commits_spool(const struct bench_commits *commits)
{
    uint8_t *payload = malloc(commits->payload_bytes);
    struct mr_error error = payload == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a payload") : mr_ok();
    for (uint32_t model = 0; !mr_failed(error) && model < commits->models; model++) {
        for (uint32_t index = 0; !mr_failed(error) && index < commits->each; index++) {
            error = spool_one(commits, model, index, payload);
        }
    }
    free(payload);
    return error;
}

static struct persist_produced checkpoint(struct run *run, struct lane *lane)
{
    const uint32_t model = (uint32_t)(lane - run->lanes);
    struct persist_produced made = {
        .run_id = "bench",
        .arithmetic_profile = "mr-f32-v1",
        .message = "Checkpoint",
        .content_hash = fill(run->commits, model, lane->done, run->payload),
        .size = run->commits->payload_bytes,
        .has_previous = lane->done > 0,
        .previous = lane->last,
        .step = lane->done + 1,
        .event_time_ms = 1700000000000,
        .bump = MR_BUMP_PATCH,
        .position = {.offset = 10 * (uint64_t)lane->done},
    };
    memcpy(made.model_id, lane->model_id, sizeof made.model_id);
    memcpy(made.position.log_id, run->deployment.log_id.bytes, sizeof made.position.log_id);
    return made;
}

/* ---- The machine ------------------------------------------------------------------------------------------------- */

static void run_part(struct mr_job *job)
{
    struct persist_part *part = (struct persist_part *)(void *)job;
    persist_commit_perform(part->commit, part->index);
}

static struct mr_error start_effect(struct run *run, struct persist_commit *commit)
{
    persist_commit_prepare(commit);
    run->trips += commit->decision.kind != PERSIST_DECISION_READ_SPOOL || !commit->has_payload;
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        struct persist_part *part = &commit->parts[i];
        if (!persist_commit_has_part(commit, i)) {
            continue;
        }
        part->job.job = (struct mr_job){.run = run_part};
        part->commit = commit;
        part->index = i;
        commit->running++;
        if (!mr_work_submit(run->work, &part->job.job)) {
            return mr_error_make(MR_ERROR_FATAL, "queue_full", 0, "the workers' queue");
        }
    }
    return mr_ok();
}

static struct mr_error decide(struct run *run, struct lane *lane, const struct persist_event *event);

static struct mr_error begin(struct run *run, struct lane *lane)
{
    struct persist_commit *commit = calloc(1, sizeof *commit);
    if (commit == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a commit");
    }
    commit->store = run->commits->store;
    commit->deployment = &run->deployment;
    commit->clock = run->clock;
    commit->writer = "bench";
    commit->build = "bench";
    commit->produced = checkpoint(run, lane);
    commit->state.kind = PERSIST_STATE_IDLE;
    lane->commit = commit;
    lane->last = commit->produced.content_hash;
    lane->began_us = mr_clock_monotonic_us(&run->clock);
    const uint64_t offset = commit->produced.position.offset;
    const struct persist_event event = {
        .kind = PERSIST_EVENT_BEGAN,
        .of = {.began = persist_checkpoint_of(&commit->produced, lane->done > 0, offset >= 10 ? offset - 10 : 0,
                                              &run->deployment)},
    };
    return decide(run, lane, &event);
}

static struct mr_error committed(struct run *run, struct lane *lane)
{
    run->us[run->count++] = (uint32_t)(mr_clock_monotonic_us(&run->clock) - lane->began_us);
    persist_commit_free(lane->commit);
    lane->commit = NULL;
    if (++lane->done < run->commits->each) {
        return begin(run, lane);
    }
    run->busy--;
    return mr_ok();
}

static struct mr_error decide(struct run *run, struct lane *lane, const struct persist_event *event)
{
    struct persist_commit *commit = lane->commit;
    const struct persist_step step = persist_decide(&commit->state, event);
    commit->state = step.next;
    commit->decision = step.decision;
    if (step.decision.kind == PERSIST_DECISION_EMIT) {
        return committed(run, lane);
    }
    if (step.decision.kind < PERSIST_DECISION_WAIT) {
        return start_effect(run, commit);
    }
    return mr_error_make(MR_ERROR_TRANSIENT, "not_committed", 0, "%s: %.150s", persist_decision_text(&step.decision),
                         commit->detail);
}

static struct lane *lane_of(struct run *run, const struct persist_commit *commit)
{
    uint32_t at = 0;
    while (run->lanes[at].commit != commit) {
        at++;
    }
    return &run->lanes[at];
}

static struct mr_error part_done(struct run *run, struct persist_part *part)
{
    struct persist_commit *commit = part->commit;
    if (--commit->running > 0) {
        return mr_ok();
    }
    persist_commit_finish(commit);
    const struct persist_event event = commit->event;
    return decide(run, lane_of(run, commit), &event);
}

static struct mr_error loop(struct run *run)
{
    struct mr_error error = mr_ok();
    for (uint32_t i = 0; !mr_failed(error) && i < run->commits->models; i++) {
        bench_commits_model(run->commits, i, run->lanes[i].model_id);
        run->busy++;
        error = begin(run, &run->lanes[i]);
    }
    while (!mr_failed(error) && run->busy > 0) {
        struct pollfd done = {.fd = mr_work_descriptor(run->work), .events = POLLIN};
        struct mr_job *job = mr_work_collect(run->work);
        if (job == NULL) {
            (void)poll(&done, 1, -1);
        } else {
            error = part_done(run, (struct persist_part *)(void *)job);
        }
    }
    return error;
}

struct mr_error bench_commits_run(const struct bench_commits *commits, uint32_t *ret_us, uint64_t *ret_trips,
                                  int64_t *ret_total_us)
{
    struct run run = {.commits = commits, .deployment = {.partitions = 1}, .clock = mr_clock_system()};
    run.us = ret_us;
    memset(run.deployment.log_id.bytes, 0xab, sizeof run.deployment.log_id.bytes);
    run.lanes = calloc(commits->models, sizeof *run.lanes);
    run.payload = malloc(commits->payload_bytes);
    struct mr_error error = run.lanes == NULL || run.payload == NULL
                                ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the models")
                                : mr_work_open(commits->workers, commits->models * PERSIST_OBJECTS, &run.work);
    if (!mr_failed(error)) {
        const int64_t began_us = mr_clock_monotonic_us(&run.clock);
        error = loop(&run);
        *ret_total_us = mr_clock_monotonic_us(&run.clock) - began_us;
        *ret_trips = run.trips;
        mr_work_close(run.work);
    }
    for (uint32_t i = 0; run.lanes != NULL && i < commits->models; i++) {
        persist_commit_free(run.lanes[i].commit);
    }
    free(run.lanes);
    free(run.payload);
    return error;
}
