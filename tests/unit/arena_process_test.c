/* The arena between two processes: descriptors over the socket, and kill -9 of either side. */
#include "check_main.h"
#include "millrace/arena.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 65536, BLOCKS = 8, LONGEST_MS = 20000 };

static char directory[64], path[96];

static void set_up(void)
{
    snprintf(directory, sizeof directory, "/tmp/mr-arena-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/arena", directory);
}

static void tear_down(void)
{
    char lock[128];
    snprintf(lock, sizeof lock, "%s.lock", path);
    (void)unlink(path);
    (void)unlink(lock);
    (void)rmdir(directory);
}

static struct mr_arena_config config_of_path(void)
{
    return (struct mr_arena_config){.bytes = BYTES, .blocks = BLOCKS, .path = path};
}

static struct mr_arena_owner *open_owner(void)
{
    const struct mr_arena_config config = config_of_path();
    struct mr_arena_owner *owner = NULL;
    const struct mr_error error = mr_arena_owner_open(&config, &owner);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    return owner;
}

static struct mr_arena_consumer *open_consumer(void)
{
    struct mr_arena_consumer *consumer = NULL;
    ck_assert(!mr_failed(mr_arena_consumer_open(path, &consumer)));
    return consumer;
}

static void breathe(void)
{
    const struct timespec wait = {.tv_nsec = 1000000};
    (void)nanosleep(&wait, NULL);
}

/* The consumer's clock goes 100 ms a turn, so that it tries to connect in each. */
static struct mr_arena_consumer_turn turn_until(struct mr_arena_consumer *consumer, enum mr_arena_consumer_news news)
{
    static int64_t now_ms;
    for (unsigned i = 0; i < LONGEST_MS; i++) {
        const struct mr_arena_consumer_turn turn = mr_arena_consumer_turn(consumer, now_ms += 100);
        if (turn.news == news) {
            return turn;
        }
        breathe();
    }
    ck_abort_msg("the consumer never saw news %d", news);
}

/* Both in this process: no wait is needed. */
static void connect_here(struct mr_arena_owner *owner, struct mr_arena_consumer *consumer, int64_t now_ms)
{
    ck_assert_int_eq(mr_arena_consumer_turn(consumer, now_ms).news, MR_ARENA_CONSUMER_STEADY);
    ck_assert(mr_arena_owner_turn(owner).consumer_came);
    ck_assert_int_eq(mr_arena_consumer_turn(consumer, now_ms).news, MR_ARENA_CONSUMER_CONNECTED);
}

static struct mr_lease staged(struct mr_arena_owner *owner, uint64_t size, uint8_t fill)
{
    struct mr_arena_block block;
    struct mr_lease lease;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, size, &block), MR_ARENA_GRANTED);
    memset(block.data, fill, (size_t)size);
    ck_assert(!mr_failed(mr_arena_owner_publish(owner, &block, size, &lease)));
    return lease;
}

/* A child process at the other end of a socket pair. */
struct child {
    pid_t pid;
    int pipe;
};

static struct child start(void (*body)(int pipe))
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)close(ends[0]);
        body(ends[1]);
        _exit(0);
    }
    (void)close(ends[1]);
    return (struct child){pid, ends[0]};
}

static void kill_now(struct child *child)
{
    int status = 0;
    ck_assert_int_eq(kill(child->pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)close(child->pipe);
}

/* ---- Consumers and owners that are going to die -------------------------------------------------------- */

/* Takes the lease it is sent, says so, and holds it until it dies. */
static void consumer_body(int pipe)
{
    struct mr_arena_consumer *consumer = open_consumer();
    (void)turn_until(consumer, MR_ARENA_CONSUMER_CONNECTED);
    const uint8_t connected = 1;
    struct mr_lease lease;
    struct mr_leased leased;
    if (send(pipe, &connected, 1, 0) != 1 || recv(pipe, &lease, sizeof lease, 0) != (ssize_t)sizeof lease) {
        return;
    }
    const uint8_t loss = (uint8_t)mr_arena_take(consumer, &lease, &leased);
    if (send(pipe, &loss, 1, 0) == 1) {
        (void)pause();
    }
}

/* Stages two blocks once a consumer has come, and turns until it dies. */
static void owner_body(int pipe)
{
    struct mr_arena_owner *owner = open_owner();
    for (;;) {
        if (mr_arena_owner_turn(owner).consumer_came) {
            const struct mr_lease leases[2] = {staged(owner, 5000, 0x11), staged(owner, 5000, 0x22)};
            if (send(pipe, leases, sizeof leases, 0) != (ssize_t)sizeof leases) {
                return;
            }
        }
        breathe();
    }
}

static void owner_turn_until_came(struct mr_arena_owner *owner)
{
    for (unsigned i = 0; i < LONGEST_MS; i++) {
        if (mr_arena_owner_turn(owner).consumer_came) {
            return;
        }
        breathe();
    }
    ck_abort_msg("no consumer came");
}

START_TEST(the_owner_survives_kill_9_of_its_consumer)
{
    struct mr_arena_owner *owner = open_owner();
    struct child child = start(consumer_body);
    owner_turn_until_came(owner);
    uint8_t answer = 0;
    ck_assert_int_eq(recv(child.pipe, &answer, 1, 0), 1);
    const struct mr_lease held = staged(owner, BYTES, 0x33);
    ck_assert_int_eq(send(child.pipe, &held, sizeof held, 0), (ssize_t)sizeof held);
    ck_assert_int_eq(recv(child.pipe, &answer, 1, 0), 1);
    ck_assert_int_eq(answer, MR_LEASE_HELD);
    kill_now(&child);
    const struct mr_arena_owner_turn turn = mr_arena_owner_turn(owner);
    ck_assert(turn.consumer_went);
    ck_assert(!turn.freed); /* until the next one comes */
    struct mr_arena_block block;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, 1, &block), MR_ARENA_EXHAUSTED);

    struct mr_arena_consumer *next = open_consumer();
    connect_here(owner, next, 0);
    struct mr_leased leased;
    ck_assert_int_eq(mr_arena_take(next, &held, &leased), MR_LEASE_EPOCH_PASSED);
    const struct mr_lease fresh = staged(owner, BYTES, 0x44);
    ck_assert_int_eq(mr_arena_take(next, &fresh, &leased), MR_LEASE_HELD);
    ck_assert_uint_eq(leased.bytes.data[BYTES - 1], 0x44);
    mr_arena_release(next, &leased);
    mr_arena_consumer_close(next);
    mr_arena_owner_close(owner);
}
END_TEST

START_TEST(the_consumer_survives_kill_9_of_its_owner)
{
    struct mr_arena_consumer *consumer = open_consumer();
    ck_assert_int_eq(mr_arena_consumer_turn(consumer, 0).news, MR_ARENA_CONSUMER_DISCONNECTED); /* nobody yet */
    struct child first = start(owner_body);
    (void)turn_until(consumer, MR_ARENA_CONSUMER_CONNECTED);
    struct mr_lease leases[2], later[2];
    ck_assert_int_eq(recv(first.pipe, leases, sizeof leases, 0), (ssize_t)sizeof leases);
    struct mr_leased held, leased;
    ck_assert_int_eq(mr_arena_take(consumer, &leases[0], &held), MR_LEASE_HELD);
    kill_now(&first);
    ck_assert_str_eq(turn_until(consumer, MR_ARENA_CONSUMER_DISCONNECTED).why.code, "owner_gone");
    ck_assert_int_eq(mr_arena_take(consumer, &leases[1], &leased), MR_LEASE_NOT_CONNECTED);

    struct stat status;
    ck_assert_int_eq(lstat(path, &status), 0); /* it died without clearing up: the next one replaces it */
    struct child second = start(owner_body);
    (void)turn_until(consumer, MR_ARENA_CONSUMER_CONNECTED);
    ck_assert_int_eq(recv(second.pipe, later, sizeof later, 0), (ssize_t)sizeof later);
    ck_assert_int_eq(mr_arena_take(consumer, &leases[1], &leased), MR_LEASE_EPOCH_PASSED);
    ck_assert_int_eq(mr_arena_take(consumer, &later[1], &leased), MR_LEASE_HELD);
    for (size_t i = 0; i < 5000; i++) {
        ck_assert_uint_eq(held.bytes.data[i], 0x11);
        ck_assert_uint_eq(leased.bytes.data[i], 0x22);
    }
    mr_arena_release(consumer, &held);
    mr_arena_release(consumer, &leased);
    mr_arena_consumer_close(consumer);
    kill_now(&second);
}
END_TEST

/* ---- The socket ---------------------------------------------------------------------------------------- */

START_TEST(one_path_has_one_owner)
{
    struct mr_arena_owner *owner = open_owner(), *second = NULL;
    const struct mr_arena_config config = config_of_path();
    const struct mr_error error = mr_arena_owner_open(&config, &second);
    ck_assert_str_eq(error.code, "arena_in_use");
    ck_assert_ptr_nonnull(strstr(error.detail, path));
    ck_assert_ptr_null(second);
    /* And the first is none the worse. */
    struct mr_arena_consumer *consumer = open_consumer();
    connect_here(owner, consumer, 0);
    mr_arena_consumer_close(consumer);
    mr_arena_owner_close(owner);
    struct stat status;
    ck_assert(lstat(path, &status) != 0 && errno == ENOENT);
}
END_TEST

START_TEST(only_the_owners_user_may_connect)
{
    struct mr_arena_owner *owner = open_owner();
    struct stat status;
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    mr_arena_owner_close(owner);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_left_alone)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs("mine", file), 0);
    ck_assert_int_eq(fclose(file), 0);
    const struct mr_arena_config config = config_of_path();
    struct mr_arena_owner *owner = NULL;
    ck_assert_str_eq(mr_arena_owner_open(&config, &owner).code, "bad_path");
    struct stat status;
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert_int_eq(status.st_size, 4);
}
END_TEST

START_TEST(paths_that_cannot_be_are_refused)
{
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *const bad[] = {"", longest};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        struct mr_arena_config config = config_of_path();
        config.path = bad[i];
        struct mr_arena_owner *owner = NULL;
        struct mr_arena_consumer *consumer = NULL;
        ck_assert_str_eq(mr_arena_owner_open(&config, &owner).code, "bad_path");
        ck_assert_str_eq(mr_arena_consumer_open(bad[i], &consumer).code, "bad_path");
    }
    struct mr_arena_config config = config_of_path();
    config.path = "/dev/null/arena";
    struct mr_arena_owner *owner = NULL;
    ck_assert_str_eq(mr_arena_owner_open(&config, &owner).code, "bad_path");
}
END_TEST

START_TEST(a_second_consumer_waits_for_its_turn)
{
    struct mr_arena_owner *owner = open_owner();
    struct mr_arena_consumer *first = open_consumer(), *second = open_consumer();
    connect_here(owner, first, 0);
    ck_assert_int_eq(mr_arena_consumer_turn(second, 0).news, MR_ARENA_CONSUMER_STEADY);
    const struct mr_arena_owner_turn turn = mr_arena_owner_turn(owner);
    ck_assert_uint_eq(turn.refused, 1);
    ck_assert(!turn.consumer_came);
    const struct mr_arena_consumer_turn refused = mr_arena_consumer_turn(second, 0);
    ck_assert_int_eq(refused.news, MR_ARENA_CONSUMER_DISCONNECTED);
    ck_assert_str_eq(refused.why.code, "consumer_present");
    /* The first one's lease is as good as before. */
    const struct mr_lease lease = staged(owner, 100, 1);
    struct mr_leased leased;
    ck_assert_int_eq(mr_arena_take(first, &lease, &leased), MR_LEASE_HELD);
    mr_arena_release(first, &leased);
    mr_arena_consumer_close(first);
    connect_here(owner, second, 100);
    mr_arena_consumer_close(second);
    mr_arena_owner_close(owner);
}
END_TEST

START_TEST(a_held_lease_keeps_the_connection_through_a_reset)
{
    struct mr_arena_owner *owner = open_owner();
    struct mr_arena_consumer *consumer = open_consumer();
    connect_here(owner, consumer, 0);
    const struct mr_lease lease = staged(owner, 4096, 0x55);
    struct mr_leased leased;
    ck_assert_int_eq(mr_arena_take(consumer, &lease, &leased), MR_LEASE_HELD);
    mr_arena_consumer_reset(consumer);
    ck_assert(!mr_arena_owner_turn(owner).consumer_went);
    ck_assert_uint_eq(leased.bytes.data[4095], 0x55);
    mr_arena_release(consumer, &leased);
    ck_assert(mr_arena_owner_turn(owner).consumer_went);
    connect_here(owner, consumer, 200);
    mr_arena_consumer_close(consumer);
    mr_arena_owner_close(owner);
}
END_TEST

START_TEST(an_owner_that_closes_leaves_the_held_bytes)
{
    struct mr_arena_owner *owner = open_owner();
    struct mr_arena_consumer *consumer = open_consumer();
    connect_here(owner, consumer, 0);
    const struct mr_lease lease = staged(owner, 4096, 0x66);
    struct mr_leased leased;
    ck_assert_int_eq(mr_arena_take(consumer, &lease, &leased), MR_LEASE_HELD);
    mr_arena_owner_close(owner);
    ck_assert_int_eq(mr_arena_consumer_turn(consumer, 100).news, MR_ARENA_CONSUMER_DISCONNECTED);
    ck_assert_uint_eq(leased.bytes.data[4095], 0x66);
    mr_arena_consumer_close(consumer);
    ck_assert_uint_eq(leased.bytes.data[0], 0x66);
    consumer = open_consumer();
    mr_arena_release(consumer, &leased);
    mr_arena_consumer_close(consumer);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, the_owner_survives_kill_9_of_its_consumer);
    tcase_add_test(tcase, the_consumer_survives_kill_9_of_its_owner);
    tcase_add_test(tcase, one_path_has_one_owner);
    tcase_add_test(tcase, only_the_owners_user_may_connect);
    tcase_add_test(tcase, a_file_that_is_no_socket_is_left_alone);
    tcase_add_test(tcase, paths_that_cannot_be_are_refused);
    tcase_add_test(tcase, a_second_consumer_waits_for_its_turn);
    tcase_add_test(tcase, a_held_lease_keeps_the_connection_through_a_reset);
    tcase_add_test(tcase, an_owner_that_closes_leaves_the_held_bytes);
}

int main(void)
{
    return check_main("arena_process", add);
}
