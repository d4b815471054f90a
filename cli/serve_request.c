#include "serve_request.h"

#include "contracts_csv.h"

#include "millrace/hash.h"
#include "millrace/versions.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct mr_error at(struct mr_field_fault *ret_fault, const char *code, const char *expected, const char *path)
{
    (void)snprintf(ret_fault->path, sizeof ret_fault->path, "%s", path);
    mr_text_clean(expected, ret_fault->expected, sizeof ret_fault->expected); /* jansson's words may be longer */
    return mr_field_fault_error(code, ret_fault);
}

void serve_request_deinit(struct serve_request *request)
{
    free(request->rows);
    *request = (struct serve_request){0};
}

/* ---- Rows ---------------------------------------------------------------------------------------------- */

struct place {
    const char *array;
    size_t row;
};

static struct mr_error at_row(struct mr_field_fault *ret_fault, const char *expected, struct place place)
{
    char path[MR_FIELD_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s[%zu]", place.array, place.row);
    return at(ret_fault, "bad_field", expected, path);
}

static struct mr_error take_number(const json_t *value, struct place place, const char *field, float *ret_number,
                                   struct mr_field_fault *ret_fault)
{
    const double number = json_is_number(value) ? json_number_value(value) : HUGE_VAL;
    if (!(number >= -(double)FLT_MAX && number <= (double)FLT_MAX)) {
        char path[MR_FIELD_PATH_SIZE];
        (void)snprintf(path, sizeof path, "%s[%zu]%s", place.array, place.row, field);
        return at(ret_fault, "bad_field", "a number that a float32 holds", path);
    }
    *ret_number = (float)number;
    return mr_ok();
}

static struct mr_error take_array(const json_t *row, struct place place, uint32_t width, float *ret_row,
                                  struct mr_field_fault *ret_fault)
{
    for (size_t i = 0; i < width; i++) {
        char field[32];
        (void)snprintf(field, sizeof field, "[%zu]", i);
        MR_TRY(take_number(json_array_get(row, i), place, field, &ret_row[i], ret_fault));
    }
    return mr_ok();
}

static struct mr_error take_object(const json_t *row, struct place place, float *ret_row,
                                   struct mr_field_fault *ret_fault)
{
    if (json_object_size(row) != MR_CONTRACT_FIELDS) {
        return at_row(ret_fault, "X0, K, T, r, d and v, and nothing else", place);
    }
    for (size_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        const char *name = mr_contract_field_text((enum mr_contract_field)i);
        char field[32];
        (void)snprintf(field, sizeof field, ".%s", name);
        MR_TRY(take_number(json_object_get(row, name), place, field, &ret_row[i], ret_fault));
    }
    return mr_ok();
}

static struct mr_error take_row(const json_t *row, struct place place, bool contracts, struct serve_request *request,
                                struct mr_field_fault *ret_fault)
{
    float *at_row_of = request->rows + place.row * request->width;
    if (contracts && json_is_object(row)) {
        return take_object(row, place, at_row_of, ret_fault);
    }
    if (!json_is_array(row) || json_array_size(row) != request->width) {
        char expected[MR_FIELD_EXPECTED_SIZE];
        (void)snprintf(expected, sizeof expected, "%u numbers", (unsigned)request->width);
        return at_row(ret_fault, expected, place);
    }
    return take_array(row, place, request->width, at_row_of, ret_fault);
}

static struct mr_error take_rows(const json_t *rows, const char *name, bool contracts, struct serve_request *request,
                                 struct mr_field_fault *ret_fault)
{
    const size_t count = json_array_size(rows); /* 0: no array */
    const size_t width = contracts ? (size_t)MR_CONTRACT_FIELDS : json_array_size(json_array_get(rows, 0));
    if (count == 0 || count > SERVE_ROWS_MAX) {
        return at(ret_fault, count > 0 ? "too_large" : "bad_field", "an array of 1 to 16384 rows", name);
    }
    if (width == 0 || width > SERVE_WIDTH_MAX) {
        return at_row(ret_fault, "1 to 4096 numbers", (struct place){name, 0});
    }
    if (count * width > SERVE_NUMBERS_MAX) {
        return at(ret_fault, "too_large", "1048576 numbers at most", name);
    }
    request->count = count;
    request->width = (uint32_t)width;
    request->rows = calloc(count * width, sizeof *request->rows);
    if (request->rows == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a request");
    }
    for (size_t i = 0; i < count; i++) {
        MR_TRY(take_row(json_array_get(rows, i), (struct place){name, i}, contracts, request, ret_fault));
    }
    return mr_ok();
}

/* ---- Versions ------------------------------------------------------------------------------------------ */

struct mr_error serve_request_version(const char *text, struct serve_request *request, struct mr_field_fault *ret_fault)
{
    struct mr_version_choice choice;
    if (strlen(text) >= sizeof request->version || !mr_version_choice_parse(text, &choice) ||
        choice.kind == MR_VERSION_HEAD) {
        return at(ret_fault, "bad_field", "a counter, or a version id", "version");
    }
    memcpy(request->version, text, strlen(text) + 1);
    return mr_ok();
}

static struct mr_error take_version(const json_t *value, struct serve_request *request,
                                    struct mr_field_fault *ret_fault)
{
    char text[SERVE_VERSION_SIZE];
    if (value == NULL) {
        return mr_ok();
    }
    if (json_is_string(value)) {
        return serve_request_version(json_string_value(value), request, ret_fault);
    }
    (void)snprintf(text, sizeof text, "%lld", json_is_integer(value) ? (long long)json_integer_value(value) : -1);
    return serve_request_version(text, request, ret_fault);
}

bool serve_names(const char *text, uint64_t counter, const char *version_id)
{
    struct mr_version_choice choice;
    return mr_version_choice_parse(text, &choice) &&
           (choice.kind == MR_VERSION_COUNTER ? choice.counter == counter : strcmp(text, version_id) == 0);
}

bool serve_if_match(const char *value, const char *version_id)
{
    const size_t size = strlen(version_id);
    if (strcmp(value, "*") == 0) {
        return true;
    }
    for (const char *quote = strchr(value, '"'); quote != NULL;) {
        const char *end = strchr(quote + 1, '"');
        if (end == NULL) {
            return false;
        }
        if ((size_t)(end - quote - 1) == size && memcmp(quote + 1, version_id, size) == 0) {
            return true;
        }
        quote = strchr(end + 1, '"');
    }
    return false;
}

/* ---- Whole requests ------------------------------------------------------------------------------------ */

static struct mr_error take_body(enum serve_path path, const json_t *body, struct serve_request *request,
                                 struct mr_field_fault *ret_fault)
{
    const bool contracts = path == SERVE_PATH_PRICE;
    const char *rows = contracts ? "contracts" : "features", *name;
    json_t *value;
    if (!json_is_object(body)) {
        return at(ret_fault, "bad_json", "an object", "");
    }
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (strcmp(name, rows) != 0 && strcmp(name, "version") != 0) {
            char path_of[MR_FIELD_PATH_SIZE];
            (void)snprintf(path_of, sizeof path_of, "%.60s", name);
            return at(ret_fault, "bad_field", contracts ? "contracts or version" : "features or version", path_of);
        }
    }
    MR_TRY(take_version(json_object_get(body, "version"), request, ret_fault));
    return take_rows(json_object_get(body, rows), rows, contracts, request, ret_fault);
}

struct mr_error serve_request_parse(enum serve_path path, struct mr_bytes body, struct serve_request *ret_request,
                                    struct mr_field_fault *ret_fault)
{
    struct serve_request request = {0};
    json_error_t fault;
    json_t *json = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, &fault);
    if (json == NULL) {
        return at(ret_fault, "bad_json", fault.text, "");
    }
    const struct mr_error error = take_body(path, json, &request, ret_fault);
    json_decref(json);
    if (mr_failed(error)) {
        serve_request_deinit(&request);
        return error;
    }
    *ret_request = request;
    return mr_ok();
}

struct mr_error serve_request_contract(const char *const values[MR_CONTRACT_FIELDS], struct serve_request *ret_request,
                                       struct mr_field_fault *ret_fault)
{
    float contract[MR_CONTRACT_FIELDS];
    for (size_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        if (values[i] == NULL || !cli_parse_float(values[i], strlen(values[i]), &contract[i])) {
            return at(ret_fault, "bad_field", "a number that a float32 holds",
                      mr_contract_field_text((enum mr_contract_field)i));
        }
    }
    ret_request->rows = malloc(sizeof contract);
    if (ret_request->rows == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a request");
    }
    memcpy(ret_request->rows, contract, sizeof contract);
    ret_request->count = 1;
    ret_request->width = MR_CONTRACT_FIELDS;
    return mr_ok();
}

enum serve_login serve_login_of(const char *authorization, const char *token)
{
    static const char scheme[] = "Bearer ";
    if (token[0] == '\0') {
        return SERVE_LOGIN_NOT_ASKED;
    }
    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) {
        return SERVE_LOGIN_MISSING;
    }
    /* Of the hashes, so that no comparison stops where the token differs. */
    const struct mr_sha256 given = mr_sha256_of(mr_bytes_of_text(authorization + sizeof scheme - 1));
    const struct mr_sha256 wanted = mr_sha256_of(mr_bytes_of_text(token));
    return mr_sha256_equal(&given, &wanted) ? SERVE_LOGIN_GOOD : SERVE_LOGIN_WRONG;
}
