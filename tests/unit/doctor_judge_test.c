/* What answers show about a store: every answer, and every round of a race of three writers. */
#include "check_main.h"
#include "doctor_judge.h"

#include <string.h>

enum { WRITERS = 3 };

START_TEST(every_answer)
{
    const uint32_t done = DOCTOR_SET(MR_STORE_DONE);
    for (int answer = MR_STORE_DONE; answer <= MR_STORE_LAST; answer++) {
        const enum mr_store_outcome outcome = (enum mr_store_outcome)answer;
        const bool told = outcome == MR_STORE_MISSING || outcome == MR_STORE_PRECONDITION_FAILED;
        const bool lost = outcome == MR_STORE_UNKNOWN || outcome == MR_STORE_UNAVAILABLE;
        const enum mr_doctor_verdict open = told ? MR_DOCTOR_BROKEN : MR_DOCTOR_COULD_NOT_TELL;
        ck_assert_int_eq(doctor_judge_answer(done, outcome, 0, false),
                         outcome == MR_STORE_DONE ? MR_DOCTOR_GOOD : open);
        /* A condition that is refused, and not who asks. */
        const bool refused = outcome == MR_STORE_DENIED;
        ck_assert_int_eq(doctor_judge_answer(0, outcome, 501, true),
                         outcome == MR_STORE_DONE || refused ? MR_DOCTOR_BROKEN : open);
        ck_assert_int_eq(doctor_judge_answer(0, outcome, 403, true),
                         outcome == MR_STORE_DONE ? MR_DOCTOR_BROKEN : open);
        ck_assert_int_eq(doctor_judge_answer(done, outcome, 206, false), outcome == MR_STORE_DONE ? MR_DOCTOR_GOOD
                                                                         : lost                   ? MR_DOCTOR_BROKEN
                                                                                                  : open);
    }
}
END_TEST

static size_t count_of(const enum mr_store_outcome answers[WRITERS], enum mr_store_outcome outcome)
{
    size_t count = 0;
    for (int i = 0; i < WRITERS; i++) {
        count += answers[i] == outcome ? 1 : 0;
    }
    return count;
}

static void expect_round(const enum mr_store_outcome answers[WRITERS], int64_t holder)
{
    const enum doctor_round round = doctor_judge_round(answers, WRITERS, holder);
    const size_t winners = count_of(answers, MR_STORE_DONE);
    const size_t refused = count_of(answers, MR_STORE_MISSING) + count_of(answers, MR_STORE_PRECONDITION_FAILED);
    const bool holds = holder >= 0 && answers[holder] == MR_STORE_DONE;
    /* Good is only a round with one winner, which nobody contradicts. */
    ck_assert_int_eq(round == DOCTOR_ROUND_TOLD, winners == 1 && holds);
    ck_assert_int_eq(round == DOCTOR_ROUND_SETTLED, winners == 0 && holder >= 0);
    ck_assert_int_eq(round == DOCTOR_ROUND_TWO_WINNERS, winners > 1);
    ck_assert_int_eq(round == DOCTOR_ROUND_TORN, winners <= 1 && holder == DOCTOR_HOLDER_STRANGE);
    ck_assert_int_eq(round == DOCTOR_ROUND_OVERWRITTEN,
                     winners == 1 && !holds && (holder >= 0 || holder == DOCTOR_HOLDER_BEFORE));
    ck_assert_int_eq(round == DOCTOR_ROUND_NOBODY, refused == WRITERS && holder == DOCTOR_HOLDER_BEFORE);
}

START_TEST(every_round)
{
    enum mr_store_outcome answers[WRITERS];
    for (int all = 0; all < MR_STORE_LAST * MR_STORE_LAST * MR_STORE_LAST; all++) {
        answers[0] = (enum mr_store_outcome)(all % MR_STORE_LAST + 1);
        answers[1] = (enum mr_store_outcome)(all / MR_STORE_LAST % MR_STORE_LAST + 1);
        answers[2] = (enum mr_store_outcome)(all / (MR_STORE_LAST * MR_STORE_LAST) + 1);
        for (int64_t holder = DOCTOR_HOLDER_UNREAD; holder < WRITERS; holder++) {
            expect_round(answers, holder);
        }
    }
}
END_TEST

START_TEST(every_race)
{
    for (int kind = 1; kind <= DOCTOR_ROUND_LAST; kind++) {
        struct doctor_rounds rounds = {.of = {[DOCTOR_ROUND_TOLD] = 9}};
        rounds.of[kind] += 1;
        ck_assert_int_eq(doctor_judge_race(&rounds),
                         kind >= DOCTOR_ROUND_TWO_WINNERS ? MR_DOCTOR_BROKEN : MR_DOCTOR_GOOD);
        ck_assert_uint_gt(strlen(doctor_round_text((enum doctor_round)kind)), 0);
    }
    const struct doctor_rounds open = {.of = {[DOCTOR_ROUND_SETTLED] = 5, [DOCTOR_ROUND_UNDECIDED] = 5}};
    ck_assert_int_eq(doctor_judge_race(&open), MR_DOCTOR_COULD_NOT_TELL);
}
END_TEST

START_TEST(the_whole)
{
    struct mr_doctor_finding findings[] = {{.verdict = MR_DOCTOR_GOOD}, {.verdict = MR_DOCTOR_GOOD}};
    ck_assert_int_eq(doctor_judge_all(findings, 2), MR_DOCTOR_GOOD);
    findings[0].verdict = MR_DOCTOR_COULD_NOT_TELL;
    ck_assert_int_eq(doctor_judge_all(findings, 2), MR_DOCTOR_COULD_NOT_TELL);
    findings[1].verdict = MR_DOCTOR_BROKEN;
    ck_assert_int_eq(doctor_judge_all(findings, 2), MR_DOCTOR_BROKEN);
    for (int i = 1; i <= MR_DOCTOR_CHECK_LAST; i++) {
        const enum mr_doctor_check check = (enum mr_doctor_check)i;
        ck_assert_uint_gt(strlen(mr_doctor_check_text(check)), 0);
        ck_assert_str_ne(doctor_loss_text(check, false), doctor_loss_text(check, true));
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, every_answer);
    tcase_add_test(tcase, every_round);
    tcase_add_test(tcase, every_race);
    tcase_add_test(tcase, the_whole);
}

int main(void)
{
    return check_main("doctor_judge", add);
}
