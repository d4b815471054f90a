#include "gc_race.h"

#include "chain.h"
#include "millrace/gc.h"
#include "millrace/pins.h"
#include "persist_commit.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PINS_MAX = 256, PROCESSES_MAX = 32, KEEP = 3 };
static const char model[] = "raced";

/* Between the processes. */
struct shared {
    atomic_bool stop;
    atomic_uint_fast64_t commits, abandoned, collected, orphans, spooled, verified, read, pins;
    char pinned[PINS_MAX][MR_VERSION_ID_SIZE]; /* whose pins were granted */
};

struct worker {
    const struct gc_race *race;
    struct shared *shared;
    struct mr_store *store;
    uint32_t number;
};

/* Ends the process: the test sees its exit code. */
static void require(bool condition, const char *what, const char *detail)
{
    if (!condition) {
        (void)fprintf(stderr, "gc_race: %s: %s\n", what, detail);
        _exit(1);
    }
}

static bool is_passing(struct mr_error error)
{
    return !mr_failed(error) || error.kind == MR_ERROR_TRANSIENT;
}

/* ---- Writers ------------------------------------------------------------------------------------------------ */

static int64_t wall_ms(void *self)
{
    struct timespec now;
    (void)self;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const struct mr_deployment *deployment(void)
{
    static struct mr_deployment one = {.partitions = 1};
    memset(one.log_id.bytes, 0xab, sizeof one.log_id.bytes);
    return &one;
}

/* Another checkpoint of the record behind head, spooled. */
static void produce(struct worker *worker, const struct mr_head *head, uint64_t round, struct persist_produced *made)
{
    char rest[64];
    struct chain chain = {.store = worker->store, .model = model};
    *made = (struct persist_produced){
        .has_previous = head != NULL,
        .step = head == NULL ? 1 : head->step + 1,
        .loss = 0.5f,
        .bump = MR_BUMP_PATCH,
        .position = {.offset = head == NULL ? 0 : head->position.offset + 1},
    };
    (void)snprintf(rest, sizeof rest, "writer %u, round %u", (unsigned)worker->number, (unsigned)round);
    made->applied = made->position.offset + 1;
    made->size = chain_spool(&chain, made->applied, rest, &made->content_hash);
    memcpy(made->position.log_id, deployment()->log_id.bytes, sizeof made->position.log_id);
    memcpy(made->model_id, model, sizeof model);
    memcpy(made->run_id, "run", sizeof "run");
    memcpy(made->arithmetic_profile, "mr-f32-v1", sizeof "mr-f32-v1");
    if (head != NULL) {
        made->previous = head->content_hash;
    }
}

static void decide(struct persist_commit *commit, const struct persist_event *event)
{
    const struct persist_step step = persist_decide(&commit->state, event);
    commit->state = step.next;
    commit->decision = step.decision;
}

static void perform(struct persist_commit *commit)
{
    persist_commit_prepare(commit);
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        if (persist_commit_has_part(commit, i)) {
            persist_commit_perform(commit, i);
        }
    }
    persist_commit_finish(commit);
    const struct persist_event event = commit->event;
    decide(commit, &event);
}

/* Until it is committed or abandoned: whether it is committed. */
static bool run_machine(struct persist_commit *commit, bool has_prev, uint64_t prev)
{
    static const struct persist_event elapsed = {.kind = PERSIST_EVENT_ELAPSED};
    const struct persist_event began = {
        .kind = PERSIST_EVENT_BEGAN,
        .of = {.began = persist_checkpoint_of(&commit->produced, has_prev, prev, commit->deployment)},
    };
    commit->state.kind = PERSIST_STATE_IDLE;
    decide(commit, &began);
    while (commit->decision.kind <= PERSIST_DECISION_WAIT) {
        if (commit->decision.kind == PERSIST_DECISION_WAIT) {
            decide(commit, &elapsed);
        } else {
            perform(commit);
        }
    }
    require(commit->decision.kind == PERSIST_DECISION_EMIT || commit->decision.kind == PERSIST_DECISION_ABANDON,
            persist_decision_text(&commit->decision), commit->detail);
    return commit->decision.kind == PERSIST_DECISION_EMIT;
}

static void write_once(struct worker *worker, uint64_t round)
{
    bool some = false;
    struct mr_head head;
    const struct mr_error error = mr_head_read(worker->store, model, &some, &head, NULL);
    require(is_passing(error), "head", error.detail);
    if (mr_failed(error)) {
        return;
    }
    struct persist_commit *commit = calloc(1, sizeof *commit);
    require(commit != NULL, "memory", "");
    commit->store = worker->store;
    commit->deployment = deployment();
    commit->clock = (struct mr_clock){.wall_ms = wall_ms};
    commit->writer = commit->build = "test";
    produce(worker, some ? &head : NULL, round, &commit->produced);
    const bool committed = run_machine(commit, some, some ? head.position.offset : 0);
    if (committed && round % 3 != 0) { /* else it dies before that */
        persist_commit_remove_spool(commit);
    }
    atomic_fetch_add(committed ? &worker->shared->commits : &worker->shared->abandoned, 1);
    persist_commit_free(commit);
}

static void writer(struct worker *worker)
{
    for (uint64_t round = 0; !atomic_load(&worker->shared->stop); round++) {
        write_once(worker, round);
    }
}

/* ---- The others --------------------------------------------------------------------------------------------- */

static void collector(struct worker *worker)
{
    struct mr_gc_report report;
    const struct mr_gc_request request = {.store = worker->store, .model_id = model, .keep_last = KEEP};
    while (!atomic_load(&worker->shared->stop)) {
        const struct mr_error error = mr_gc_run(&request, &report);
        require(is_passing(error), error.code, error.detail);
        atomic_fetch_add(&worker->shared->collected, report.collected.count);
        atomic_fetch_add(&worker->shared->orphans, report.orphans.count);
        atomic_fetch_add(&worker->shared->spooled, report.spool.count);
    }
}

static void verifier(struct worker *worker)
{
    while (!atomic_load(&worker->shared->stop)) {
        const struct mr_verify_result result = mr_versions_verify(worker->store, model);
        require(result.verdict == MR_VERIFY_GOOD || result.verdict == MR_VERIFY_UNDECIDED,
                mr_corruption_text(result.corruption), result.detail);
        atomic_fetch_add(&worker->shared->verified, result.verdict == MR_VERIFY_GOOD);
    }
}

static void reader(struct worker *worker)
{
    while (!atomic_load(&worker->shared->stop)) {
        struct mr_buffer body = {0};
        struct mr_version_entry entry;
        const struct mr_error error =
            mr_version_load(worker->store, model, (struct mr_version_choice){.kind = MR_VERSION_HEAD}, &body, &entry);
        mr_buffer_deinit(&body);
        require(is_passing(error), error.code, error.detail);
        atomic_fetch_add(&worker->shared->read, !mr_failed(error));
    }
}

/* Pins what is about to be collected. */
static void pinner(struct worker *worker)
{
    struct shared *shared = worker->shared;
    for (uint64_t turn = 0; !atomic_load(&shared->stop) && atomic_load(&shared->pins) < PINS_MAX; turn++) {
        bool some = false;
        struct mr_head head;
        struct mr_error error = mr_head_read(worker->store, model, &some, &head, NULL);
        const uint64_t back = 1 + turn % 5;
        if (mr_failed(error) || !some || head.counter < back) {
            continue;
        }
        const struct mr_version_choice choice = {.kind = MR_VERSION_COUNTER, .counter = head.counter - back};
        const uint64_t place = atomic_load(&shared->pins);
        error = mr_pin_put(worker->store, model, choice, "raced", shared->pinned[place]);
        require(is_passing(error) || strcmp(error.code, "version_gone") == 0, error.code, error.detail);
        atomic_fetch_add(&shared->pins, !mr_failed(error));
    }
}

/* ---- The race -----------------------------------------------------------------------------------------------------
 */

static struct mr_store *open_store(const char *uri)
{
    struct mr_store *store = NULL;
    const struct mr_error error = mr_store_open(uri, &store);
    require(!mr_failed(error), uri, error.detail);
    return store;
}

static pid_t begin(const struct gc_race *race, struct shared *shared, uint32_t number, void (*work)(struct worker *))
{
    const pid_t child = fork();
    if (child == 0) {
        struct worker worker = {.race = race, .shared = shared, .store = open_store(race->uri), .number = number};
        work(&worker);
        mr_store_close(worker.store);
        _exit(0);
    }
    return child;
}

static bool is_enough(const struct gc_race *race, struct shared *shared, time_t began)
{
    return time(NULL) - began >= (time_t)race->seconds && atomic_load(&shared->commits) >= race->commits &&
           atomic_load(&shared->collected) >= race->collected && atomic_load(&shared->pins) >= race->pins &&
           atomic_load(&shared->verified) > 0 && atomic_load(&shared->read) > 0;
}

/* False: a process ended before it was told to. */
static bool watch(const struct gc_race *race, struct shared *shared)
{
    const time_t began = time(NULL);
    const struct timespec often = {.tv_nsec = 20000000};
    bool alive = true;
    while (alive && !is_enough(race, shared, began)) {
        siginfo_t ended = {.si_pid = 0};
        (void)nanosleep(&often, NULL); /* looked at again until it is so */
        (void)waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT);
        alive = ended.si_pid == 0 || ended.si_status == 0;
    }
    atomic_store(&shared->stop, true);
    return alive;
}

static bool has_payload(struct mr_store *store, const struct mr_version *version)
{
    struct mr_buffer body = {0};
    const struct mr_error error = mr_version_payload(store, version, &body);
    mr_buffer_deinit(&body);
    ck_assert_msg(!mr_failed(error) || strcmp(error.code, "version_gone") == 0, "%s", error.detail);
    return !mr_failed(error);
}

static bool was_pinned(const struct shared *shared, const char *version_id)
{
    for (uint64_t i = 0; i < shared->pins; i++) {
        if (strcmp(shared->pinned[i], version_id) == 0) {
            return true;
        }
    }
    return false;
}

static void check_end(const struct gc_race *race, struct shared *shared)
{
    struct mr_store *store = open_store(race->uri);
    struct mr_gc_report report;
    struct mr_version_list list = {0};
    const struct mr_gc_request request = {.store = store, .model_id = model, .keep_last = KEEP};
    const struct mr_error error = mr_gc_run(&request, &report);
    ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
    const struct mr_verify_result result = mr_versions_verify(store, model);
    ck_assert_msg(result.verdict == MR_VERIFY_GOOD, "%s", result.detail);
    ck_assert(!mr_failed(mr_versions_list(store, model, &list)));
    ck_assert_uint_ge(list.count, atomic_load(&shared->commits));
    uint64_t kept = 0;
    for (size_t i = 0; i < list.count; i++) {
        const struct mr_version *version = &list.entries[i].version;
        const bool must = i == 0 || i + KEEP >= list.count || was_pinned(shared, version->version_id);
        const bool has = has_payload(store, version);
        ck_assert_msg(has || !must, "%s is gone", version->version_id);
        kept += has;
    }
    ck_assert_uint_eq(kept, report.kept);
    ck_assert(!mr_failed(mr_gc_run(&request, &report)));
    ck_assert_uint_eq(report.collected.count + report.orphans.count + report.spool.count, 0);
    mr_version_list_deinit(&list);
    mr_store_close(store);
}

void gc_race(const struct gc_race *race)
{
    static void (*const others[])(struct worker *) = {collector, collector, verifier, reader, pinner};
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[PROCESSES_MAX];
    uint32_t count = 0;
    ck_assert_ptr_ne(shared, MAP_FAILED);
    struct worker first = {.race = race, .shared = shared, .store = open_store(race->uri)};
    write_once(&first, 0); /* genesis */
    mr_store_close(first.store);
    for (uint32_t i = 0; i < race->writers; i++) {
        children[count++] = begin(race, shared, i + 1, writer);
    }
    for (size_t i = 0; i < MR_COUNT_OF(others); i++) {
        children[count++] = begin(race, shared, 0, others[i]);
    }
    bool good = watch(race, shared);
    for (uint32_t i = 0; i < count; i++) {
        int status = 0;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    ck_assert_msg(good, "a process ended before its time, and said why");
    (void)printf("gc_race: %u commits, %u abandoned; %u payloads, %u orphans, %u spooled collected; %u pins granted, "
                 "verified %u times, head read %u times\n",
                 (unsigned)shared->commits, (unsigned)shared->abandoned, (unsigned)shared->collected,
                 (unsigned)shared->orphans, (unsigned)shared->spooled, (unsigned)shared->pins,
                 (unsigned)shared->verified, (unsigned)shared->read);
    check_end(race, shared);
    (void)munmap(shared, sizeof *shared);
}
