#include "process.h"

#include "files.h"
#include "millrace/config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct mr_error append_file(const char *dir, struct mr_bytes name, struct mr_buffer *text)
{
    char file[SUPERVISE_NAME_SIZE], path[SUPERVISE_PATH_SIZE];
    if (name.size >= sizeof file) {
        return mr_error_make(MR_ERROR_REJECT, "bad_plan", 0, "the name in {file:...} is too long");
    }
    memcpy(file, name.data, name.size);
    file[name.size] = '\0';
    if (!supervise_path(dir, "run", file, "", path)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_path", 0, "the stack's folder has too long a name");
    }
    char *content = NULL;
    MR_TRY(supervise_file_read(path, &content));
    const struct mr_error error = mr_buffer_append(text, content, strcspn(content, "\r\n"));
    free(content);
    return error;
}

/* The argument with {port} and {file:NAME} filled in, ended by 0. */
static struct mr_error fill(const char *argument, const char *dir, uint16_t port, struct mr_buffer *text)
{
    static const char port_mark[] = "{port}", file_mark[] = "{file:";
    const char *at = argument;
    while (*at != '\0') {
        const char *closing = strchr(at, '}');
        if (strncmp(at, port_mark, sizeof port_mark - 1) == 0) {
            MR_TRY(mr_buffer_append_text(text, "%u", (unsigned)port));
            at += sizeof port_mark - 1;
        } else if (strncmp(at, file_mark, sizeof file_mark - 1) == 0 && closing != NULL) {
            const char *name = at + sizeof file_mark - 1;
            MR_TRY(append_file(dir, mr_bytes_of(name, (size_t)(closing - name)), text));
            at = closing + 1;
        } else {
            MR_TRY(mr_buffer_append(text, at, 1));
            at++;
        }
    }
    return mr_buffer_append(text, "", 1);
}

/* Runs in the child: never returns. */
static void become(char *const args[], int log, pid_t parent)
{
    sigset_t none;
    const int nothing = open("/dev/null", O_RDONLY);
    (void)sigemptyset(&none);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(MR_EXIT_SOFTWARE);
    }
    (void)execv(args[0], args);
    (void)dprintf(STDERR_FILENO, "cannot execute %s: %s\n", args[0], strerror(errno));
    _exit(MR_EXIT_UNAVAILABLE);
}

static struct mr_error start_with(const struct supervise_entry *entry, const char *dir, struct mr_buffer *texts,
                                  uint16_t port, pid_t *ret_pid)
{
    char *args[SUPERVISE_ARGS_MAX] = {NULL};
    char path[SUPERVISE_PATH_SIZE];
    for (size_t i = 0; i < entry->arg_count; i++) {
        MR_TRY(fill(entry->args[i], dir, port, &texts[i]));
        args[i] = (char *)texts[i].data;
    }
    MR_ASSERT(args[0] != NULL); /* the plan was read whole */
    if (!supervise_path(dir, "log", entry->name, ".log", path)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_path", 0, "the stack's folder has too long a name");
    }
    const int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) {
        return mr_error_make(MR_ERROR_FATAL, "file", errno, "cannot open %s: %s", path, strerror(errno));
    }
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
        become(args, log, parent);
    }
    const int native = errno;
    (void)close(log);
    if (pid < 0) {
        return mr_error_make(MR_ERROR_FATAL, "fork", native, "cannot start %s: %s", entry->name, strerror(native));
    }
    *ret_pid = pid;
    return mr_ok();
}

struct mr_error supervise_process_start(const struct supervise_entry *entry, const char *dir, uint16_t port,
                                        pid_t *ret_pid)
{
    struct mr_buffer texts[SUPERVISE_ARGS_MAX] = {{.data = NULL}};
    const struct mr_error error = start_with(entry, dir, texts, port, ret_pid);
    for (size_t i = 0; i < MR_COUNT_OF(texts); i++) {
        mr_buffer_deinit(&texts[i]);
    }
    return error;
}
