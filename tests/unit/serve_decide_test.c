/* What millrace serve decides: every head, every fact, and paths. */
#include "check_main.h"
#include "serve.h"

#include <string.h>

START_TEST(paths)
{
    static const struct {
        const char *path;
        enum serve_path is;
        bool ours;
    } rows[] = {
        {"/healthz", SERVE_PATH_HEALTH, false},
        {"/readyz", SERVE_PATH_HEALTH, false},
        {"/metrics", SERVE_PATH_HEALTH, false},
        {"/v1/models/m", SERVE_PATH_MODEL, true},
        {"/v1/models/m/price", SERVE_PATH_PRICE, true},
        {"/v1/models/m/outputs", SERVE_PATH_OUTPUTS, true},
        {"/v1/models/m2", SERVE_PATH_MODEL, false},
        {"/v1/models/", SERVE_PATH_MODEL, false},
        {"/v1/models/m/", SERVE_PATH_UNKNOWN, true},
        {"/v1/models/m/price/", SERVE_PATH_UNKNOWN, true},
        {"/v1/models/../price", SERVE_PATH_PRICE, false},
        {"/healthz/", SERVE_PATH_UNKNOWN, false},
        {"/", SERVE_PATH_UNKNOWN, false},
        {"", SERVE_PATH_UNKNOWN, false},
    };
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        bool ours = !rows[i].ours;
        ck_assert_msg(serve_path_of(rows[i].path, "m", &ours) == rows[i].is && ours == rows[i].ours, "%s",
                      rows[i].path);
    }
}
END_TEST

/* In the order in which reasons win. */
static struct serve_decision expected_of(const struct serve_head *head)
{
    const struct serve_decision read = {.kind = SERVE_DECISION_READ}, health = {.kind = SERVE_DECISION_HEALTH};
    struct serve_decision refuse = {.kind = SERVE_DECISION_REFUSE};
    const bool gets = head->method == SERVE_METHOD_GET || head->method == SERVE_METHOD_HEAD;
    const bool posts = head->method == SERVE_METHOD_POST;
    const bool fits = head->path == SERVE_PATH_OUTPUTS ? posts : head->path == SERVE_PATH_PRICE ? posts || gets : gets;
    if (head->path == SERVE_PATH_HEALTH) {
        refuse.refusal = SERVE_REFUSAL_METHOD;
        return fits ? health : refuse;
    }
    refuse.refusal = head->login == SERVE_LOGIN_MISSING                     ? SERVE_REFUSAL_LOGIN
                     : head->login == SERVE_LOGIN_WRONG                     ? SERVE_REFUSAL_DENIED
                     : head->path == SERVE_PATH_UNKNOWN || !head->our_model ? SERVE_REFUSAL_NOT_FOUND
                     : !fits                                                ? SERVE_REFUSAL_METHOD
                     : posts && !head->has_length                           ? SERVE_REFUSAL_LENGTH
                     : head->has_length && head->length > head->length_max  ? SERVE_REFUSAL_TOO_LARGE
                     : head->busy                                           ? SERVE_REFUSAL_BACKPRESSURE
                                                                            : (enum serve_refusal)0;
    return refuse.refusal == (enum serve_refusal)0 ? read : refuse;
}

START_TEST(every_head)
{
    uint32_t cases = 0;
    for (int method = SERVE_METHOD_GET; method <= SERVE_METHOD_OTHER; method++) {
        for (int path = SERVE_PATH_HEALTH; path <= SERVE_PATH_LAST; path++) {
            for (int login = SERVE_LOGIN_NOT_ASKED; login <= SERVE_LOGIN_LAST; login++) {
                for (unsigned bits = 0; bits < 16; bits++) {
                    const struct serve_head head = {
                        .method = (enum serve_method)method,
                        .path = (enum serve_path)path,
                        .login = (enum serve_login)login,
                        .our_model = (bits & 1) != 0,
                        .has_length = (bits & 2) != 0,
                        .length = (bits & 4) != 0 ? 101 : 100,
                        .length_max = 100,
                        .busy = (bits & 8) != 0,
                    };
                    const struct serve_decision is = serve_decide_head(&head), wanted = expected_of(&head);
                    ck_assert_int_eq(is.kind, wanted.kind);
                    ck_assert_int_eq(is.refusal, wanted.refusal);
                    cases++;
                }
            }
        }
    }
    ck_assert_uint_eq(cases, 4 * 5 * 4 * 16);
}
END_TEST

START_TEST(what_is_asked_of_a_version)
{
    static const struct {
        struct serve_facts facts;
        enum serve_decision_kind kind;
        enum serve_refusal refusal;
    } rows[] = {
        {{SERVE_PATH_PRICE, true, true, true, SERVE_WANTED_ANY}, SERVE_DECISION_PRICE, 0},
        {{SERVE_PATH_PRICE, true, true, true, SERVE_WANTED_SERVED}, SERVE_DECISION_PRICE, 0},
        {{SERVE_PATH_PRICE, true, true, true, SERVE_WANTED_OTHER}, SERVE_DECISION_REFUSE, SERVE_REFUSAL_CONFLICT},
        {{SERVE_PATH_PRICE, true, true, false, SERVE_WANTED_ANY}, SERVE_DECISION_REFUSE, SERVE_REFUSAL_NOT_FOUND},
        {{SERVE_PATH_OUTPUTS, true, true, false, SERVE_WANTED_ANY}, SERVE_DECISION_OUTPUTS, 0},
        {{SERVE_PATH_OUTPUTS, true, true, true, SERVE_WANTED_ANY}, SERVE_DECISION_REFUSE, SERVE_REFUSAL_NOT_FOUND},
        {{SERVE_PATH_MODEL, true, true, true, SERVE_WANTED_ANY}, SERVE_DECISION_MODEL, 0},
        {{SERVE_PATH_MODEL, true, false, false, SERVE_WANTED_ANY}, SERVE_DECISION_REFUSE, SERVE_REFUSAL_NOT_READY},
        {{SERVE_PATH_PRICE, false, false, false, SERVE_WANTED_ANY}, SERVE_DECISION_REFUSE, SERVE_REFUSAL_INVALID},
        {{SERVE_PATH_PRICE, false, true, true, SERVE_WANTED_OTHER}, SERVE_DECISION_REFUSE, SERVE_REFUSAL_INVALID},
    };
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        const struct serve_decision is = serve_decide(&rows[i].facts);
        ck_assert_msg(is.kind == rows[i].kind && is.refusal == rows[i].refusal, "row %zu", i);
    }
}
END_TEST

START_TEST(every_refusal_has_a_status_and_a_name)
{
    for (int a = SERVE_REFUSAL_INVALID; a <= SERVE_REFUSAL_LAST; a++) {
        ck_assert_uint_ge(serve_status((enum serve_refusal)a), 400);
        for (int b = SERVE_REFUSAL_INVALID; b < a; b++) {
            ck_assert_uint_ne(serve_status((enum serve_refusal)a), serve_status((enum serve_refusal)b));
            ck_assert_str_ne(serve_refusal_text((enum serve_refusal)a), serve_refusal_text((enum serve_refusal)b));
        }
    }
    ck_assert_uint_eq(serve_status(SERVE_REFUSAL_LOGIN), 401);
    ck_assert_str_eq(serve_refusal_text(SERVE_REFUSAL_LOGIN), "RedirectToLogin");
    ck_assert_uint_eq(serve_status(SERVE_REFUSAL_CONFLICT), 409);
    ck_assert_uint_eq(serve_status(SERVE_REFUSAL_BACKPRESSURE), 429);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, paths);
    tcase_add_test(tcase, every_head);
    tcase_add_test(tcase, what_is_asked_of_a_version);
    tcase_add_test(tcase, every_refusal_has_a_status_and_a_name);
}

int main(void)
{
    return check_main("serve_decide", add);
}
