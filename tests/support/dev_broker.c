#include "dev_broker.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 8, PATH_SIZE = 96 };

static int exit_code_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The line of the file that says it is ready; false: not yet. */
static bool read_address(struct dev_broker *broker)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/bootstrap", broker->directory);
    FILE *const file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    const bool read = fgets(broker->address, sizeof broker->address, file) != NULL;
    (void)fclose(file);
    broker->address[strcspn(broker->address, "\n")] = '\0';
    return read;
}

void dev_broker_forget(const struct dev_broker *broker)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/log", broker->directory);
    (void)unlink(path);
    (void)rmdir(broker->directory);
}

static void become(const struct dev_broker *broker, const char *program, char *arguments[])
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/log", broker->directory);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no broker behind */
    if (freopen(path, "w", stdout) == NULL || dup2(STDOUT_FILENO, STDERR_FILENO) < 0) {
        _exit(126);
    }
    (void)execv(program, arguments);
    _exit(127);
}

static void launch(struct dev_broker *broker, const char *program, va_list rest)
{
    *broker = (struct dev_broker){.directory = "/tmp/millrace-test-XXXXXX"};
    MR_ASSERT(mkdtemp(broker->directory) != NULL);
    char name[] = "millrace-devbroker", directory[PATH_SIZE];
    (void)snprintf(directory, sizeof directory, "--dir=%s", broker->directory);
    char *arguments[ARGUMENTS_MAX + 1] = {name, directory};
    for (size_t i = 2; (arguments[i] = va_arg(rest, char *)) != NULL; i++) {
        MR_ASSERT(i + 1 < ARGUMENTS_MAX);
    }
    broker->pid = fork();
    MR_ASSERT(broker->pid >= 0);
    if (broker->pid == 0) {
        become(broker, program, arguments);
    }
}

void dev_broker_start(struct dev_broker *broker, const char *program, ...)
{
    va_list rest;
    va_start(rest, program);
    launch(broker, program, rest);
    va_end(rest);
    while (!read_address(broker)) {
        MR_ASSERT(waitpid(broker->pid, NULL, WNOHANG) == 0); /* it ended instead */
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

int dev_broker_try(struct dev_broker *broker, const char *program, ...)
{
    va_list rest;
    va_start(rest, program);
    launch(broker, program, rest);
    va_end(rest);
    return dev_broker_wait(broker);
}

int dev_broker_wait(struct dev_broker *broker)
{
    int status = 0;
    MR_ASSERT(waitpid(broker->pid, &status, 0) == broker->pid);
    return exit_code_of(status);
}

int dev_broker_stop(struct dev_broker *broker)
{
    MR_ASSERT(kill(broker->pid, SIGTERM) == 0);
    return dev_broker_wait(broker);
}

bool dev_broker_said(const struct dev_broker *broker, const char *text)
{
    char path[PATH_SIZE], line[4096];
    (void)snprintf(path, sizeof path, "%s/log", broker->directory);
    FILE *const file = fopen(path, "r");
    MR_ASSERT(file != NULL);
    bool said = false;
    while (!said && fgets(line, sizeof line, file) != NULL) {
        said = strstr(line, text) != NULL;
    }
    (void)fclose(file);
    return said;
}

struct mr_log_kafka_config dev_broker_config(const struct dev_broker *broker, const char *group)
{
    return (struct mr_log_kafka_config){
        .brokers = broker->address,
        .client_id = "millrace-test",
        .group = group,
        .mode = MR_LOG_ASSIGN,
        .development_broker = true,
        .linger_ms = 0,
        .consume = true,
        .produce = true,
    };
}
