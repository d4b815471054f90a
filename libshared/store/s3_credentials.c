#define _XOPEN_SOURCE 700
#include "s3_credentials.h"

#include "s3_http.h"

#include "millrace/clock.h"

#include <jansson.h>
#include <openssl/crypto.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PATH_SIZE = 4096,
    FILE_BYTES_MAX = 256 << 10,
    REREAD_S = 60,
    RENEW_BEFORE_S = 300, /* a role's credentials, before they expire */
    ASK_AGAIN_S = 5,      /* while that does not work */
    METADATA_MS = 2000,
};

enum source { SOURCE_ENVIRONMENT = 1, SOURCE_FILE, SOURCE_ROLE };

struct s3_provider {
    enum source source;
    struct mr_clock clock;
    pthread_mutex_t lock;
    struct s3_credentials current;
    bool have;
    int64_t renew_s, expires_s; /* when to ask again; when `current` is of no use any more */
    char path[PATH_SIZE], profile[128];
    char metadata[S3_ACCESS_KEY_SIZE]; /* the origin of its server */
    struct s3_http *http;              /* of ROLE */
};

static struct mr_error bad(const char *code, const char *what, const char *name)
{
    return mr_error_make(MR_ERROR_REJECT, code, 0, "%s%.90s", what, name);
}

/* ---- Environment and file ------------------------------------------------------------------------------- */

/* False: not set. An empty variable is as good as none. */
static bool variable(const char *name, const char **ret_value)
{
    *ret_value = getenv(name);
    return *ret_value != NULL && **ret_value != '\0';
}

static struct mr_error from_environment(struct s3_credentials *credentials, bool *ret_found)
{
    const char *access_key, *secret, *token;
    const bool has_key = variable("AWS_ACCESS_KEY_ID", &access_key);
    const bool has_secret = variable("AWS_SECRET_ACCESS_KEY", &secret);
    *ret_found = has_key && has_secret;
    if (has_key != has_secret) {
        return bad("bad_credentials",
                   has_key ? "AWS_ACCESS_KEY_ID is set: set AWS_SECRET_ACCESS_KEY too"
                           : "AWS_SECRET_ACCESS_KEY is set: set AWS_ACCESS_KEY_ID too",
                   "");
    }
    if (!*ret_found) {
        return mr_ok();
    }
    const bool good =
        s3_credential_take(mr_bytes_of_text(access_key), credentials->access_key, sizeof credentials->access_key) &&
        s3_credential_take(mr_bytes_of_text(secret), credentials->secret, sizeof credentials->secret) &&
        (!variable("AWS_SESSION_TOKEN", &token) ||
         s3_credential_take(mr_bytes_of_text(token), credentials->token, sizeof credentials->token));
    return good ? mr_ok()
                : bad("bad_credentials",
                      "one of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN is too "
                      "long, or has a character that is not visible ASCII",
                      "");
}

static struct mr_error read_file(const char *path, struct mr_buffer *ret_bytes)
{
    uint8_t part[4096];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "bad_credentials", errno, "%.90s: %s", path, strerror(errno));
    }
    struct mr_error error = mr_ok();
    size_t size = 0;
    do {
        size = fread(part, 1, sizeof part, file);
        error = mr_buffer_append(ret_bytes, part, size);
    } while (!mr_failed(error) && size > 0 && ret_bytes->size <= FILE_BYTES_MAX);
    if (!mr_failed(error) && (ferror(file) != 0 || ret_bytes->size > FILE_BYTES_MAX)) {
        error = bad("bad_credentials", ferror(file) != 0 ? "cannot be read: " : "is over 256 KiB: ", path);
    }
    (void)fclose(file);
    OPENSSL_cleanse(part, sizeof part);
    return error;
}

static struct mr_error from_file(const struct s3_provider *provider, struct s3_credentials *credentials)
{
    struct mr_buffer bytes = {0};
    struct mr_error error = read_file(provider->path, &bytes);
    if (!mr_failed(error)) {
        switch (s3_profile_find(mr_buffer_view(&bytes), provider->profile, credentials)) {
        case S3_PROFILE_FOUND: break;
        case S3_PROFILE_ABSENT:
            error = mr_error_make(MR_ERROR_REJECT, "bad_credentials", 0, "%.80s has no profile [%.60s]", provider->path,
                                  provider->profile);
            break;
        case S3_PROFILE_INCOMPLETE:
            error = mr_error_make(MR_ERROR_REJECT, "bad_credentials", 0,
                                  "%.60s: profile [%.30s] lacks aws_access_key_id or aws_secret_access_key",
                                  provider->path, provider->profile);
            break;
        case S3_PROFILE_BAD:
            error = mr_error_make(MR_ERROR_REJECT, "bad_credentials", 0,
                                  "%.60s: profile [%.30s] has a value that is no credential", provider->path,
                                  provider->profile);
            break;
        }
    }
    if (bytes.data != NULL) {
        OPENSSL_cleanse(bytes.data, bytes.size);
    }
    mr_buffer_deinit(&bytes);
    return error;
}

/* *ret_found false: nobody named one, and the usual one is not there. */
static struct mr_error find_file(struct s3_provider *provider, bool *ret_found)
{
    const char *path, *profile, *home;
    const bool named = variable("AWS_SHARED_CREDENTIALS_FILE", &path), chosen = variable("AWS_PROFILE", &profile);
    const int profile_size = snprintf(provider->profile, sizeof provider->profile, "%s", chosen ? profile : "default");
    int size = 0;
    *ret_found = named || variable("HOME", &home);
    if (*ret_found) {
        size = named ? snprintf(provider->path, sizeof provider->path, "%s", path)
                     : snprintf(provider->path, sizeof provider->path, "%s/.aws/credentials", home);
    }
    if ((size_t)size >= sizeof provider->path || (size_t)profile_size >= sizeof provider->profile) {
        return bad("bad_credentials", "AWS_SHARED_CREDENTIALS_FILE or AWS_PROFILE is too long", "");
    }
    if (*ret_found && !named && !chosen) {
        FILE *file = fopen(provider->path, "re");
        *ret_found = file != NULL || errno != ENOENT;
        if (file != NULL) {
            (void)fclose(file);
        }
    }
    if (!*ret_found && chosen) {
        return bad("bad_credentials", "AWS_PROFILE is set, and there is no file for it: ", provider->path);
    }
    return mr_ok();
}

/* ---- The role of the instance --------------------------------------------------------------------------- */

static bool take_member(const json_t *object, const char *name, char *ret_text, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && s3_credential_take(mr_bytes_of_text(text), ret_text, size);
}

/* "2026-11-22T05:00:00Z" */
static bool take_time(const char *text, int64_t *ret_seconds)
{
    struct tm parts = {0};
    const char *end = text == NULL ? NULL : strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (end == NULL || *end != '\0') {
        return false;
    }
    *ret_seconds = (int64_t)timegm(&parts);
    return true;
}

bool s3_role_parse(struct mr_bytes document, struct s3_credentials *ret_credentials, int64_t *ret_expires)
{
    struct s3_credentials found = {.access_key = ""};
    int64_t expires = 0;
    json_t *object = json_loadb((const char *)document.data, document.size, JSON_REJECT_DUPLICATES, NULL);
    const bool good = take_member(object, "AccessKeyId", found.access_key, sizeof found.access_key) &&
                      take_member(object, "SecretAccessKey", found.secret, sizeof found.secret) &&
                      take_member(object, "Token", found.token, sizeof found.token) &&
                      take_time(json_string_value(json_object_get(object, "Expiration")), &expires);
    json_decref(object);
    if (good) {
        *ret_credentials = found;
        *ret_expires = expires;
    }
    OPENSSL_cleanse(&found, sizeof found);
    return good;
}

/* One request to the instance's metadata; the text is the caller's to free. */
static bool ask(struct s3_provider *provider, const char *method, const char *path, struct s3_header header,
                struct mr_buffer *ret_text)
{
    char url[512];
    struct s3_http_reply reply;
    const int size = snprintf(url, sizeof url, "%s/latest/%s", provider->metadata, path);
    if ((size_t)size >= sizeof url) {
        return false;
    }
    const struct s3_http_request request = {
        .method = method,
        .url = url,
        .headers = &header,
        .header_count = 1,
        .sends_body = strcmp(method, "PUT") == 0,
        .text_max = 64 << 10,
    };
    s3_http_exchange(provider->http, &request, &reply);
    const bool good =
        reply.exchange == S3_EXCHANGE_WHOLE && reply.status == 200 && !mr_failed(mr_buffer_append(&reply.text, "", 1));
    if (good) {
        *ret_text = reply.text;
    } else {
        s3_http_reply_deinit(&reply);
    }
    return good;
}

static bool ask_role(struct s3_provider *provider, const char *token, struct s3_credentials *credentials,
                     int64_t *ret_expires)
{
    static const char folder[] = "meta-data/iam/security-credentials/";
    const struct s3_header header = {"x-aws-ec2-metadata-token", token};
    struct mr_buffer role = {0}, document = {0};
    char path[256], encoded[160];
    bool good = ask(provider, "GET", folder, header, &role);
    if (good) {
        char *name = (char *)role.data;
        name[strcspn(name, "\r\n")] = '\0';
        good = name[0] != '\0' && s3_encode(name, false, encoded, sizeof encoded);
    }
    if (good) {
        (void)snprintf(path, sizeof path, "%s%s", folder, encoded);
        good = ask(provider, "GET", path, header, &document) &&
               s3_role_parse(mr_bytes_of(document.data, document.size - 1), credentials, ret_expires);
    }
    if (document.data != NULL) {
        OPENSSL_cleanse(document.data, document.size);
    }
    mr_buffer_deinit(&document);
    mr_buffer_deinit(&role);
    return good;
}

static struct mr_error from_role(struct s3_provider *provider, struct s3_credentials *credentials, int64_t *ret_expires)
{
    struct mr_buffer token = {0};
    char text[S3_TOKEN_SIZE];
    bool good =
        ask(provider, "PUT", "api/token", (struct s3_header){"x-aws-ec2-metadata-token-ttl-seconds", "300"}, &token);
    good = good && s3_credential_take(mr_bytes_of(token.data, token.size - 1), text, sizeof text);
    good = good && ask_role(provider, text, credentials, ret_expires);
    mr_buffer_deinit(&token);
    return good ? mr_ok()
                : mr_error_make(MR_ERROR_TRANSIENT, "unavailable", 0,
                                "the instance's metadata (%.80s) give no credentials of a role", provider->metadata);
}

static struct mr_error open_role(struct s3_provider *provider)
{
    const char *origin;
    const struct s3_http_options options = {
        .ca_file = "", .connect_ms = METADATA_MS, .idle_ms = METADATA_MS, .total_ms = METADATA_MS, .direct = true};
    const int size =
        snprintf(provider->metadata, sizeof provider->metadata, "%s",
                 variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", &origin) ? origin : "http://169.254.169.254");
    if ((size_t)size >= sizeof provider->metadata) {
        return bad("bad_credentials", "AWS_EC2_METADATA_SERVICE_ENDPOINT is too long", "");
    }
    return s3_http_open(&options, &provider->http);
}

/* ---- The provider ---------------------------------------------------------------------------------------- */

static int64_t now_s(const struct s3_provider *provider)
{
    return mr_clock_wall_ms(&provider->clock) / 1000;
}

static struct mr_error choose(struct s3_provider *provider, bool instance_metadata)
{
    bool found = false;
    provider->source = SOURCE_ENVIRONMENT;
    MR_TRY(from_environment(&provider->current, &found));
    if (found) {
        provider->renew_s = provider->expires_s = INT64_MAX;
        provider->have = true;
        return mr_ok();
    }
    provider->source = SOURCE_FILE;
    MR_TRY(find_file(provider, &found));
    if (found) {
        MR_TRY(from_file(provider, &provider->current));
        provider->renew_s = now_s(provider) + REREAD_S;
        provider->expires_s = INT64_MAX;
        provider->have = true;
        return mr_ok();
    }
    provider->source = SOURCE_ROLE;
    if (instance_metadata) {
        return open_role(provider);
    }
    return bad("no_credentials",
               "no credentials for s3://: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
               "AWS_SHARED_CREDENTIALS_FILE, or MILLRACE_S3_INSTANCE_METADATA=on",
               "");
}

struct mr_error s3_provider_open(bool instance_metadata, struct s3_provider **ret_provider)
{
    struct s3_provider *provider = calloc(1, sizeof *provider);
    if (provider == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "credentials");
    }
    provider->clock = mr_clock_system();
    MR_ASSERT(pthread_mutex_init(&provider->lock, NULL) == 0);
    const struct mr_error error = choose(provider, instance_metadata);
    if (mr_failed(error)) {
        s3_provider_close(provider);
        return error;
    }
    *ret_provider = provider;
    return mr_ok();
}

void s3_provider_close(struct s3_provider *provider)
{
    if (provider == NULL) {
        return;
    }
    s3_http_close(provider->http);
    MR_ASSERT(pthread_mutex_destroy(&provider->lock) == 0);
    OPENSSL_cleanse(provider, sizeof *provider);
    free(provider);
}

/* Under the lock. What is there stays in use while it can be. */
static struct mr_error renew_now(struct s3_provider *provider)
{
    struct s3_credentials fresh = {.access_key = ""};
    int64_t expires = INT64_MAX;
    const int64_t now = now_s(provider);
    struct mr_error error =
        provider->source == SOURCE_ROLE ? from_role(provider, &fresh, &expires) : from_file(provider, &fresh);
    if (!mr_failed(error)) {
        provider->current = fresh;
        provider->have = true;
        provider->expires_s = expires;
        provider->renew_s = provider->source == SOURCE_FILE ? now + REREAD_S : expires - RENEW_BEFORE_S;
    }
    /* Nor is one asked again and again that gives out what is about to expire. */
    provider->renew_s = provider->renew_s < now + ASK_AGAIN_S ? now + ASK_AGAIN_S : provider->renew_s;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return provider->have && now < provider->expires_s ? mr_ok() : error;
}

struct mr_error s3_provider_get(struct s3_provider *provider, bool renew, struct s3_credentials *ret_credentials)
{
    struct mr_error error = mr_ok();
    MR_ASSERT(pthread_mutex_lock(&provider->lock) == 0);
    const int64_t now = now_s(provider);
    const bool due = !provider->have || now >= provider->renew_s || now >= provider->expires_s || renew;
    if (due && provider->source != SOURCE_ENVIRONMENT) {
        error = renew_now(provider);
    }
    if (!mr_failed(error)) {
        *ret_credentials = provider->current;
    }
    MR_ASSERT(pthread_mutex_unlock(&provider->lock) == 0);
    return error;
}
