/* Pure: see plan.h. */
#include "plan.h"

#include <string.h>

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

static struct mr_error bad(size_t line, const char *what)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_plan", (int64_t)line, "line %zu of the plan: %s", line, what);
}

static bool copy_name(const char *text, char ret_name[SUPERVISE_NAME_SIZE])
{
    const size_t size = strlen(text);
    /* Names of files may hold one dot more than names of processes. */
    if (size == 0 || size >= SUPERVISE_NAME_SIZE || text[0] == '.') {
        return false;
    }
    memcpy(ret_name, text, size + 1);
    return true;
}

static bool set_ready(const char *value, struct supervise_entry *entry)
{
    if (strcmp(value, "http") == 0) {
        entry->ready = SUPERVISE_READY_HTTP;
        return true;
    }
    if (strncmp(value, "file ", 5) == 0) {
        entry->ready = SUPERVISE_READY_FILE;
        return copy_name(value + 5, entry->ready_name) && strchr(entry->ready_name, '/') == NULL;
    }
    if (strncmp(value, "socket ", 7) == 0) {
        entry->ready = SUPERVISE_READY_SOCKET;
        return copy_name(value + 7, entry->ready_name) && strchr(entry->ready_name, '/') == NULL;
    }
    return false;
}

static struct mr_error begin_process(struct supervise_plan *plan, const char *name, size_t line)
{
    if (plan->count == SUPERVISE_PROCESSES_MAX) {
        return bad(line, "too many processes");
    }
    if (name[strspn(name, name_letters)] != '\0' || !copy_name(name, plan->entries[plan->count].name)) {
        return bad(line, "a name is 1 to 31 of a-z, 0-9 and _");
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (strcmp(plan->entries[i].name, name) == 0) {
            return bad(line, "two processes of one name");
        }
    }
    plan->count++;
    return mr_ok();
}

static struct mr_error set_word(struct supervise_entry *entry, const char *word, const char *value, size_t line)
{
    if (strcmp(word, "level") == 0) {
        if (value[0] < '0' || value[0] > '0' + SUPERVISE_LEVEL_MAX || value[1] != '\0') {
            return bad(line, "level is 0 to 9");
        }
        entry->level = value[0] - '0';
    } else if (strcmp(word, "restart") == 0) {
        if (strcmp(value, "always") != 0 && strcmp(value, "never") != 0) {
            return bad(line, "restart is always or never");
        }
        entry->restart = value[0] == 'a' ? SUPERVISE_RESTART_ALWAYS : SUPERVISE_RESTART_NEVER;
    } else if (strcmp(word, "ready") == 0) {
        if (!set_ready(value, entry)) {
            return bad(line, "ready is http, file NAME or socket NAME");
        }
    } else if (strcmp(word, "arg") == 0) {
        /* The last place stays NULL, as exec wants it. */
        if (entry->arg_count == SUPERVISE_ARGS_MAX - 1) {
            return bad(line, "too many arguments");
        }
        entry->args[entry->arg_count++] = value;
    } else {
        return bad(line, "unknown word");
    }
    return mr_ok();
}

static struct mr_error set_line(struct supervise_plan *plan, char *text, size_t line)
{
    char *space = strchr(text, ' ');
    if (space == NULL) {
        return bad(line, "a word and its value, parted by one space");
    }
    *space = '\0';
    const char *value = space + 1;
    if (strcmp(text, "process") == 0) {
        return begin_process(plan, value, line);
    }
    if (plan->count == 0) {
        return bad(line, "begins with a process");
    }
    return set_word(&plan->entries[plan->count - 1], text, value, line);
}

struct mr_error supervise_plan_parse(char *text, struct supervise_plan *ret_plan)
{
    struct supervise_plan plan = {.count = 0};
    size_t line = 0;
    char *next = text;
    while (*next != '\0') {
        char *here = next;
        char *end = strchr(here, '\n');
        next = end != NULL ? end + 1 : here + strlen(here);
        if (end != NULL) {
            *end = '\0';
        }
        line++;
        if (*here != '\0') {
            MR_TRY(set_line(&plan, here, line));
        }
    }
    if (plan.count == 0) {
        return bad(line, "no process");
    }
    for (size_t i = 0; i < plan.count; i++) {
        const struct supervise_entry *entry = &plan.entries[i];
        if (entry->restart == 0 || entry->ready == 0 || entry->arg_count == 0) {
            return mr_error_make(MR_ERROR_REJECT, "bad_plan", 0, "process %s of the plan lacks restart, ready or arg",
                                 entry->name);
        }
    }
    *ret_plan = plan;
    return mr_ok();
}
