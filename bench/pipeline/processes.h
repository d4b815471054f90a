/* What other processes of this machine use: processor time and memory, as the kernel counts them. */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include "millrace/base.h"

#include <sys/types.h>
#include <time.h>

enum { BENCH_PROCESSES_MAX = 16, BENCH_PROCESS_NAME_SIZE = 32 };

struct bench_process {
    char name[BENCH_PROCESS_NAME_SIZE];
    pid_t pid;
    uint16_t port; /* of its /readyz; 0: none was given */
    clockid_t clock;
};

struct bench_processes {
    struct bench_process of[BENCH_PROCESSES_MAX];
    size_t count;
};

/* Resident memory by its kind: its own, of files (its code and libraries, which processes share), and shared (the
 * arena, which stage_gpu and train both map). `pss`: where a shared page counts as its part. */
struct bench_memory {
    uint64_t own_kib, file_kib, shared_kib, pss_kib;
};

/* "NAME:PID[:PORT]" joined by commas. REJECT "bad_processes". */
MR_MUST_USE struct mr_error bench_processes_parse(const char *text, struct bench_processes *ret_processes);
/* Adds the process that calls, which has its part of the machine too. */
MR_MUST_USE struct mr_error bench_processes_add_self(const char *name, struct bench_processes *processes);

/* Both: REJECT "process_ended" when it has. */
MR_MUST_USE struct mr_error bench_process_cpu(const struct bench_process *process, int64_t *ret_us);
/* Reading pss costs a walk over the pages: without `pss` it is 0. */
MR_MUST_USE struct mr_error bench_process_memory(const struct bench_process *process, bool pss,
                                                 struct bench_memory *ret_memory);

/* Processor time of the whole machine but for idling and waiting for disks, over all cores. */
MR_MUST_USE struct mr_error bench_machine_cpu(int64_t *ret_us);

#endif
