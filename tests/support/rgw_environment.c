#include "rgw_environment.h"

#include "millrace/hash.h"
#include "s3_environment.h"

#include <stdio.h>
#include <string.h>

static void find_server(void)
{
    static char endpoint[64], credentials[256];
    if (endpoint[0] == '\0') {
        (void)snprintf(endpoint, sizeof endpoint, "%s", getenv("MILLRACE_S3_ENDPOINT"));
        (void)snprintf(credentials, sizeof credentials, "%s", getenv("AWS_SHARED_CREDENTIALS_FILE"));
    }
    s3_environment_clear();
    ck_assert_int_eq(setenv("MILLRACE_S3_ENDPOINT", endpoint, 1), 0);
    ck_assert_int_eq(setenv("AWS_SHARED_CREDENTIALS_FILE", credentials, 1), 0);
}

void rgw_environment(char ret_uri[RGW_URI_SIZE])
{
    uint8_t bytes[8];
    char text[2 * sizeof bytes + 1];
    find_server();
    ck_assert(!mr_failed(mr_random(bytes, sizeof bytes)));
    mr_hex(mr_bytes_of(bytes, sizeof bytes), text);
    (void)snprintf(ret_uri, RGW_URI_SIZE, "s3://millrace/tests/%s", text);
}

void rgw_line(const char *name, char *ret_text, int size)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", getenv("MILLRACE_TEST_RGW"), name);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(ret_text, size, file));
    ret_text[strcspn(ret_text, "\n")] = '\0';
    (void)fclose(file);
}

uint16_t rgw_port(void)
{
    char endpoint[64];
    rgw_line("endpoint", endpoint, sizeof endpoint);
    return (uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10);
}

void rgw_use_port(uint16_t port)
{
    char endpoint[64];
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", port);
    ck_assert_int_eq(setenv("MILLRACE_S3_ENDPOINT", endpoint, 1), 0);
}
