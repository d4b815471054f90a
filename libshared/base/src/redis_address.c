#include "millrace/redis_address.h"

#include <string.h>

static const char unix_prefix[] = "unix:";

static struct mr_error bad_address(const char *text)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_redis", 0, "redis \"%.120s\": expected unix:/path or host:port", text);
}

static bool parse_port(const char *text, int *ret_port)
{
    int port = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || port > 65535) {
            return false;
        }
        port = port * 10 + (*c - '0');
    }
    *ret_port = port;
    return text[0] != '\0' && port >= 1 && port <= 65535;
}

static const char *last_colon(const char *text)
{
    const char *found = NULL;
    for (const char *c = text; *c != '\0'; c++) {
        found = *c == ':' ? c : found;
    }
    return found;
}

struct mr_error mr_redis_address_parse(const char *text, struct mr_redis_address *ret_address)
{
    struct mr_redis_address address = {.port = 0};
    if (strncmp(text, unix_prefix, sizeof unix_prefix - 1) == 0) {
        const char *path = text + sizeof unix_prefix - 1;
        if (path[0] != '/' || strlen(path) >= sizeof address.unix_path) {
            return bad_address(text);
        }
        memcpy(address.unix_path, path, strlen(path));
        *ret_address = address;
        return mr_ok();
    }
    const char *colon = last_colon(text);
    if (colon == NULL || colon == text || !parse_port(colon + 1, &address.port)) {
        return bad_address(text);
    }
    const char *host = text;
    size_t size = (size_t)(colon - text);
    if (host[0] == '[' && host[size - 1] == ']') {
        host += 1;
        size = size >= 2 ? size - 2 : 0;
    }
    if (size == 0 || size >= sizeof address.host) {
        return bad_address(text);
    }
    memcpy(address.host, host, size);
    *ret_address = address;
    return mr_ok();
}
