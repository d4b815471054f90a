/*
 * A service of no use, for the supervisor's test. Usage: fake_service NAME RUN_DIR [--port=N] [--file=NAME] [--exit=N]
 * It is ready at once: with --port it answers every request with 200, with --file it writes that file in RUN_DIR.
 * --exit: it ends with that code at once. On SIGTERM it adds its name as a line to RUN_DIR/stopped and exits 0.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static void add_line(const char *dir, const char *file_name, const char *mode, const char *line)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", dir, file_name);
    FILE *file = fopen(path, mode);
    if (file == NULL || fprintf(file, "%s\n", line) < 0 || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static int listen_on(int port)
{
    const int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 8) != 0) {
        perror("listen");
        exit(1);
    }
    return listener;
}

static void answer_one(int listener)
{
    static const char answer[] = "HTTP/1.0 200 OK\r\n\r\nready\n";
    char request[1024];
    const int connection = accept(listener, NULL, NULL);
    if (connection < 0) {
        return;
    }
    if (recv(connection, request, sizeof request, 0) > 0) {
        (void)send(connection, answer, sizeof answer - 1, MSG_NOSIGNAL);
    }
    (void)close(connection);
}

/* Returns when SIGTERM has come. By a descriptor, not a handler: ThreadSanitizer holds handlers back while select
 * waits.
 */
static void serve(int listener, int stop)
{
    for (;;) {
        fd_set waited;
        FD_ZERO(&waited);
        FD_SET(stop, &waited);
        if (listener >= 0) {
            FD_SET(listener, &waited);
        }
        if (select((listener > stop ? listener : stop) + 1, &waited, NULL, NULL, NULL) < 0) {
            perror("select");
            exit(1);
        }
        if (FD_ISSET(stop, &waited)) {
            return;
        }
        answer_one(listener);
    }
}

int main(int argc, char *argv[])
{
    if (argc < 3) {
        return 64;
    }
    int listener = -1;
    sigset_t stopping;
    (void)sigemptyset(&stopping);
    (void)sigaddset(&stopping, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &stopping, NULL);
    const int stop = signalfd(-1, &stopping, SFD_CLOEXEC);
    if (stop < 0) {
        perror("signalfd");
        return 1;
    }
    for (int i = 3; i < argc; i++) {
        if (strncmp(argv[i], "--port=", 7) == 0) {
            listener = listen_on(atoi(argv[i] + 7));
        } else if (strncmp(argv[i], "--file=", 7) == 0) {
            add_line(argv[2], argv[i] + 7, "w", "here");
        } else if (strncmp(argv[i], "--exit=", 7) == 0) {
            return atoi(argv[i] + 7);
        }
    }
    serve(listener, stop);
    add_line(argv[2], "stopped", "a", argv[1]);
    return 0;
}
