#include "processes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 64, LINE_SIZE = 256 };

static struct mr_error bad_list(const char *text)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_processes", 0,
                         "--processes: expected NAME:PID[:PORT] of running processes, joined by commas, not \"%.60s\"",
                         text);
}

static struct mr_error parse_one(const char *text, struct bench_process *ret_process)
{
    struct bench_process process = {.pid = 0};
    int pid = 0, used = 0;
    if (sscanf(text, "%31[a-z0-9_]:%9d%n", process.name, &pid, &used) != 2 || pid <= 0) {
        return bad_list(text);
    }
    if (text[used] == ':' && sscanf(text + used, ":%5" SCNu16 "%n", &process.port, &used) != 1) {
        return bad_list(text);
    }
    process.pid = (pid_t)pid;
    if (clock_getcpuclockid(process.pid, &process.clock) != 0) {
        return bad_list(text);
    }
    *ret_process = process;
    return mr_ok();
}

struct mr_error bench_processes_parse(const char *text, struct bench_processes *ret_processes)
{
    struct bench_processes found = {.count = 0};
    for (const char *at = text; *at != '\0';) {
        if (found.count == BENCH_PROCESSES_MAX) {
            return bad_list(at);
        }
        MR_TRY(parse_one(at, &found.of[found.count]));
        found.count++;
        at += strcspn(at, ",");
        at += *at == ',' ? 1 : 0;
    }
    *ret_processes = found;
    return mr_ok();
}

struct mr_error bench_processes_add_self(const char *name, struct bench_processes *processes)
{
    if (processes->count == BENCH_PROCESSES_MAX) {
        return bad_list(name);
    }
    struct bench_process *self = &processes->of[processes->count++];
    *self = (struct bench_process){.pid = getpid(), .clock = CLOCK_PROCESS_CPUTIME_ID};
    (void)snprintf(self->name, sizeof self->name, "%s", name);
    return mr_ok();
}

static struct mr_error ended(const struct bench_process *process)
{
    return mr_error_make(MR_ERROR_REJECT, "process_ended", errno, "%s (pid %ld) ended during the benchmark",
                         process->name, (long)process->pid);
}

struct mr_error bench_process_cpu(const struct bench_process *process, int64_t *ret_us)
{
    struct timespec used;
    if (clock_gettime(process->clock, &used) != 0) {
        return ended(process);
    }
    *ret_us = (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
    return mr_ok();
}

/* Numbers in KiB from the lines "NAME   NUMBER kB" of a file in /proc/PID; false: it cannot be read. */
struct field {
    const char *name; /* with its colon */
    uint64_t *value;
};
static bool read_fields(const struct bench_process *process, const char *file, const struct field *fields, size_t count)
{
    char path[PATH_SIZE], line[LINE_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%ld/%s", (long)process->pid, file);
    FILE *input = fopen(path, "re");
    if (input == NULL) {
        return false;
    }
    while (fgets(line, sizeof line, input) != NULL) {
        for (size_t i = 0; i < count; i++) {
            const size_t length = strlen(fields[i].name);
            if (strncmp(line, fields[i].name, length) == 0) {
                *fields[i].value = strtoull(line + length, NULL, 10);
            }
        }
    }
    const bool good = ferror(input) == 0;
    (void)fclose(input);
    return good;
}

struct mr_error bench_process_memory(const struct bench_process *process, bool pss, struct bench_memory *ret_memory)
{
    struct bench_memory memory = {0};
    const struct field resident[] = {
        {"RssAnon:", &memory.own_kib},
        {"RssFile:", &memory.file_kib},
        {"RssShmem:", &memory.shared_kib},
    };
    const struct field part[] = {{"Pss:", &memory.pss_kib}};
    if (!read_fields(process, "status", resident, MR_COUNT_OF(resident)) ||
        (pss && !read_fields(process, "smaps_rollup", part, MR_COUNT_OF(part)))) {
        return ended(process);
    }
    *ret_memory = memory;
    return mr_ok();
}

struct mr_error bench_machine_cpu(int64_t *ret_us)
{
    FILE *input = fopen("/proc/stat", "re");
    uint64_t user = 0, nice = 0, system = 0, irq = 0, soft = 0, steal = 0;
    const bool good = input != NULL &&
                      fscanf(input, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64,
                             &user, &nice, &system, &irq, &soft, &steal) == 6;
    if (input != NULL) {
        (void)fclose(input);
    }
    if (!good) {
        return mr_error_make(MR_ERROR_FATAL, "unreadable", 0, "/proc/stat does not say what the cores did");
    }
    const uint64_t ticks = user + nice + system + irq + soft + steal;
    *ret_us = (int64_t)(ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
    return mr_ok();
}
