#include "redis_server.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONNECTS_MAX = 1000 };

void redis_server_init(struct redis_server *server)
{
    *server = (struct redis_server){.folder = "/tmp/millrace-redis-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(server->folder));
    (void)snprintf(server->socket_path, sizeof server->socket_path, "%s/redis.sock", server->folder);
    (void)snprintf(server->address, sizeof server->address, "unix:%s", server->socket_path);
}

void redis_server_start(struct redis_server *server)
{
    server->pid = fork();
    ck_assert_int_ge(server->pid, 0);
    if (server->pid == 0) {
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket_path, "--save", "",
               "--dir", server->folder, "--logfile", "redis.log", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < CONNECTS_MAX && server->context == NULL; i++) {
        server->context = redisConnectUnix(server->socket_path);
        if (server->context != NULL && server->context->err != 0) {
            redisFree(server->context);
            server->context = NULL;
            ck_assert_msg(waitpid(server->pid, NULL, WNOHANG) == 0, "redis-server did not start");
            (void)poll(NULL, 0, 10); /* asks again until it answers */
        }
    }
    ck_assert_ptr_nonnull(server->context);
}

void redis_server_stop(struct redis_server *server)
{
    redisFree(server->context);
    server->context = NULL;
    ck_assert_int_eq(kill(server->pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(server->pid, NULL, 0), server->pid);
    (void)unlink(server->socket_path);
}

void redis_server_deinit(struct redis_server *server)
{
    char log_path[48];
    if (server->context != NULL) {
        redis_server_stop(server);
    }
    (void)snprintf(log_path, sizeof log_path, "%s/redis.log", server->folder);
    (void)unlink(log_path);
    (void)rmdir(server->folder);
}
