/*
 * Races: in each round every writer puts at once, under a condition that holds for one of them alone; then the object
 * is read. Whose bytes it has settles every answer that left the outcome open (rule C6).
 */
#include "doctor_internal.h"

#include "millrace/hash.h"
#include "millrace/work.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 64, BODY_SIZE = 24 * LINE_SIZE };

struct race;
struct writer {
    struct mr_job job;
    struct race *race;
    uint32_t number;
};

struct race {
    struct doctor *doctor;
    bool swap;
    pthread_barrier_t start;
    struct mr_work *work;
    struct writer *writers;
    enum mr_store_outcome *answers;
    uint32_t round;
    char key[DOCTOR_KEY_SIZE];
    struct mr_store_condition condition;
    struct mr_buffer before; /* of a swap: what the object held when the round began */
    int64_t holder;          /* after the newest round */
    struct doctor_rounds rounds;
    enum doctor_round worst; /* the first that was broken; 0: none */
    uint32_t worst_at;
};

/* A body that no other writer or round has, of many equal lines: a mixture of two is neither. */
static void body_of(const struct race *race, uint32_t round, uint32_t writer, char ret_body[BODY_SIZE])
{
    char line[LINE_SIZE];
    (void)snprintf(line, sizeof line, "%s %" PRIu32 " %" PRIu32, race->doctor->prefix, round, writer);
    for (size_t at = 0; at < BODY_SIZE; at += LINE_SIZE) {
        (void)snprintf(ret_body + at, LINE_SIZE, "%-*s", LINE_SIZE - 1, line);
        ret_body[at + LINE_SIZE - 1] = '\n';
    }
}

static void write_once(struct mr_job *job)
{
    struct writer *writer = (struct writer *)job;
    struct race *race = writer->race;
    char body[BODY_SIZE];
    body_of(race, race->round, writer->number, body);
    (void)pthread_barrier_wait(&race->start);
    const struct mr_store_result got =
        mr_store_put(race->doctor->store, race->key, mr_bytes_of(body, sizeof body), race->condition);
    race->answers[writer->number] = got.outcome;
}

/* Returns when all have their answers. */
static void write_all(struct race *race)
{
    const uint32_t count = race->doctor->options->writers;
    for (uint32_t i = 0; i < count; i++) {
        MR_ASSERT(mr_work_submit(race->work, &race->writers[i].job));
    }
    for (uint32_t collected = 0; collected < count;) {
        struct pollfd waits = {.fd = mr_work_descriptor(race->work), .events = POLLIN};
        (void)poll(&waits, 1, -1);
        while (mr_work_collect(race->work) != NULL) {
            collected++;
        }
    }
}

static int64_t holder_of(struct race *race)
{
    struct doctor *doctor = race->doctor;
    struct mr_buffer now = {0};
    char body[BODY_SIZE];
    int64_t holder = DOCTOR_HOLDER_UNREAD;
    doctor->last = mr_store_get(doctor->store, race->key, &now);
    if (doctor->last.outcome == MR_STORE_DONE) {
        holder = race->swap && mr_bytes_equal(mr_buffer_view(&now), mr_buffer_view(&race->before))
                     ? DOCTOR_HOLDER_BEFORE
                     : DOCTOR_HOLDER_STRANGE;
        for (uint32_t i = 0; i < doctor->options->writers && holder == DOCTOR_HOLDER_STRANGE; i++) {
            body_of(race, race->round, i, body);
            holder = mr_bytes_equal(mr_buffer_view(&now), mr_bytes_of(body, sizeof body)) ? (int64_t)i : holder;
        }
    } else if (doctor->last.outcome == MR_STORE_MISSING) {
        holder = race->swap ? DOCTOR_HOLDER_STRANGE : DOCTOR_HOLDER_BEFORE;
    }
    mr_buffer_deinit(&now);
    return holder;
}

/* ---- Rounds ---------------------------------------------------------------------------------------------- */

static void count_round(struct race *race, enum doctor_round result)
{
    race->rounds.of[result]++;
    if (result >= DOCTOR_ROUND_TWO_WINNERS && race->worst == 0) {
        race->worst = result;
        race->worst_at = race->round;
    }
}

/* Reads the object that is to be swapped. One whose holder was known must be as it was: a writer that had lost may not
 * have been applied since. False: this round cannot be run. */
static bool begin_swap(struct race *race)
{
    struct doctor *doctor = race->doctor;
    char body[BODY_SIZE];
    race->before.size = 0;
    doctor->last = mr_store_get(doctor->store, race->key, &race->before);
    if (doctor->last.outcome != MR_STORE_DONE) {
        count_round(race, DOCTOR_ROUND_UNDECIDED);
        return false;
    }
    race->condition = (struct mr_store_condition){.kind = MR_STORE_IF_MATCH, .etag = doctor->last.etag};
    if (race->round > 0 && race->holder >= 0) {
        body_of(race, race->round - 1, (uint32_t)race->holder, body);
        if (!mr_bytes_equal(mr_buffer_view(&race->before), mr_bytes_of(body, sizeof body))) {
            count_round(race, DOCTOR_ROUND_OVERWRITTEN);
            return false;
        }
    }
    return true;
}

static bool begin_create(struct race *race)
{
    char name[32];
    (void)snprintf(name, sizeof name, "race-create/%05" PRIu32, race->round);
    doctor_key(race->doctor, name, race->key);
    race->condition = (struct mr_store_condition){.kind = MR_STORE_IF_ABSENT};
    return true;
}

static void run_rounds(struct race *race)
{
    const struct mr_doctor_options *options = race->doctor->options;
    race->holder = DOCTOR_HOLDER_UNREAD;
    for (race->round = 0; race->round < options->rounds; race->round++) {
        if (race->swap ? begin_swap(race) : begin_create(race)) {
            write_all(race);
            race->holder = holder_of(race);
            count_round(race, doctor_judge_round(race->answers, options->writers, race->holder));
        } else {
            race->holder = DOCTOR_HOLDER_UNREAD;
        }
    }
}

static void tell(struct race *race)
{
    const struct mr_doctor_options *options = race->doctor->options;
    const uint32_t settled = race->rounds.of[DOCTOR_ROUND_SETTLED], open = race->rounds.of[DOCTOR_ROUND_UNDECIDED];
    const enum mr_doctor_verdict verdict = doctor_judge_race(&race->rounds);
    switch (verdict) {
    case MR_DOCTOR_GOOD:
        doctor_find(race->doctor, verdict,
                    "%" PRIu32 " rounds of %" PRIu32 " writers: one winner each; %" PRIu32 " known by reading, %" PRIu32
                    " undecided",
                    options->rounds, options->writers, settled, open);
        break;
    case MR_DOCTOR_BROKEN:
        doctor_find(race->doctor, verdict,
                    "round %" PRIu32 " of %" PRIu32 " writers: %s; %" PRIu32 " of %" PRIu32 " rounds had one winner",
                    race->worst_at, options->writers, doctor_round_text(race->worst),
                    race->rounds.of[DOCTOR_ROUND_TOLD] + settled, options->rounds);
        break;
    case MR_DOCTOR_COULD_NOT_TELL:
        doctor_find(race->doctor, verdict, "%" PRIu32 " of %" PRIu32 " rounds were undecided: %.120s", open,
                    options->rounds, race->doctor->last.detail);
        break;
    }
}

/* ---- The whole ------------------------------------------------------------------------------------------- */

/* A swap needs an object. */
static bool begin_object(struct race *race)
{
    struct doctor *doctor = race->doctor;
    if (!race->swap) {
        return true;
    }
    doctor_key(doctor, "race-swap", race->key);
    doctor->last = mr_store_put(doctor->store, race->key, mr_bytes_of_text("0"),
                                (struct mr_store_condition){MR_STORE_ALWAYS, {""}});
    return doctor->last.outcome == MR_STORE_DONE ||
           doctor_find_answer(doctor, MR_DOCTOR_COULD_NOT_TELL, "a put of the object to swap");
}

static struct mr_error open_race(struct race *race)
{
    const uint32_t count = race->doctor->options->writers;
    race->writers = calloc(count, sizeof *race->writers);
    race->answers = calloc(count, sizeof *race->answers);
    if (race->writers == NULL || race->answers == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a race of %" PRIu32 " writers", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        race->writers[i] = (struct writer){.job = {.run = write_once}, .race = race, .number = i};
    }
    return mr_work_open(count, count, &race->work);
}

struct mr_error doctor_race(struct doctor *doctor, bool swap)
{
    struct race race = {.doctor = doctor, .swap = swap};
    MR_ASSERT(pthread_barrier_init(&race.start, NULL, doctor->options->writers) == 0);
    const struct mr_error error = open_race(&race);
    if (!mr_failed(error) && begin_object(&race)) {
        run_rounds(&race);
        tell(&race);
    }
    mr_work_close(race.work);
    MR_ASSERT(pthread_barrier_destroy(&race.start) == 0);
    mr_buffer_deinit(&race.before);
    free(race.writers);
    free(race.answers);
    return error;
}
