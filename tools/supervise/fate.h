/* What becomes of a process that ended: started again at once, later, not at all, or the end of the whole stack. */
#ifndef SUPERVISE_FATE_H
#define SUPERVISE_FATE_H

#include "millrace/base.h"

enum supervise_restart {
    SUPERVISE_RESTART_ALWAYS = 1,
    SUPERVISE_RESTART_NEVER, /* the others cannot go on without it, and a new one would not be the same */
    SUPERVISE_RESTART_LAST = SUPERVISE_RESTART_NEVER,
};

enum supervise_end_kind {
    SUPERVISE_END_EXITED = 1,
    SUPERVISE_END_KILLED,
    SUPERVISE_END_LAST = SUPERVISE_END_KILLED,
};

struct supervise_end {
    enum supervise_end_kind kind;
    int number; /* exit code, or signal */
    uint64_t life_ms;
};

enum supervise_fate_kind {
    SUPERVISE_FATE_RESTART = 1, /* after wait_ms, which is mostly 0 */
    SUPERVISE_FATE_GIVE_UP,     /* a new one would end in the same way: a person has to do something */
    SUPERVISE_FATE_STOP_STACK,
    SUPERVISE_FATE_LAST = SUPERVISE_FATE_STOP_STACK,
};

struct supervise_fate {
    enum supervise_fate_kind kind;
    uint64_t wait_ms;
    uint32_t quick_ends; /* ends within a second of their start, in a row */
};

enum {
    SUPERVISE_QUICK_MS = 1000,
    SUPERVISE_WAIT_MIN_MS = 100,
    SUPERVISE_WAIT_MAX_MS = 5000,
};

MR_MUST_USE struct supervise_fate supervise_fate_of(enum supervise_restart restart, struct supervise_end end,
                                                    uint32_t quick_ends);
/* "exit code 64 (usage)", "killed by signal 9". */
void supervise_end_text(struct supervise_end end, char *ret_text, size_t size);

#endif
