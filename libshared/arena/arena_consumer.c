/* The consumer over a memfd: connects, and connects again, by a Unix socket. */
#include "arena_link.h"
#include "arena_mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONNECT_EVERY_MS = 100 };

enum link_state { LINK_IDLE = 1, LINK_GREETING, LINK_CONNECTED };

struct socket_mapping {
    struct mr_arena_mapping base;
    void *words, *data; /* two mappings: the data is only read */
    size_t words_size, data_size;
    int connection;
};

struct socket_consumer {
    struct mr_arena_consumer base;
    struct arena_current current;
    struct sockaddr_un address;
    enum link_state state;
    int connection; /* GREETING: ours; CONNECTED: the mapping's, which is current as long */
    bool tried;
    int64_t tried_ms;
    const char *said; /* code of the last refusal that was told */
};

static struct socket_consumer *consumer_of(struct mr_arena_consumer *base)
{
    return (struct socket_consumer *)(void *)base;
}

/* ---- Mapping ----------------------------------------------------------------------------------------- */

static void mapping_wake(struct mr_arena_mapping *base)
{
    const struct socket_mapping *mapping = (const struct socket_mapping *)(const void *)base;
    const uint8_t wake = 1;
    /* A full queue or a dead owner need no wake-up. */
    (void)send(mapping->connection, &wake, sizeof wake, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void mapping_end(struct mr_arena_mapping *base)
{
    struct socket_mapping *mapping = (struct socket_mapping *)(void *)base;
    (void)munmap(mapping->words, mapping->words_size);
    (void)munmap(mapping->data, mapping->data_size);
    (void)close(mapping->connection); /* last: the owner takes it as the end of all reading */
    free(mapping);
}

static struct mr_error bad_greeting(const char *what)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_greeting", 0, "the arena's owner %s", what);
}

static struct mr_error check_memory(int memory, const struct arena_greeting *greeting)
{
    if (greeting->bytes == 0 || greeting->bytes > ARENA_BYTES_MAX || greeting->bytes % ARENA_PAGE_BYTES != 0 ||
        greeting->blocks == 0 || greeting->blocks > ARENA_BLOCKS_MAX) {
        return bad_greeting("names an impossible size");
    }
    struct stat status;
    const int seals = memory >= 0 ? fcntl(memory, F_GET_SEALS) : -1;
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(memory, &status) != 0) {
        return bad_greeting("sent no sealed memory");
    }
    if ((uint64_t)status.st_size < arena_data_at(greeting->blocks) + greeting->bytes) {
        return bad_greeting("sent less memory than it names");
    }
    return mr_ok();
}

static struct mr_error map(int memory, const struct arena_greeting *greeting, int connection,
                           struct mr_arena_mapping **ret_mapping)
{
    MR_TRY(check_memory(memory, greeting));
    const uint64_t data_at = arena_data_at(greeting->blocks);
    struct socket_mapping *mapping = calloc(1, sizeof *mapping);
    if (mapping == NULL) {
        return mr_error_make(MR_ERROR_TRANSIENT, "out_of_memory", 0, "a mapping of the arena");
    }
    mapping->words_size = (size_t)data_at;
    mapping->data_size = (size_t)greeting->bytes;
    mapping->words = mmap(NULL, mapping->words_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    mapping->data = mmap(NULL, mapping->data_size, PROT_READ, MAP_SHARED, memory, (off_t)data_at);
    if (mapping->words == MAP_FAILED || mapping->data == MAP_FAILED) {
        const int why = errno;
        if (mapping->words != MAP_FAILED) {
            (void)munmap(mapping->words, mapping->words_size);
        }
        if (mapping->data != MAP_FAILED) {
            (void)munmap(mapping->data, mapping->data_size);
        }
        free(mapping);
        return mr_error_make(MR_ERROR_TRANSIENT, "map_failed", why, "mapping the arena: %s", strerror(why));
    }
    mapping->connection = connection;
    mapping->base.references = 1;
    mapping->base.region = arena_region_at(mapping->words, mapping->data, greeting->bytes, greeting->blocks);
    memcpy(mapping->base.epoch.bytes, greeting->epoch, MR_EPOCH_SIZE);
    mapping->base.wake = mapping_wake;
    mapping->base.end = mapping_end;
    *ret_mapping = &mapping->base;
    return mr_ok();
}

/* ---- Turning ----------------------------------------------------------------------------------------- */

static struct mr_arena_consumer_turn steady(void)
{
    return (struct mr_arena_consumer_turn){.news = MR_ARENA_CONSUMER_STEADY, .why = mr_ok()};
}

/* Told once for each reason, however often it is tried. */
static struct mr_arena_consumer_turn disconnected(struct socket_consumer *consumer, struct mr_error why)
{
    if (consumer->state == LINK_GREETING) {
        (void)close(consumer->connection);
    }
    const bool news = consumer->said == NULL || strcmp(consumer->said, why.code) != 0;
    consumer->state = LINK_IDLE;
    consumer->connection = -1;
    consumer->said = why.code;
    return news ? (struct mr_arena_consumer_turn){.news = MR_ARENA_CONSUMER_DISCONNECTED, .why = why} : steady();
}

static struct mr_error owner_gone(void)
{
    return mr_error_make(MR_ERROR_TRANSIENT, "owner_gone", 0, "the arena's owner ended the connection");
}

static struct mr_arena_consumer_turn when_idle(struct socket_consumer *consumer, int64_t now_ms)
{
    if (consumer->tried && now_ms - consumer->tried_ms < CONNECT_EVERY_MS && now_ms >= consumer->tried_ms) {
        return steady();
    }
    consumer->tried = true;
    consumer->tried_ms = now_ms;
    const int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection < 0) {
        return disconnected(consumer, mr_error_make(MR_ERROR_TRANSIENT, "no_socket", errno, "%s", strerror(errno)));
    }
    if (connect(connection, (const struct sockaddr *)(const void *)&consumer->address, sizeof consumer->address) != 0) {
        const int why = errno;
        (void)close(connection);
        return disconnected(consumer, mr_error_make(MR_ERROR_TRANSIENT, "no_owner", why, "%s: %s",
                                                    consumer->address.sun_path, strerror(why)));
    }
    consumer->connection = connection;
    consumer->state = LINK_GREETING;
    return steady();
}

static struct mr_error welcome(struct socket_consumer *consumer, const struct arena_greeting *greeting, int memory)
{
    if (memcmp(greeting->magic, "MRARENA", sizeof greeting->magic) != 0 ||
        greeting->version != ARENA_GREETING_VERSION) {
        return bad_greeting("speaks another version: build both programs from one release");
    }
    if (greeting->admission != ARENA_ADMITTED) {
        return mr_error_make(MR_ERROR_TRANSIENT,
                             greeting->admission == ARENA_REFUSED_USER ? "other_user" : "consumer_present", 0,
                             "the arena at %s is %s", consumer->address.sun_path,
                             greeting->admission == ARENA_REFUSED_USER ? "another user's" : "another consumer's");
    }
    struct mr_arena_mapping *mapping = NULL;
    MR_TRY(map(memory, greeting, consumer->connection, &mapping));
    arena_current_set(&consumer->current, mapping);
    return mr_ok();
}

static struct mr_arena_consumer_turn when_greeting(struct socket_consumer *consumer)
{
    struct arena_greeting greeting;
    int memory = -1;
    switch (arena_link_receive(consumer->connection, &greeting, &memory)) {
    case ARENA_NOT_YET: return steady();
    case ARENA_ENDED: return disconnected(consumer, owner_gone());
    case ARENA_RECEIVED: {
        const struct mr_error error = welcome(consumer, &greeting, memory);
        if (memory >= 0) {
            (void)close(memory); /* a mapping needs no descriptor */
        }
        if (mr_failed(error)) {
            return disconnected(consumer, error);
        }
        consumer->state = LINK_CONNECTED;
        consumer->said = NULL;
        return (struct mr_arena_consumer_turn){.news = MR_ARENA_CONSUMER_CONNECTED, .why = mr_ok()};
    }
    }
    mr_unreachable(__func__);
}

static struct mr_arena_consumer_turn when_connected(struct socket_consumer *consumer)
{
    if (arena_link_drain(consumer->connection)) {
        return steady();
    }
    arena_current_set(&consumer->current, NULL);
    return disconnected(consumer, owner_gone());
}

static struct mr_arena_consumer_turn consumer_turn(struct mr_arena_consumer *base, int64_t now_ms)
{
    struct socket_consumer *consumer = consumer_of(base);
    switch (consumer->state) {
    case LINK_IDLE: return when_idle(consumer, now_ms);
    case LINK_GREETING: return when_greeting(consumer);
    case LINK_CONNECTED: return when_connected(consumer);
    }
    mr_unreachable(__func__);
}

/* ---- The rest ---------------------------------------------------------------------------------------- */

static enum mr_lease_loss consumer_take(struct mr_arena_consumer *base, const struct mr_lease *lease,
                                        struct mr_leased *ret_leased)
{
    return arena_current_take(&consumer_of(base)->current, lease, ret_leased);
}

static void consumer_release(struct mr_arena_consumer *base, const struct mr_leased *leased)
{
    (void)base;
    arena_mapping_release(leased);
}

static void consumer_drop(struct mr_arena_consumer *base, const struct mr_lease *lease)
{
    arena_current_drop(&consumer_of(base)->current, lease);
}

static void consumer_reset(struct mr_arena_consumer *base)
{
    struct socket_consumer *consumer = consumer_of(base);
    if (consumer->state == LINK_CONNECTED) {
        arena_current_set(&consumer->current, NULL);
        consumer->connection = -1;
        consumer->state = LINK_IDLE;
    }
}

static void consumer_close(struct mr_arena_consumer *base)
{
    struct socket_consumer *consumer = consumer_of(base);
    if (consumer->state == LINK_GREETING) {
        (void)close(consumer->connection);
    }
    arena_current_deinit(&consumer->current);
    free(consumer);
}

static const struct mr_arena_consumer_ops consumer_ops = {
    .turn = consumer_turn,
    .take = consumer_take,
    .release = consumer_release,
    .drop = consumer_drop,
    .reset = consumer_reset,
    .close = consumer_close,
};

struct mr_error mr_arena_consumer_open(const char *path, struct mr_arena_consumer **ret_consumer)
{
    struct sockaddr_un address;
    MR_TRY(arena_link_address(path, &address));
    struct socket_consumer *consumer = calloc(1, sizeof *consumer);
    if (consumer == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "an arena's consumer");
    }
    consumer->base.ops = &consumer_ops;
    consumer->address = address;
    consumer->state = LINK_IDLE;
    consumer->connection = -1;
    arena_current_init(&consumer->current);
    *ret_consumer = &consumer->base;
    return mr_ok();
}
