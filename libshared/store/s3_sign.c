#include "s3_sign.h"

#include "millrace/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SCOPE_SIZE = 160 };

void s3_time_text(int64_t seconds, char ret_text[S3_TIME_SIZE])
{
    const time_t when = (time_t)seconds;
    struct tm parts;
    MR_ASSERT(gmtime_r(&when, &parts) != NULL);
    MR_ASSERT(strftime(ret_text, S3_TIME_SIZE, "%Y%m%dT%H%M%SZ", &parts) == S3_TIME_SIZE - 1);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct s3_header *)a)->name, ((const struct s3_header *)b)->name);
}

/* "host;x-amz-date" */
static struct mr_error append_names(const struct s3_header *sorted, size_t count, struct mr_buffer *text)
{
    for (size_t i = 0; i < count; i++) {
        MR_TRY(mr_buffer_append_text(text, "%s%s", i > 0 ? ";" : "", sorted[i].name));
    }
    return mr_ok();
}

static struct mr_error canonical(const struct s3_to_sign *request, const struct s3_header *sorted,
                                 struct mr_buffer *text)
{
    MR_TRY(mr_buffer_append_text(text, "%s\n%s\n%s\n", request->method, request->path, request->query));
    for (size_t i = 0; i < request->header_count; i++) {
        MR_TRY(mr_buffer_append_text(text, "%s:%s\n", sorted[i].name, sorted[i].value));
    }
    MR_TRY(mr_buffer_append(text, "\n", 1));
    MR_TRY(append_names(sorted, request->header_count, text));
    return mr_buffer_append_text(text, "\n%s", request->payload_hash);
}

static void hmac(struct mr_bytes key, struct mr_bytes text, uint8_t ret_mac[MR_SHA256_SIZE])
{
    unsigned int size = 0;
    MR_ASSERT(HMAC(EVP_sha256(), key.data, (int)key.size, text.data, text.size, ret_mac, &size) != NULL);
    MR_ASSERT(size == MR_SHA256_SIZE);
}

/* The chain of keys over date, region and service. */
static void signing_key(const struct s3_to_sign *request, const char *secret, uint8_t ret_key[MR_SHA256_SIZE])
{
    char first[S3_SECRET_SIZE + 4];
    const int size = snprintf(first, sizeof first, "AWS4%s", secret);
    uint8_t mac[MR_SHA256_SIZE];
    hmac(mr_bytes_of(first, (size_t)size), mr_bytes_of(request->time, 8), mac);
    hmac(mr_bytes_of(mac, sizeof mac), mr_bytes_of_text(request->region), mac);
    hmac(mr_bytes_of(mac, sizeof mac), mr_bytes_of_text(request->service), mac);
    hmac(mr_bytes_of(mac, sizeof mac), mr_bytes_of_text("aws4_request"), ret_key);
    OPENSSL_cleanse(first, sizeof first);
    OPENSSL_cleanse(mac, sizeof mac);
}

static struct mr_error signature(const struct s3_to_sign *request, const struct s3_header *sorted, const char *scope,
                                 const char *secret, char ret_signature[MR_SHA256_TEXT_SIZE])
{
    struct mr_buffer text = {0};
    struct mr_error error = canonical(request, sorted, &text);
    if (!mr_failed(error)) {
        char hash[MR_SHA256_TEXT_SIZE], to_sign[SCOPE_SIZE + 128];
        uint8_t key[MR_SHA256_SIZE], mac[MR_SHA256_SIZE];
        const struct mr_sha256 digest = mr_sha256_of(mr_buffer_view(&text));
        mr_sha256_text(&digest, hash);
        const int size = snprintf(to_sign, sizeof to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n%s", request->time, scope, hash);
        MR_ASSERT(size > 0 && (size_t)size < sizeof to_sign);
        signing_key(request, secret, key);
        hmac(mr_bytes_of(key, sizeof key), mr_bytes_of(to_sign, (size_t)size), mac);
        OPENSSL_cleanse(key, sizeof key);
        mr_hex(mr_bytes_of(mac, sizeof mac), ret_signature);
    }
    mr_buffer_deinit(&text);
    return error;
}

struct mr_error s3_sign(const struct s3_to_sign *request, const struct s3_credentials *credentials,
                        char ret_authorization[S3_AUTHORIZATION_SIZE])
{
    struct s3_header sorted[S3_SIGNED_HEADERS_MAX];
    char scope[SCOPE_SIZE], mac[MR_SHA256_TEXT_SIZE];
    struct mr_buffer names = {0};
    MR_ASSERT(request->header_count > 0 && request->header_count <= S3_SIGNED_HEADERS_MAX);
    memcpy(sorted, request->headers, request->header_count * sizeof *sorted);
    qsort(sorted, request->header_count, sizeof *sorted, by_name);
    const int scope_size =
        snprintf(scope, sizeof scope, "%.8s/%s/%s/aws4_request", request->time, request->region, request->service);
    MR_ASSERT(scope_size > 0 && (size_t)scope_size < sizeof scope);
    struct mr_error error = signature(request, sorted, scope, credentials->secret, mac);
    if (!mr_failed(error)) {
        error = append_names(sorted, request->header_count, &names);
    }
    if (!mr_failed(error)) {
        const int size = snprintf(ret_authorization, S3_AUTHORIZATION_SIZE,
                                  "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%.*s, Signature=%s",
                                  credentials->access_key, scope, (int)names.size, (const char *)names.data, mac);
        MR_ASSERT(size > 0 && size < S3_AUTHORIZATION_SIZE);
    }
    mr_buffer_deinit(&names);
    return error;
}
