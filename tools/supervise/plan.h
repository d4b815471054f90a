/*
 * The plan of a stack: which processes, in which order, and how each says that it is ready. A text of lines, one word
 * and its value each, so that arguments need no quoting:
 *
 *   process NAME          begins the next process: a-z, 0-9, '_'
 *   level N               started when all of lower levels are ready, stopped before them; 0 to 9
 *   restart always|never  never: its end stops the stack
 *   ready file NAME       a file run/NAME that is not empty
 *   ready socket NAME     a Unix socket run/NAME that accepts
 *   ready http            GET /readyz on a port that the supervisor picks answers 200
 *   arg TEXT              the program (an absolute path), then its arguments; {port} is the port picked, {file:NAME}
 * the first line of run/NAME at the start
 */
#ifndef SUPERVISE_PLAN_H
#define SUPERVISE_PLAN_H

#include "fate.h"

enum supervise_ready_kind {
    SUPERVISE_READY_FILE = 1,
    SUPERVISE_READY_SOCKET,
    SUPERVISE_READY_HTTP,
    SUPERVISE_READY_LAST = SUPERVISE_READY_HTTP,
};

enum {
    SUPERVISE_PROCESSES_MAX = 16,
    SUPERVISE_ARGS_MAX = 32,
    SUPERVISE_NAME_SIZE = 32,
    SUPERVISE_LEVEL_MAX = 9,
};

struct supervise_entry {
    char name[SUPERVISE_NAME_SIZE];
    int level;
    enum supervise_restart restart;
    enum supervise_ready_kind ready;
    char ready_name[SUPERVISE_NAME_SIZE]; /* of FILE and SOCKET */
    const char *args[SUPERVISE_ARGS_MAX]; /* into the plan's text */
    size_t arg_count;
};

struct supervise_plan {
    struct supervise_entry entries[SUPERVISE_PROCESSES_MAX];
    size_t count;
};

/* Splits `text`, a string that must outlive the plan, in place. REJECT "bad_plan" with the line's number. */
MR_MUST_USE struct mr_error supervise_plan_parse(char *text, struct supervise_plan *ret_plan);

#endif
