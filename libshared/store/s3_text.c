#include "s3_text.h"

#include <string.h>

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool s3_encode(const char *text, bool keep_slashes, char *ret_text, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t used = 0;
    for (const char *c = text; *c != '\0'; c++) {
        const unsigned char byte = (unsigned char)*c;
        const bool plain = is_letter(*c) || is_digit(*c) || *c == '-' || *c == '.' || *c == '_' || *c == '~' ||
                           (*c == '/' && keep_slashes);
        if (used + (plain ? 1 : 3) >= size) {
            return false;
        }
        if (plain) {
            ret_text[used++] = *c;
            continue;
        }
        ret_text[used++] = '%';
        ret_text[used++] = digits[byte >> 4];
        ret_text[used++] = digits[byte & 15];
    }
    if (used >= size) {
        return false;
    }
    ret_text[used] = '\0';
    return true;
}

static int hex_value(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool s3_decode(char *text)
{
    char *out = text;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c != '%') {
            *out++ = *c == '+' ? ' ' : *c;
            continue;
        }
        const int high = hex_value(c[1]);
        const int low = high < 0 ? -1 : hex_value(c[2]);
        if (low < 0 || high * 16 + low == 0) {
            return false;
        }
        *out++ = (char)(high * 16 + low);
        c += 2;
    }
    *out = '\0';
    return true;
}

bool s3_etag_take(const char *header, struct mr_etag *ret_etag)
{
    if (header[0] == 'W' && header[1] == '/') {
        header += 2;
    }
    size_t size = strlen(header);
    if (size >= 2 && header[0] == '"' && header[size - 1] == '"') {
        header++;
        size -= 2;
    }
    if (size == 0 || size >= MR_ETAG_SIZE) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (header[i] <= ' ' || header[i] > '~' || header[i] == '"' || header[i] == '<' || header[i] == '&') {
            return false;
        }
    }
    memset(ret_etag, 0, sizeof *ret_etag);
    memcpy(ret_etag->text, header, size);
    return true;
}

static bool take_number(const char **at, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (!is_digit(**at)) {
        return false;
    }
    for (; is_digit(**at); (*at)++) {
        const uint64_t digit = (uint64_t)(**at - '0');
        if (number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

bool s3_content_range_take(const char *header, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_total)
{
    static const char unit[] = "bytes ";
    uint64_t first = 1, last = 0, total = 0;
    if (strncmp(header, unit, sizeof unit - 1) != 0) {
        return false;
    }
    const char *at = header + sizeof unit - 1;
    if (*at == '*') {
        at++;
    } else if (!take_number(&at, &first) || *at++ != '-' || !take_number(&at, &last) || last < first) {
        return false;
    }
    if (*at++ != '/' || !take_number(&at, &total) || *at != '\0' || (last >= first && last >= total)) {
        return false;
    }
    *ret_first = first;
    *ret_last = last;
    *ret_total = total;
    return true;
}

bool s3_bucket_valid(const char *name, size_t size)
{
    if (size < 3 || size > 63 || name[0] == '-' || name[0] == '.' || name[size - 1] == '-' || name[size - 1] == '.') {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!(name[i] >= 'a' && name[i] <= 'z') && !is_digit(name[i]) && name[i] != '-' &&
            (name[i] != '.' || name[i - 1] == '.')) {
            return false;
        }
    }
    return true;
}

bool s3_credential_take(struct mr_bytes value, char *ret_text, size_t size)
{
    if (value.size == 0 || value.size >= size) {
        return false;
    }
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] <= ' ' || value.data[i] > '~') {
            return false;
        }
    }
    memcpy(ret_text, value.data, value.size);
    ret_text[value.size] = '\0';
    return true;
}

/* ---- Profile files ------------------------------------------------------------------------------------ */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct mr_bytes trimmed(struct mr_bytes text)
{
    while (text.size > 0 && is_space(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && is_space(text.data[text.size - 1])) {
        text.size--;
    }
    return text;
}

static struct mr_bytes take_line(struct mr_bytes *rest)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '\n', rest->size);
    const struct mr_bytes line = {rest->data, end == NULL ? rest->size : (size_t)(end - rest->data)};
    const size_t taken = line.size + (end == NULL ? 0 : 1);
    *rest = (struct mr_bytes){taken == 0 ? rest->data : rest->data + taken, rest->size - taken};
    return line;
}

static bool is_text(struct mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0);
}

static bool is_section(struct mr_bytes line, const char *name)
{
    return line.size >= 2 && line.data[line.size - 1] == ']' &&
           is_text(trimmed((struct mr_bytes){line.data + 1, line.size - 2}), name);
}

/* False: the line gives a credential that is none. Lines that give something else are let pass. */
static bool take_setting(struct mr_bytes line, struct s3_credentials *credentials)
{
    const uint8_t *equals = memchr(line.data, '=', line.size);
    if (equals == NULL) {
        return true;
    }
    const size_t at = (size_t)(equals - line.data);
    const struct mr_bytes name = trimmed((struct mr_bytes){line.data, at});
    const struct mr_bytes value = trimmed((struct mr_bytes){equals + 1, line.size - at - 1});
    if (is_text(name, "aws_access_key_id")) {
        return s3_credential_take(value, credentials->access_key, sizeof credentials->access_key);
    }
    if (is_text(name, "aws_secret_access_key")) {
        return s3_credential_take(value, credentials->secret, sizeof credentials->secret);
    }
    if (is_text(name, "aws_session_token") && value.size > 0) {
        return s3_credential_take(value, credentials->token, sizeof credentials->token);
    }
    return true;
}

enum s3_profile s3_profile_find(struct mr_bytes file, const char *name, struct s3_credentials *ret_credentials)
{
    struct s3_credentials found = {.access_key = ""};
    bool inside = false, seen = false;
    while (file.size > 0) {
        const struct mr_bytes raw = take_line(&file);
        const struct mr_bytes line = trimmed(raw);
        if (line.size == 0 || line.data[0] == '#' || line.data[0] == ';') {
            continue;
        }
        if (line.data[0] == '[') {
            inside = is_section(line, name);
            seen = seen || inside;
        } else if (inside && !is_space(raw.data[0]) && !take_setting(line, &found)) { /* indented: a nested one */
            return S3_PROFILE_BAD;
        }
    }
    if (!seen) {
        return S3_PROFILE_ABSENT;
    }
    if (found.access_key[0] == '\0' || found.secret[0] == '\0') {
        return S3_PROFILE_INCOMPLETE;
    }
    *ret_credentials = found;
    return S3_PROFILE_FOUND;
}
