#include "s3_settings.h"

#include "s3_text.h"

#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
#define ROW(option, field, kind_, fallback_, min_, max_, choices_, help_)                                      \
    {                                                                                                          \
        .name = "s3-" option, .kind = (kind_), .offset = offsetof(struct s3_settings, field),                  \
        .fallback = (fallback_), .min = (min_), .max = (max_), .choices = (choices_), .help = (help_)          \
    }
#define TEXT(option, field, help) ROW(option, field, MR_OPTION_TEXT, "", 0, 0, NULL, help)
#define COUNT(option, field, fallback, min, max, help) \
    ROW(option, field, MR_OPTION_COUNT, fallback, min, max, NULL, help)
#define CHOICE(option, field, fallback, choices, help) \
    ROW(option, field, MR_OPTION_CHOICE, fallback, 0, 0, choices, help)
/* clang-format on */

static const struct mr_option rows[] = {
    TEXT("endpoint", endpoint, "http://host[:port] or https://host[:port]; none: AWS, in the region."),
    TEXT("region", region, "Region to sign for; none: AWS_REGION, else AWS_DEFAULT_REGION, else us-east-1."),
    CHOICE("style", style, "auto", "auto|path|virtual",
           "Where the bucket's name goes: into the path or the host; auto: path with an endpoint, virtual on AWS."),
    TEXT("ca-file", ca_file, "Certificates (PEM) of the authorities to trust, instead of the system's."),
    COUNT("connect-timeout-ms", connect_timeout_ms, "5000", 10, 600000, "To connect, TLS included."),
    COUNT("idle-timeout-ms", idle_timeout_ms, "20000", 1000, 600000, "Without a byte in either direction."),
    COUNT("timeout-ms", timeout_ms, "30000", 100, 3600000, "For one request, plus a second for each MiB of body."),
    COUNT("attempts", attempts, "3", 1, 10,
          "Of a request that may be repeated: one that reads, or that certainly did nothing."),
    COUNT("multipart-bytes", multipart_bytes, "67108864", 5242880, 5368709120,
          "An object above this that is put without a condition is sent in parts."),
    CHOICE("instance-metadata", instance_metadata, "off", "off|on",
           "Credentials of the instance's role (IMDSv2), where neither environment nor profile has some."),
};
const struct mr_option_table mr_store_s3_settings = {
    "S3 stores", "For every program with --store=s3://bucket/prefix; operate.md says where credentials come from.",
    rows, MR_COUNT_OF(rows)};

static struct mr_error bad_setting(const char *what, const char *value)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_setting", 0, "%s, not \"%.60s\"", what, value);
}

static struct mr_error take_uri(const char *uri, struct s3_settings *settings)
{
    static const char scheme[] = "s3://";
    const char *bucket = uri + sizeof scheme - 1;
    const size_t bucket_size = strcspn(bucket, "/");
    const char *prefix = bucket + bucket_size + (bucket[bucket_size] == '/' ? 1 : 0);
    size_t prefix_size = strlen(prefix);
    if (!s3_bucket_valid(bucket, bucket_size)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_uri", 0,
                             "store \"%.80s\": expected s3://bucket/prefix, the bucket 3 to 63 of a-z 0-9 . -", uri);
    }
    memcpy(settings->bucket, bucket, bucket_size);
    settings->bucket[bucket_size] = '\0';
    prefix_size -= prefix_size > 0 && prefix[prefix_size - 1] == '/' ? 1 : 0;
    settings->prefix[0] = '\0';
    if (prefix_size == 0) {
        return prefix[0] == '\0' ? mr_ok() : bad_setting("expected s3://bucket/prefix", uri);
    }
    if (prefix_size < sizeof settings->prefix - 1) {
        memcpy(settings->prefix, prefix, prefix_size);
        settings->prefix[prefix_size] = '\0';
    }
    if (!mr_store_key_valid(settings->prefix)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_uri", 0,
                             "store \"%.80s\": its prefix is no key: parts of A-Z a-z 0-9 . _ : - between '/'", uri);
    }
    memcpy(settings->prefix + prefix_size, "/", 2);
    return mr_ok();
}

/* A part of the endpoint, or NULL; the caller frees it by curl_free. */
static char *part_of(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    return curl_url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool is_plain(const char *scheme, const char *path, CURLU *url)
{
    static const CURLUPart unwanted[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT};
    bool plain = scheme != NULL && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) && path != NULL &&
                 strcmp(path, "/") == 0;
    for (size_t i = 0; i < MR_COUNT_OF(unwanted); i++) {
        char *text = part_of(url, unwanted[i]);
        plain = plain && text == NULL;
        curl_free(text);
    }
    return plain;
}

/* "https", "host", "port" or NULL. */
static bool join_host(struct s3_settings *settings, const char *scheme, const char *host, const char *port)
{
    const char *own = strcmp(scheme, "https") == 0 ? "443" : "80";
    const bool named = port != NULL && strcmp(port, own) != 0;
    const int size =
        snprintf(settings->host, sizeof settings->host, "%s%s%s%s%s", settings->in_path ? "" : settings->bucket,
                 settings->in_path ? "" : ".", host, named ? ":" : "", named ? port : "");
    if (size <= 0 || (size_t)size >= sizeof settings->host) {
        return false;
    }
    (void)snprintf(settings->origin, sizeof settings->origin, "%s://%s", scheme, settings->host);
    return true;
}

static struct mr_error take_endpoint(struct s3_settings *settings)
{
    char of_region[S3_HOST_SIZE];
    (void)snprintf(of_region, sizeof of_region, "https://s3.%s.amazonaws.com", settings->region);
    const char *endpoint = settings->endpoint[0] == '\0' ? of_region : settings->endpoint;
    CURLU *url = curl_url();
    bool good = url != NULL && curl_url_set(url, CURLUPART_URL, endpoint, 0) == CURLUE_OK;
    char *scheme = good ? part_of(url, CURLUPART_SCHEME) : NULL, *host = good ? part_of(url, CURLUPART_HOST) : NULL;
    char *port = good ? part_of(url, CURLUPART_PORT) : NULL, *path = good ? part_of(url, CURLUPART_PATH) : NULL;
    good = good && strstr(endpoint, "://") != NULL && host != NULL && is_plain(scheme, path, url) &&
           join_host(settings, scheme, host, port);
    const bool dotted =
        good && strcmp(scheme, "https") == 0 && !settings->in_path && strchr(settings->bucket, '.') != NULL;
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_url_cleanup(url);
    if (!good) { /* without the value: there may be a password in it */
        return mr_error_make(MR_ERROR_REJECT, "bad_setting", 0,
                             "MILLRACE_S3_ENDPOINT: expected http://host[:port] or https://host[:port], and no more");
    }
    return dotted ? bad_setting("MILLRACE_S3_STYLE: no certificate fits a bucket with dots in the host: use path",
                                settings->style)
                  : mr_ok();
}

static struct mr_error take_region(struct s3_settings *settings)
{
    static const char *const variables[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
    for (size_t i = 0; i < MR_COUNT_OF(variables) && settings->region[0] == '\0'; i++) {
        const char *value = getenv(variables[i]);
        settings->region = value == NULL ? "" : value;
    }
    if (settings->region[0] == '\0') {
        settings->region = "us-east-1";
    }
    const size_t size = strspn(settings->region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return size > 63 || settings->region[size] != '\0'
               ? bad_setting("MILLRACE_S3_REGION: expected a name like us-east-1", settings->region)
               : mr_ok();
}

struct mr_error s3_settings_load(const char *uri, struct s3_settings *ret_settings)
{
    struct s3_settings settings = {0};
    MR_TRY(mr_config_environment(&mr_store_s3_settings, &settings));
    MR_TRY(take_uri(uri, &settings));
    MR_TRY(take_region(&settings));
    settings.in_path =
        strcmp(settings.style, "path") == 0 || (strcmp(settings.style, "auto") == 0 && settings.endpoint[0] != '\0');
    MR_TRY(take_endpoint(&settings));
    if (settings.ca_file[0] != '\0' && access(settings.ca_file, R_OK) != 0) {
        return bad_setting("MILLRACE_S3_CA_FILE: expected a file that can be read", settings.ca_file);
    }
    *ret_settings = settings;
    return mr_ok();
}
