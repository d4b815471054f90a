/*
 * A service of no use, for the supervisor's test. Usage: fake_service NAME RUN_DIR [--port=N] [--file=NAME] [--exit=N]
 * It is ready at once: with --port it answers every request with 200, with --file it writes that file in RUN_DIR.
 * --exit: it ends with that code at once. On SIGTERM it adds its name as a line to RUN_DIR/stopped and exits 0.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t stop_asked;

static void ask_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

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

int main(int argc, char *argv[])
{
    if (argc < 3) {
        return 64;
    }
    int listener = -1;
    struct sigaction action = {.sa_handler = ask_stop};
    sigset_t blocked, open_mask;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &blocked, &open_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    for (int i = 3; i < argc; i++) {
        if (strncmp(argv[i], "--port=", 7) == 0) {
            listener = listen_on(atoi(argv[i] + 7));
        } else if (strncmp(argv[i], "--file=", 7) == 0) {
            add_line(argv[2], argv[i] + 7, "w", "here");
        } else if (strncmp(argv[i], "--exit=", 7) == 0) {
            return atoi(argv[i] + 7);
        }
    }
    while (!stop_asked) {
        fd_set waited;
        FD_ZERO(&waited);
        if (listener >= 0) {
            FD_SET(listener, &waited);
        }
        if (pselect(listener + 1, &waited, NULL, NULL, NULL, &open_mask) > 0) {
            answer_one(listener);
        } else if (errno != EINTR) {
            return 1;
        }
    }
    add_line(argv[2], "stopped", "a", argv[1]);
    return 0;
}
