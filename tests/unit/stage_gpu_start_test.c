/* How millrace-stage_gpu begins, and refuses to: by exit code and by what it says. */
#include "check_main.h"

#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char said[8192];

/* Runs the program to its end; what it wrote to standard error is in `said`. */
static int run(const char *const arguments[])
{
    const char *argv[16] = {STAGE_GPU_PROGRAM};
    size_t count = 1, used = 0;
    int ends[2], status = 0;
    for (; arguments[count - 1] != NULL; count++) {
        argv[count] = arguments[count - 1];
    }
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execv(STAGE_GPU_PROGRAM, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    (void)close(ends[1]);
    for (ssize_t got = 1; got > 0 && used + 1 < sizeof said; used += got > 0 ? (size_t)got : 0) {
        got = read(ends[0], said + used, sizeof said - 1 - used);
    }
    said[used] = '\0';
    (void)close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define ALL_BUT_DEVICE "--brokers=127.0.0.1:1", "--store=file:///nonexistent/store", "--arena=/nonexistent/arena"

/* Neither broker nor store is there: what the options alone refuse waits for nothing. */
START_TEST(a_device_that_is_not_there_is_exit_69)
{
    const char *const arguments[] = {ALL_BUT_DEVICE, "--device=cuda:0", NULL};
    ck_assert_int_eq(run(arguments), 69);
    ck_assert_ptr_nonnull(strstr(said, "--device=cuda:0"));
    ck_assert_ptr_nonnull(strstr(said, "device_unavailable"));
}
END_TEST

/* It shares its partitions with train, on one machine: a group would give them to others. */
START_TEST(a_group_is_refused)
{
    const char *const arguments[] = {ALL_BUT_DEVICE, "--device=cpu", "--mode=subscribe", NULL};
    ck_assert_int_eq(run(arguments), 64);
    ck_assert_ptr_nonnull(strstr(said, "--mode=assign"));
}
END_TEST

START_TEST(what_is_no_device_is_exit_64)
{
    const char *const arguments[] = {ALL_BUT_DEVICE, "--device=gpu", NULL};
    ck_assert_int_eq(run(arguments), 64);
    ck_assert_ptr_nonnull(strstr(said, "--device=gpu"));
    ck_assert_ptr_nonnull(strstr(said, "cuda:N"));
}
END_TEST

START_TEST(the_device_has_no_default)
{
    const char *const arguments[] = {ALL_BUT_DEVICE, NULL};
    ck_assert_int_eq(run(arguments), 64);
    ck_assert_ptr_nonnull(strstr(said, "device"));
}
END_TEST

START_TEST(an_arena_that_a_batch_could_never_fit_is_exit_64)
{
    const char *const arguments[] = {ALL_BUT_DEVICE, "--device=cpu", "--arena-bytes=1048576",
                                     "--host-transfer-max-bytes=1048577", NULL};
    ck_assert_int_eq(run(arguments), 64);
    ck_assert_ptr_nonnull(strstr(said, "1048577"));
}
END_TEST

static void add(TCase *tcase)
{
    (void)unsetenv("MILLRACE_DEVICE");
    tcase_add_test(tcase, a_device_that_is_not_there_is_exit_69);
    tcase_add_test(tcase, a_group_is_refused);
    tcase_add_test(tcase, what_is_no_device_is_exit_64);
    tcase_add_test(tcase, the_device_has_no_default);
    tcase_add_test(tcase, an_arena_that_a_batch_could_never_fit_is_exit_64);
}

int main(void)
{
    return check_main("stage_gpu_start", add);
}
