/* Identities and keys of versions: text from numbers and hashes, and back. */
#include "millrace/versions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool mr_position_equal(const struct mr_position *a, const struct mr_position *b)
{
    return memcmp(a->log_id, b->log_id, sizeof a->log_id) == 0 && a->partition == b->partition &&
           a->offset == b->offset;
}

/* ---- Semantic versions ------------------------------------------------------------------------------- */

struct mr_semver mr_semver_genesis(void)
{
    return (struct mr_semver){1, 0, 0};
}

struct mr_semver mr_semver_bump(struct mr_semver from, enum mr_bump bump)
{
    switch (bump) {
    case MR_BUMP_PATCH: return (struct mr_semver){from.major, from.minor, from.patch + 1};
    case MR_BUMP_MINOR: return (struct mr_semver){from.major, from.minor + 1, 0};
    case MR_BUMP_MAJOR: return (struct mr_semver){from.major + 1, 0, 0};
    }
    mr_unreachable(__func__);
}

static bool same(struct mr_semver a, struct mr_semver b)
{
    return a.major == b.major && a.minor == b.minor && a.patch == b.patch;
}

bool mr_semver_follows(struct mr_semver from, struct mr_semver to)
{
    return same(mr_semver_bump(from, MR_BUMP_PATCH), to) || same(mr_semver_bump(from, MR_BUMP_MINOR), to) ||
           same(mr_semver_bump(from, MR_BUMP_MAJOR), to);
}

void mr_semver_text(struct mr_semver version, char ret_text[MR_SEMVER_SIZE])
{
    (void)snprintf(ret_text, MR_SEMVER_SIZE, "%" PRIu64 ".%" PRIu64 ".%" PRIu64, version.major, version.minor,
                   version.patch);
}

/* Decimal digits without a leading zero, below 2^63. NULL: none. */
static const char *parse_number(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (number > (INT64_MAX - 9) / 10) {
            return NULL;
        }
        number = number * 10 + (uint64_t)(*at - '0');
    }
    if (at == text || (text[0] == '0' && at - text > 1)) {
        return NULL;
    }
    *ret_number = number;
    return at;
}

bool mr_semver_parse(const char *text, struct mr_semver *ret_version)
{
    struct mr_semver version;
    const char *at = parse_number(text, &version.major);
    at = at != NULL && *at == '.' ? parse_number(at + 1, &version.minor) : NULL;
    at = at != NULL && *at == '.' ? parse_number(at + 1, &version.patch) : NULL;
    if (at == NULL || *at != '\0') {
        return false;
    }
    *ret_version = version;
    return true;
}

/* ---- Version ids --------------------------------------------------------------------------------------- */

void mr_version_id(uint64_t counter, const struct mr_sha256 *content_hash, char ret_id[MR_VERSION_ID_SIZE])
{
    char hash[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(content_hash, hash);
    (void)snprintf(ret_id, MR_VERSION_ID_SIZE, "v%010" PRIu64 "_%.8s", counter, hash);
}

bool mr_version_id_parse(const char *text, uint64_t *ret_counter)
{
    uint64_t counter = 0;
    uint8_t hash8[4];
    char again[MR_VERSION_ID_SIZE];
    struct mr_sha256 hash = {{0}};
    if (strlen(text) >= MR_VERSION_ID_SIZE || text[0] != 'v') {
        return false;
    }
    const char *digits = text + 1;
    const char *bar = strchr(digits, '_');
    if (bar == NULL || !mr_unhex(bar + 1, hash8, sizeof hash8)) {
        return false;
    }
    while (*digits == '0' && digits + 1 < bar) {
        digits++;
    }
    if (parse_number(digits, &counter) != bar) {
        return false;
    }
    memcpy(hash.bytes, hash8, sizeof hash8);
    mr_version_id(counter, &hash, again);
    if (strcmp(again, text) != 0) {
        return false;
    }
    *ret_counter = counter;
    return true;
}

bool mr_version_choice_parse(const char *text, struct mr_version_choice *ret_choice)
{
    struct mr_version_choice choice = {.kind = MR_VERSION_HEAD};
    if (strcmp(text, "head") == 0) {
        *ret_choice = choice;
        return true;
    }
    const char *end = parse_number(text, &choice.counter);
    if (end != NULL && *end == '\0') {
        choice.kind = MR_VERSION_COUNTER;
    } else if (mr_version_id_parse(text, &choice.counter)) {
        choice.kind = MR_VERSION_ID;
        choice.version_id = text;
    } else {
        return false;
    }
    *ret_choice = choice;
    return true;
}

/* ---- Keys ------------------------------------------------------------------------------------------------ */

void mr_key_head(const char *model_id, char ret_key[MR_VERSION_KEY_SIZE])
{
    (void)snprintf(ret_key, MR_VERSION_KEY_SIZE, "%s/head.json", model_id);
}

void mr_key_versions(const char *model_id, char ret_prefix[MR_VERSION_KEY_SIZE])
{
    (void)snprintf(ret_prefix, MR_VERSION_KEY_SIZE, "%s/versions/", model_id);
}

void mr_key_version(const char *model_id, const char *version_id, const char *file, char ret_key[MR_VERSION_KEY_SIZE])
{
    (void)snprintf(ret_key, MR_VERSION_KEY_SIZE, "%s/versions/%s/%s", model_id, version_id, file);
}

void mr_key_spool(const char *model_id, const struct mr_sha256 *content_hash, char ret_key[MR_VERSION_KEY_SIZE])
{
    char hash[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(content_hash, hash);
    (void)snprintf(ret_key, MR_VERSION_KEY_SIZE, "%s/spool/%s.pb", model_id, hash);
}

void mr_key_payload(const char *model_id, const struct mr_sha256 *content_hash, char ret_key[MR_VERSION_KEY_SIZE])
{
    char hash[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(content_hash, hash);
    (void)snprintf(ret_key, MR_VERSION_KEY_SIZE, "%s/payloads/%s", model_id, hash);
}

void mr_key_audits(const char *model_id, char ret_prefix[MR_VERSION_KEY_SIZE])
{
    (void)snprintf(ret_prefix, MR_VERSION_KEY_SIZE, "%s/audit/", model_id);
}

void mr_key_spools(const char *model_id, char ret_prefix[MR_VERSION_KEY_SIZE])
{
    (void)snprintf(ret_prefix, MR_VERSION_KEY_SIZE, "%s/spool/", model_id);
}

void mr_key_pins(const char *model_id, char ret_prefix[MR_VERSION_KEY_SIZE])
{
    (void)snprintf(ret_prefix, MR_VERSION_KEY_SIZE, "%s/pins/", model_id);
}

void mr_key_audit(const struct mr_audit *audit, char ret_key[MR_VERSION_KEY_SIZE])
{
    char commit[MR_SHA256_TEXT_SIZE], day[32] = "1970/01/01T00:00:00";
    int64_t rest_ms = audit->observed_ms % 1000;
    rest_ms += rest_ms < 0 ? 1000 : 0;
    const time_t seconds = (time_t)((audit->observed_ms - rest_ms) / 1000);
    struct tm parts;
    mr_sha256_text(&audit->commit_id, commit);
    if (gmtime_r(&seconds, &parts) != NULL) {
        (void)strftime(day, sizeof day, "%Y/%m/%dT%H:%M:%S", &parts);
    }
    (void)snprintf(ret_key, MR_VERSION_KEY_SIZE, "%s/audit/%s.%06" PRId64 "Z_%.8s.json", audit->model_id, day,
                   rest_ms * 1000, commit);
}
