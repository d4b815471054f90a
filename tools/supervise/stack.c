#include "stack.h"

#include "files.h"
#include "millrace/config.h"
#include "probe.h"
#include "process.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PROBE_EVERY_MS = 20,
    REPORT_EVERY_MS = 5000,
    STOP_WITHIN_MS = 20000,
    WAIT_FOREVER_MS = 3600000,
};

enum process_state {
    PROCESS_NOT_STARTED = 1,
    PROCESS_RUNNING,
    PROCESS_WAITING, /* for its time to be started again */
    PROCESS_GIVEN_UP,
    PROCESS_STOPPED,
};

struct process {
    const struct supervise_entry *entry;
    enum process_state state;
    pid_t pid;
    uint16_t port;
    bool ready;
    uint32_t quick_ends;
    uint64_t started_ms, due_ms;
    char waits_for[SUPERVISE_REASON_SIZE];
};

struct stack {
    const char *dir;
    struct process processes[SUPERVISE_PROCESSES_MAX];
    size_t count;
    int level; /* the highest that has been started */
    bool announced, stopping;
    int exit_code;
    uint64_t report_ms; /* when to say next who is not ready */
};

static uint64_t now_ms(void)
{
    struct timespec now;
    MR_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

MR_PRINTF(2, 3) static void tell(const char *name, const char *format, ...)
{
    va_list rest;
    const time_t now = time(NULL);
    struct tm utc;
    char stamp[32] = "";
    if (gmtime_r(&now, &utc) != NULL) {
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    printf("%s %s: ", stamp, name);
    va_start(rest, format);
    (void)vprintf(format, rest);
    va_end(rest);
    printf("\n");
    (void)fflush(stdout);
}

static void put_file(const struct stack *stack, const char *name, const char *extension, const char *text)
{
    char path[SUPERVISE_PATH_SIZE];
    if (!supervise_path(stack->dir, "run", name, extension, path)) {
        tell(name, "its path is too long");
        return;
    }
    const struct mr_error error = supervise_file_write(path, text);
    if (mr_failed(error)) {
        tell(name, "%s", error.detail);
    }
}

static void remove_file(const struct stack *stack, const char *name, const char *extension)
{
    char path[SUPERVISE_PATH_SIZE];
    if (supervise_path(stack->dir, "run", name, extension, path)) {
        (void)unlink(path); /* mostly there is none */
    }
}

static void put_number(const struct stack *stack, const char *name, const char *extension, long number)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%ld\n", number);
    put_file(stack, name, extension, text);
}

static void give_up(struct stack *stack, struct process *process, const char *reason)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%s; see %s/log/%s.log\n", reason, stack->dir, process->entry->name);
    put_file(stack, process->entry->name, ".failed", text);
    process->state = PROCESS_GIVEN_UP;
    tell(process->entry->name, "ended for good: %s; it is not started again (log/%s.log says why)", reason,
         process->entry->name);
}

static void start(struct stack *stack, struct process *process)
{
    const char *name = process->entry->name;
    if (process->entry->ready != SUPERVISE_READY_HTTP) {
        /* What the one before left would pass for readiness. */
        remove_file(stack, process->entry->ready_name, "");
    }
    const struct mr_error error = supervise_process_start(process->entry, stack->dir, process->port, &process->pid);
    process->started_ms = now_ms();
    process->ready = false;
    if (mr_failed(error)) {
        give_up(stack, process, error.detail);
        return;
    }
    process->state = PROCESS_RUNNING;
    put_number(stack, name, ".pid", process->pid);
    tell(name, "started, pid %ld", (long)process->pid);
}

static void begin_stopping(struct stack *stack, int exit_code)
{
    if (!stack->stopping) {
        stack->stopping = true;
        stack->exit_code = exit_code;
        remove_file(stack, "ready", "");
    }
}

static void meet_fate(struct stack *stack, struct process *process, struct supervise_end end)
{
    char how[64];
    supervise_end_text(end, how, sizeof how);
    const struct supervise_fate fate = supervise_fate_of(process->entry->restart, end, process->quick_ends);
    process->quick_ends = fate.quick_ends;
    switch (fate.kind) {
    case SUPERVISE_FATE_RESTART:
        process->state = PROCESS_WAITING;
        process->due_ms = now_ms() + fate.wait_ms;
        tell(process->entry->name, "%s after %llu ms; started again in %llu ms", how, (unsigned long long)end.life_ms,
             (unsigned long long)fate.wait_ms);
        if (fate.wait_ms == 0) {
            start(stack, process);
        } else {
            remove_file(stack, process->entry->name, ".pid");
        }
        return;
    case SUPERVISE_FATE_GIVE_UP:
        remove_file(stack, process->entry->name, ".pid");
        give_up(stack, process, how);
        return;
    case SUPERVISE_FATE_STOP_STACK:
        remove_file(stack, process->entry->name, ".pid");
        give_up(stack, process, how);
        tell("stack", "cannot go on without %s: it stops", process->entry->name);
        begin_stopping(stack, MR_EXIT_UNAVAILABLE);
        return;
    }
    mr_unreachable(__func__);
}

static struct supervise_end end_of(int status, uint64_t life_ms)
{
    struct supervise_end end = {.kind = SUPERVISE_END_EXITED, .number = WEXITSTATUS(status), .life_ms = life_ms};
    if (WIFSIGNALED(status)) {
        end.kind = SUPERVISE_END_KILLED;
        end.number = WTERMSIG(status);
    }
    return end;
}

static void collect(struct stack *stack)
{
    int status = 0;
    pid_t pid = 0;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < stack->count; i++) {
            struct process *process = &stack->processes[i];
            if (process->state != PROCESS_RUNNING || process->pid != pid) {
                continue;
            }
            if (stack->stopping) {
                process->state = PROCESS_STOPPED;
                remove_file(stack, process->entry->name, ".pid");
            } else {
                meet_fate(stack, process, end_of(status, now_ms() - process->started_ms));
            }
        }
    }
}

static void start_due(struct stack *stack)
{
    const uint64_t now = now_ms();
    for (size_t i = 0; i < stack->count; i++) {
        struct process *process = &stack->processes[i];
        if (process->state == PROCESS_WAITING && process->due_ms <= now) {
            start(stack, process);
        }
    }
}

static bool is_ready(const struct stack *stack, struct process *process)
{
    char path[SUPERVISE_PATH_SIZE];
    (void)snprintf(process->waits_for, sizeof process->waits_for, "no %s yet", process->entry->ready_name);
    switch (process->entry->ready) {
    case SUPERVISE_READY_FILE:
        return supervise_path(stack->dir, "run", process->entry->ready_name, "", path) && supervise_probe_file(path);
    case SUPERVISE_READY_SOCKET:
        return supervise_path(stack->dir, "run", process->entry->ready_name, "", path) && supervise_probe_socket(path);
    case SUPERVISE_READY_HTTP: return supervise_probe_http(process->port, process->waits_for);
    }
    mr_unreachable(__func__);
}

/* False: there is none. */
static bool start_next_level(struct stack *stack)
{
    bool any = false;
    while (!any && stack->level < SUPERVISE_LEVEL_MAX) {
        stack->level++;
        for (size_t i = 0; i < stack->count; i++) {
            if (stack->processes[i].entry->level == stack->level) {
                start(stack, &stack->processes[i]);
                any = true;
            }
        }
    }
    return any;
}

/* Starts the next level once all so far are ready; says so when that was the last. */
static void advance(struct stack *stack)
{
    bool all_ready = true;
    const bool report = now_ms() >= stack->report_ms;
    for (size_t i = 0; i < stack->count; i++) {
        struct process *process = &stack->processes[i];
        if (process->entry->level > stack->level || process->ready) {
            continue;
        }
        if (process->state == PROCESS_RUNNING && is_ready(stack, process)) {
            process->ready = true;
            tell(process->entry->name, "ready");
            continue;
        }
        all_ready = false;
        if (report && process->state == PROCESS_RUNNING) {
            tell(process->entry->name, "not ready: %s", process->waits_for);
        }
    }
    if (report) {
        stack->report_ms = now_ms() + REPORT_EVERY_MS;
    }
    if (all_ready && !start_next_level(stack)) {
        stack->announced = true;
        put_file(stack, "ready", "", "ready\n");
        tell("stack", "ready");
    }
}

static uint64_t wait_of(const struct stack *stack)
{
    uint64_t wait = stack->announced ? WAIT_FOREVER_MS : PROBE_EVERY_MS;
    const uint64_t now = now_ms();
    for (size_t i = 0; i < stack->count; i++) {
        const struct process *process = &stack->processes[i];
        if (process->state == PROCESS_WAITING) {
            const uint64_t left = process->due_ms > now ? process->due_ms - now : 0;
            wait = left < wait ? left : wait;
        }
    }
    return wait;
}

static int wait_for_signal(const sigset_t *signals, uint64_t wait_ms)
{
    const struct timespec wait = {.tv_sec = (time_t)(wait_ms / 1000), .tv_nsec = (long)(wait_ms % 1000) * 1000000};
    return sigtimedwait(signals, NULL, &wait);
}

/* Asks all of the level to stop, and kills what has not after a while. */
static void stop_level(struct stack *stack, int level, const sigset_t *signals)
{
    const uint64_t deadline = now_ms() + STOP_WITHIN_MS;
    bool asked = false, killed = false;
    for (;;) {
        collect(stack);
        size_t left = 0;
        for (size_t i = 0; i < stack->count; i++) {
            struct process *process = &stack->processes[i];
            if (process->entry->level != level || process->state != PROCESS_RUNNING) {
                continue;
            }
            left++;
            if (!asked) {
                (void)kill(process->pid, SIGTERM);
            } else if (!killed && now_ms() >= deadline) {
                tell(process->entry->name, "has not stopped within %d s: killed", STOP_WITHIN_MS / 1000);
                (void)kill(process->pid, SIGKILL);
            }
        }
        if (left == 0) {
            return;
        }
        killed = killed || (asked && now_ms() >= deadline);
        asked = true;
        (void)wait_for_signal(signals, killed || now_ms() >= deadline ? PROBE_EVERY_MS : deadline - now_ms());
    }
}

static bool prepare(struct stack *stack, const struct supervise_plan *plan)
{
    uint16_t first = (uint16_t)(SUPERVISE_PORT_MIN + (unsigned)getpid() % 1000 * 10);
    stack->count = plan->count;
    for (size_t i = 0; i < plan->count; i++) {
        struct process *process = &stack->processes[i];
        const char *name = plan->entries[i].name;
        *process = (struct process){.entry = &plan->entries[i], .state = PROCESS_NOT_STARTED};
        remove_file(stack, name, ".pid");
        remove_file(stack, name, ".port");
        remove_file(stack, name, ".failed");
        if (plan->entries[i].ready != SUPERVISE_READY_HTTP) {
            continue;
        }
        process->port = supervise_free_port(first);
        if (process->port == 0) {
            tell(name, "no port of 127.0.0.1 is free from %u to %u", (unsigned)first, (unsigned)SUPERVISE_PORT_MAX);
            return false;
        }
        first = (uint16_t)(process->port + 1);
        put_number(stack, name, ".port", process->port);
    }
    return true;
}

int supervise_stack_run(const struct supervise_plan *plan, const char *dir)
{
    struct stack stack = {.dir = dir, .level = -1};
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    MR_ASSERT(sigprocmask(SIG_BLOCK, &signals, NULL) == 0);
    remove_file(&stack, "ready", "");
    if (!prepare(&stack, plan)) {
        return MR_EXIT_UNAVAILABLE;
    }
    put_number(&stack, "supervisor", ".pid", getpid());
    stack.report_ms = now_ms() + REPORT_EVERY_MS;
    while (!stack.stopping) {
        if (!stack.announced) {
            advance(&stack);
        }
        const int got = wait_for_signal(&signals, wait_of(&stack));
        if (got == SIGTERM || got == SIGINT) {
            begin_stopping(&stack, MR_EXIT_OK);
        } else {
            collect(&stack);
            start_due(&stack);
        }
    }
    tell("stack", "stops");
    for (int level = SUPERVISE_LEVEL_MAX; level >= 0; level--) {
        stop_level(&stack, level, &signals);
    }
    remove_file(&stack, "supervisor", ".pid");
    tell("stack", "stopped");
    return stack.exit_code;
}
