/* Pure: see fate.h. */
#include "fate.h"

#include "millrace/config.h"

#include <stdio.h>

/* NULL: a new start may end differently. */
static const char *lasting_reason(int code)
{
    if (code == MR_EXIT_USAGE) {
        return "usage";
    }
    if (code == MR_EXIT_NOT_FOUND) {
        return "not found";
    }
    if (code == MR_EXIT_UNAVAILABLE) {
        return "unavailable";
    }
    if (code == MR_EXIT_SOFTWARE) {
        return "fault in the program";
    }
    if (code == MR_EXIT_LOG) {
        return "the log is not the one that it knew";
    }
    if (code == MR_EXIT_DENIED) {
        return "denied";
    }
    return NULL;
}

static uint64_t wait_after(uint32_t quick_ends)
{
    /* One early end may be chance, or someone's kill: start again at once. */
    if (quick_ends <= 1) {
        return 0;
    }
    uint64_t wait_ms = SUPERVISE_WAIT_MIN_MS;
    for (uint32_t i = 2; i < quick_ends && wait_ms < SUPERVISE_WAIT_MAX_MS; i++) {
        wait_ms *= 2;
    }
    return wait_ms < SUPERVISE_WAIT_MAX_MS ? wait_ms : SUPERVISE_WAIT_MAX_MS;
}

struct supervise_fate supervise_fate_of(enum supervise_restart restart, struct supervise_end end, uint32_t quick_ends)
{
    struct supervise_fate fate = {.kind = SUPERVISE_FATE_RESTART, .wait_ms = 0, .quick_ends = 0};
    if (restart == SUPERVISE_RESTART_NEVER) {
        fate.kind = SUPERVISE_FATE_STOP_STACK;
        return fate;
    }
    if (end.kind == SUPERVISE_END_EXITED && lasting_reason(end.number) != NULL) {
        fate.kind = SUPERVISE_FATE_GIVE_UP;
        return fate;
    }
    if (end.life_ms < SUPERVISE_QUICK_MS) {
        fate.quick_ends = quick_ends < UINT32_MAX ? quick_ends + 1 : quick_ends;
        fate.wait_ms = wait_after(fate.quick_ends);
    }
    return fate;
}

void supervise_end_text(struct supervise_end end, char *ret_text, size_t size)
{
    if (end.kind == SUPERVISE_END_KILLED) {
        (void)snprintf(ret_text, size, "killed by signal %d", end.number);
        return;
    }
    const char *reason = lasting_reason(end.number);
    if (reason != NULL) {
        (void)snprintf(ret_text, size, "exit code %d (%s)", end.number, reason);
    } else {
        (void)snprintf(ret_text, size, "exit code %d", end.number);
    }
}
