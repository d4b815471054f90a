#include "check_main.h"
#include "millrace/base.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(an_error_keeps_what_it_was_made_of)
{
    const struct mr_error e = mr_error_make(MR_ERROR_TRANSIENT, "throttled", 503, "%s after %d tries", "busy", 3);
    ck_assert(mr_failed(e));
    ck_assert_int_eq(e.kind, MR_ERROR_TRANSIENT);
    ck_assert_str_eq(e.code, "throttled");
    ck_assert_int_eq(e.native, 503);
    ck_assert_str_eq(e.detail, "busy after 3 tries");
    ck_assert(!mr_failed(mr_ok()));
}
END_TEST

START_TEST(a_long_detail_is_cut_to_fit)
{
    char text[2 * MR_ERROR_DETAIL_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const struct mr_error e = mr_error_make(MR_ERROR_FATAL, "long", 0, "%s", text);
    ck_assert_uint_eq(strlen(e.detail), MR_ERROR_DETAIL_MAX - 1);
}
END_TEST

START_TEST(every_error_class_has_its_own_text)
{
    for (int a = MR_ERROR_NONE; a <= MR_ERROR_LAST; a++) {
        for (int b = a + 1; b <= MR_ERROR_LAST; b++) {
            ck_assert_str_ne(mr_error_class_text((enum mr_error_class)a), mr_error_class_text((enum mr_error_class)b));
        }
    }
}
END_TEST

static struct mr_error fail_at(int step, int *reached)
{
    *reached = 1;
    MR_TRY(step == 1 ? mr_error_make(MR_ERROR_REJECT, "first", 0, "first") : mr_ok());
    *reached = 2;
    MR_TRY(step == 2 ? mr_error_make(MR_ERROR_REJECT, "second", 0, "second") : mr_ok());
    *reached = 3;
    return mr_ok();
}

START_TEST(try_leaves_at_the_first_failure)
{
    int reached = 0;
    ck_assert_str_eq(fail_at(1, &reached).code, "first");
    ck_assert_int_eq(reached, 1);
    ck_assert_str_eq(fail_at(2, &reached).code, "second");
    ck_assert_int_eq(reached, 2);
    ck_assert(!mr_failed(fail_at(0, &reached)));
    ck_assert_int_eq(reached, 3);
}
END_TEST

/* In a child whose standard error comes back; true when it aborted. */
static bool aborts(void (*action)(void), char *ret_message, size_t size)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        action();
        _exit(0);
    }
    (void)close(ends[1]);
    const ssize_t got = read(ends[0], ret_message, size - 1);
    ret_message[got > 0 ? got : 0] = '\0';
    (void)close(ends[0]);
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void reach(void)
{
    mr_unreachable("some_decide");
}

static void fail_assertion(void)
{
    const int two = 2;
    MR_ASSERT(two == 3);
}

START_TEST(a_bug_aborts_and_names_the_place)
{
    char message[256];
    ck_assert(aborts(reach, message, sizeof message));
    ck_assert_ptr_nonnull(strstr(message, "some_decide"));
    ck_assert(aborts(fail_assertion, message, sizeof message));
    ck_assert_ptr_nonnull(strstr(message, "two == 3"));
    ck_assert_ptr_nonnull(strstr(message, "base_bytes_test.c"));
}
END_TEST

START_TEST(bytes_are_equal_by_content)
{
    ck_assert(mr_bytes_equal(mr_bytes_of_text("abc"), mr_bytes_of("abcd", 3)));
    ck_assert(!mr_bytes_equal(mr_bytes_of_text("abc"), mr_bytes_of_text("abd")));
    ck_assert(!mr_bytes_equal(mr_bytes_of_text("abc"), mr_bytes_of_text("ab")));
    ck_assert(mr_bytes_equal(mr_bytes_of(NULL, 0), mr_bytes_of_text("")));
}
END_TEST

START_TEST(appending_text_keeps_a_terminator_outside_the_size)
{
    struct mr_buffer b = {0};
    ck_assert(!mr_failed(mr_buffer_append_text(&b, "%s-%03d", "a", 7)));
    ck_assert_uint_eq(b.size, 5);
    ck_assert_str_eq((const char *)b.data, "a-007");
    ck_assert(!mr_failed(mr_buffer_append(&b, "\0z", 2)));
    ck_assert(mr_bytes_equal(mr_buffer_view(&b), mr_bytes_of("a-007\0z", 7)));
    mr_buffer_deinit(&b);
    ck_assert_ptr_null(b.data);
    ck_assert_uint_eq(b.size + b.capacity, 0);
}
END_TEST

START_TEST(reserving_changes_no_content)
{
    struct mr_buffer b = {0};
    ck_assert(!mr_failed(mr_buffer_append(&b, "abc", 3)));
    ck_assert(!mr_failed(mr_buffer_reserve(&b, 1000)));
    ck_assert_uint_ge(b.capacity, 1000);
    const uint8_t *place = b.data;
    for (int i = 0; i < 997; i++) {
        ck_assert(!mr_failed(mr_buffer_append(&b, "x", 1)));
    }
    ck_assert_ptr_eq(b.data, place); /* what was reserved was used */
    ck_assert_mem_eq(b.data, "abcx", 4);
    mr_buffer_deinit(&b);
}
END_TEST

START_TEST(a_size_that_overflows_leaves_the_buffer_as_it_was)
{
    uint8_t byte = 7;
    struct mr_buffer b = {.data = &byte, .size = SIZE_MAX - 4, .capacity = SIZE_MAX - 4};
    const struct mr_error e = mr_buffer_append(&b, "12345678", 8);
    ck_assert_int_eq(e.kind, MR_ERROR_FATAL);
    ck_assert_str_eq(e.code, "out_of_memory");
    ck_assert_ptr_eq(b.data, &byte);
    ck_assert_uint_eq(b.size, SIZE_MAX - 4);
    ck_assert_uint_eq(b.capacity, SIZE_MAX - 4);
}
END_TEST

START_TEST(hex_is_lowercase_and_strict)
{
    const uint8_t bytes[] = {0x00, 0x9a, 0xff, 0x10};
    char text[9];
    mr_hex(mr_bytes_of(bytes, sizeof bytes), text);
    ck_assert_str_eq(text, "009aff10");
    uint8_t back[4];
    ck_assert(mr_unhex("009aff10", back, sizeof back));
    ck_assert_mem_eq(back, bytes, sizeof bytes);
    static const char *const bad[] = {"009AFF10", "009aff1",  "009aff1g", "009aff100", "009aff1000", "",
                                      " 09aff10", "0x9aff10", "009aff1/", "009aff1:",  "009aff1`"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        memset(back, 0x55, sizeof back);
        ck_assert_msg(!mr_unhex(bad[i], back, sizeof back), "\"%s\" was taken", bad[i]);
        ck_assert_mem_eq(back, "\x55\x55\x55\x55", 4);
    }
    mr_hex(mr_bytes_of(NULL, 0), text);
    ck_assert_str_eq(text, "");
    ck_assert(mr_unhex("", back, 0));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, an_error_keeps_what_it_was_made_of);
    tcase_add_test(tests, a_long_detail_is_cut_to_fit);
    tcase_add_test(tests, every_error_class_has_its_own_text);
    tcase_add_test(tests, try_leaves_at_the_first_failure);
    tcase_add_test(tests, a_bug_aborts_and_names_the_place);
    tcase_add_test(tests, bytes_are_equal_by_content);
    tcase_add_test(tests, appending_text_keeps_a_terminator_outside_the_size);
    tcase_add_test(tests, reserving_changes_no_content);
    tcase_add_test(tests, a_size_that_overflows_leaves_the_buffer_as_it_was);
    tcase_add_test(tests, hex_is_lowercase_and_strict);
}

int main(void)
{
    return check_main("base_bytes", add);
}
