/*
 * millrace-supervise run DIR PLAN   runs the plan's processes in DIR until it is told to stop
 * millrace-supervise stop DIR       tells the one that runs in DIR to stop, and waits until it has
 * millrace-supervise pid DIR        prints its process id; exit code 1: none runs there
 */
#include "files.h"
#include "millrace/config.h"
#include "stack.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(struct mr_error error, int exit_code)
{
    (void)fprintf(stderr, "millrace-supervise: %s\n", error.detail);
    return exit_code;
}

static int run(const char *dir, const char *lock, const char *plan_path)
{
    static struct supervise_plan plan;
    char *text = NULL;
    struct mr_error error = supervise_lock(lock);
    if (mr_failed(error)) {
        return complain(error, strcmp(error.code, "running") == 0 ? MR_EXIT_CONFLICT : MR_EXIT_UNAVAILABLE);
    }
    error = supervise_file_read(plan_path, &text);
    if (!mr_failed(error)) {
        error = supervise_plan_parse(text, &plan);
    }
    const int exit_code = mr_failed(error) ? complain(error, MR_EXIT_USAGE) : supervise_stack_run(&plan, dir);
    free(text);
    return exit_code;
}

/* Returns when the lock is free: that, and no file, says that everything has stopped. */
static int stop(const char *lock)
{
    pid_t holder = 0;
    struct mr_error error = supervise_lock_holder(lock, &holder);
    if (!mr_failed(error) && holder == 0) {
        return MR_EXIT_FAILED;
    }
    if (!mr_failed(error) && kill(holder, SIGTERM) != 0 && errno != ESRCH) {
        error = mr_error_make(MR_ERROR_FATAL, "kill", errno, "cannot stop %ld: %s", (long)holder, strerror(errno));
    }
    if (!mr_failed(error)) {
        error = supervise_lock_wait(lock);
    }
    return mr_failed(error) ? complain(error, MR_EXIT_UNAVAILABLE) : MR_EXIT_OK;
}

static int print_pid(const char *lock)
{
    pid_t holder = 0;
    const struct mr_error error = supervise_lock_holder(lock, &holder);
    if (mr_failed(error)) {
        return complain(error, MR_EXIT_UNAVAILABLE);
    }
    if (holder == 0) {
        return MR_EXIT_FAILED;
    }
    printf("%ld\n", (long)holder);
    return MR_EXIT_OK;
}

int main(int argc, char *argv[])
{
    char lock[SUPERVISE_PATH_SIZE];
    const char *verb = argc >= 3 ? argv[1] : "";
    if (argc >= 3 && !supervise_path(argv[2], "run", "lock", "", lock)) {
        (void)fprintf(stderr, "millrace-supervise: the folder has too long a name\n");
        return MR_EXIT_USAGE;
    }
    if (argc == 4 && strcmp(verb, "run") == 0) {
        return run(argv[2], lock, argv[3]);
    }
    if (argc == 3 && strcmp(verb, "stop") == 0) {
        return stop(lock);
    }
    if (argc == 3 && strcmp(verb, "pid") == 0) {
        return print_pid(lock);
    }
    (void)fprintf(stderr, "usage: millrace-supervise run DIR PLAN | stop DIR | pid DIR\n");
    return MR_EXIT_USAGE;
}
