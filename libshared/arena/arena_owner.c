/* The owner over a memfd: one consumer at a time, by a Unix socket. */
#include "arena_core.h"
#include "arena_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct socket_owner {
    struct mr_arena_owner base;
    struct arena_core core;
    struct mr_arena_config config;
    struct sockaddr_un address;
    void *memory;
    uint64_t size;
    bool has_core, has_socket_file, has_thread;
    int memory_fd, lock_fd, listen_fd, connection_fd; /* -1: none */
    int epoll_fd, stop_fd;
    pthread_t thread;
};

static struct socket_owner *owner_of(struct mr_arena_owner *base)
{
    return (struct socket_owner *)(void *)base;
}

static struct mr_error failure(const char *what)
{
    return mr_error_make(MR_ERROR_FATAL, "arena_failed", errno, "%s: %s", what, strerror(errno));
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* ---- Opening ----------------------------------------------------------------------------------------- */

/* Sealed, so that no process can shrink it under another's feet; filled, so that memory is missed now and not later. */
static struct mr_error open_memory(struct socket_owner *owner)
{
    const struct mr_arena_config *config = &owner->config;
    const uint64_t data_at = arena_data_at(config->blocks), bytes = arena_page_up(config->bytes);
    owner->size = data_at + bytes;
    owner->memory_fd = memfd_create("millrace-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (owner->memory_fd < 0) {
        return failure("memfd_create");
    }
    const int missing = posix_fallocate(owner->memory_fd, 0, (off_t)owner->size);
    if (missing != 0) {
        return mr_error_make(MR_ERROR_FATAL, "no_memory", missing, "%llu bytes of shared memory for the arena: %s",
                             (unsigned long long)owner->size, strerror(missing));
    }
    if (fcntl(owner->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return failure("sealing the arena");
    }
    void *memory = mmap(NULL, (size_t)owner->size, PROT_READ | PROT_WRITE, MAP_SHARED, owner->memory_fd, 0);
    if (memory == MAP_FAILED) {
        return failure("mapping the arena");
    }
    owner->memory = memory;
    MR_TRY(arena_core_init(&owner->core, arena_region_at(memory, (uint8_t *)memory + data_at, bytes, config->blocks),
                           config));
    owner->has_core = true;
    return mr_ok();
}

static struct mr_error in_use(const char *path)
{
    return mr_error_make(MR_ERROR_REJECT, "arena_in_use", 0, "another process listens on %s", path);
}

/* The kernel drops this lock with its process, however that ends: whoever has it knows that no other owner lives. */
static struct mr_error lock_path(struct socket_owner *owner)
{
    char path[sizeof owner->address.sun_path + sizeof ".lock"] = "";
    const size_t length = strlen(owner->address.sun_path);
    memcpy(path, owner->address.sun_path, length);
    memcpy(path + length, ".lock", sizeof ".lock");
    owner->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (owner->lock_fd < 0) {
        return mr_error_make(MR_ERROR_REJECT, "bad_path", errno, "%s: %s", path, strerror(errno));
    }
    return flock(owner->lock_fd, LOCK_EX | LOCK_NB) == 0 ? mr_ok() : in_use(owner->address.sun_path);
}

/* Removes a socket file that nobody listens on, and nothing else. */
static struct mr_error clear_path(const struct socket_owner *owner)
{
    const char *path = owner->address.sun_path;
    struct stat status;
    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? mr_ok() : failure(path);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_path", 0, "%s exists, and is no socket", path);
    }
    const int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return failure("socket");
    }
    const int status_code =
        connect(probe, (const struct sockaddr *)(const void *)&owner->address, sizeof owner->address);
    const int why = errno;
    (void)close(probe);
    if (status_code == 0 || why != ECONNREFUSED) {
        return in_use(path);
    }
    return unlink(path) == 0 || errno == ENOENT ? mr_ok() : failure(path);
}

static struct mr_error watch(struct socket_owner *owner, int fd)
{
    /* Edge-triggered: the thread that waits is woken once for each change, whether or not turn has looked yet. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data = {.fd = fd}};
    return epoll_ctl(owner->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? mr_ok() : failure("epoll_ctl");
}

static struct mr_error open_socket(struct socket_owner *owner)
{
    MR_TRY(lock_path(owner));
    MR_TRY(clear_path(owner));
    owner->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (owner->listen_fd < 0) {
        return failure("socket");
    }
    if (bind(owner->listen_fd, (const struct sockaddr *)(const void *)&owner->address, sizeof owner->address) != 0) {
        return mr_error_make(MR_ERROR_REJECT, "bad_path", errno, "%s: %s", owner->address.sun_path, strerror(errno));
    }
    owner->has_socket_file = true;
    /* Before listen: nobody can have connected under a wider mode. */
    if (chmod(owner->address.sun_path, 0600) != 0 || listen(owner->listen_fd, 8) != 0) {
        return failure(owner->address.sun_path);
    }
    return mr_ok();
}

static void *watch_thread(void *self)
{
    struct socket_owner *owner = self;
    for (;;) {
        struct epoll_event event;
        const int count = epoll_wait(owner->epoll_fd, &event, 1, -1);
        if (count == 1 && event.data.fd == owner->stop_fd) {
            return NULL;
        }
        if (count == 1) {
            owner->config.wake(owner->config.wake_self);
        }
    }
}

static struct mr_error open_watch(struct socket_owner *owner)
{
    owner->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    owner->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (owner->epoll_fd < 0 || owner->stop_fd < 0) {
        return failure("epoll");
    }
    MR_TRY(watch(owner, owner->stop_fd));
    MR_TRY(watch(owner, owner->listen_fd));
    if (owner->config.wake == NULL) {
        return mr_ok();
    }
    const int refused = pthread_create(&owner->thread, NULL, watch_thread, owner);
    if (refused != 0) {
        return mr_error_make(MR_ERROR_FATAL, "arena_failed", refused, "a thread: %s", strerror(refused));
    }
    owner->has_thread = true;
    return mr_ok();
}

/* ---- Turning ----------------------------------------------------------------------------------------- */

static bool same_user(int connection)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static struct arena_greeting greeting_of(const struct socket_owner *owner, enum arena_admission admission)
{
    return (struct arena_greeting){.magic = "MRARENA",
                                   .version = ARENA_GREETING_VERSION,
                                   .admission = (uint32_t)admission,
                                   .bytes = owner->core.region.bytes,
                                   .blocks = owner->core.region.blocks};
}

static bool admit(struct socket_owner *owner, int connection)
{
    struct mr_epoch epoch;
    if (mr_failed(arena_core_admit(&owner->core, &epoch))) {
        return false;
    }
    struct arena_greeting greeting = greeting_of(owner, ARENA_ADMITTED);
    memcpy(greeting.epoch, epoch.bytes, sizeof greeting.epoch);
    if (!arena_link_send(connection, &greeting, owner->memory_fd) || mr_failed(watch(owner, connection))) {
        arena_core_depart(&owner->core);
        return false;
    }
    owner->connection_fd = connection;
    return true;
}

static void accept_one(struct socket_owner *owner, int connection, struct mr_arena_owner_turn *turn)
{
    const bool known = same_user(connection);
    if (known && owner->connection_fd < 0 && admit(owner, connection)) {
        turn->consumer_came = true;
        return;
    }
    const struct arena_greeting refusal = greeting_of(owner, known ? ARENA_REFUSED_PRESENT : ARENA_REFUSED_USER);
    (void)arena_link_send(connection, &refusal, -1); /* it sees the end in any case */
    (void)close(connection);
    turn->refused++;
}

static struct mr_arena_owner_turn owner_turn(struct mr_arena_owner *base)
{
    struct socket_owner *owner = owner_of(base);
    struct mr_arena_owner_turn turn = {.refused = 0};
    if (owner->connection_fd >= 0 && !arena_link_drain(owner->connection_fd)) {
        close_fd(&owner->connection_fd);
        arena_core_depart(&owner->core);
        turn.consumer_went = true;
    }
    for (;;) {
        const int connection = accept4(owner->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection >= 0) {
            accept_one(owner, connection, &turn);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            break; /* none waits; or out of descriptors, and the next turn tries again */
        }
    }
    arena_core_collect(&owner->core, &turn.freed, &turn.corrupt);
    return turn;
}

/* ---- The rest ---------------------------------------------------------------------------------------- */

static enum mr_arena_grant owner_allocate(struct mr_arena_owner *base, uint64_t size, struct mr_arena_block *ret_block)
{
    return arena_core_allocate(&owner_of(base)->core, size, ret_block);
}

static struct mr_error owner_publish(struct mr_arena_owner *base, const struct mr_arena_block *block, uint64_t length,
                                     struct mr_lease *ret_lease)
{
    return arena_core_publish(&owner_of(base)->core, block, length, ret_lease);
}

static void owner_withdraw(struct mr_arena_owner *base, uint32_t block, uint64_t generation)
{
    arena_core_withdraw(&owner_of(base)->core, block, generation);
}

static struct mr_arena_usage owner_usage(struct mr_arena_owner *base)
{
    return arena_core_usage(&owner_of(base)->core);
}

static void stop_thread(struct socket_owner *owner)
{
    if (owner->has_thread) {
        MR_ASSERT(eventfd_write(owner->stop_fd, 1) == 0);
        MR_ASSERT(pthread_join(owner->thread, NULL) == 0);
    }
}

/* Of a half-built owner too. */
static void owner_close(struct mr_arena_owner *base)
{
    struct socket_owner *owner = owner_of(base);
    stop_thread(owner);
    if (owner->has_socket_file) {
        (void)unlink(owner->address.sun_path); /* still ours: the lock is held */
    }
    close_fd(&owner->connection_fd);
    close_fd(&owner->listen_fd);
    close_fd(&owner->epoll_fd);
    close_fd(&owner->stop_fd);
    if (owner->has_core) {
        arena_core_deinit(&owner->core);
    }
    if (owner->memory != NULL) {
        (void)munmap(owner->memory, (size_t)owner->size);
    }
    close_fd(&owner->memory_fd);
    close_fd(&owner->lock_fd);
    free(owner);
}

static const struct mr_arena_owner_ops owner_ops = {
    .allocate = owner_allocate,
    .publish = owner_publish,
    .withdraw = owner_withdraw,
    .turn = owner_turn,
    .usage = owner_usage,
    .close = owner_close,
};

struct mr_error mr_arena_owner_open(const struct mr_arena_config *config, struct mr_arena_owner **ret_owner)
{
    struct sockaddr_un address;
    MR_TRY(arena_config_check(config));
    MR_TRY(arena_link_address(config->path, &address));
    struct socket_owner *owner = calloc(1, sizeof *owner);
    if (owner == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "an arena");
    }
    *owner = (struct socket_owner){.base = {.ops = &owner_ops},
                                   .config = *config,
                                   .address = address,
                                   .memory_fd = -1,
                                   .lock_fd = -1,
                                   .listen_fd = -1,
                                   .connection_fd = -1,
                                   .epoll_fd = -1,
                                   .stop_fd = -1};
    struct mr_error error = open_socket(owner);
    error = mr_failed(error) ? error : open_memory(owner);
    error = mr_failed(error) ? error : open_watch(owner);
    if (mr_failed(error)) {
        owner_close(&owner->base);
        return error;
    }
    *ret_owner = &owner->base;
    return mr_ok();
}
