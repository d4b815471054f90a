/* What a request says, from its bytes. Total over any bytes. */
#ifndef CLI_SERVE_REQUEST_H
#define CLI_SERVE_REQUEST_H

#include "serve.h"

#include "millrace/contract.h"
#include "millrace/message.h"

enum { SERVE_ROWS_MAX = 16384, SERVE_WIDTH_MAX = 4096, SERVE_NUMBERS_MAX = 1 << 20, SERVE_VERSION_SIZE = 64 };

/* Zeroed memory is a request that asks for nothing. */
struct serve_request {
    char version[SERVE_VERSION_SIZE]; /* a counter or a version id; "": any */
    float *rows;                      /* of `width` floats each */
    size_t count;
    uint32_t width;
};
void serve_request_deinit(struct serve_request *request);

/*
 * {"contracts": [[100, 95, 1, 0.02, 0.01, 0.2], {"X0": 100, "K": 95, ...}], "version": 42} of /price, and
 * {"features": [[0.5, 1], ...], "version": "v0000000042_0a1b2c3d"} of /outputs. Rows have one width. REJECT "bad_json",
 * "bad_field" or "too_large" fills the fault with the field's path; FATAL "out_of_memory". ret_request is an empty one,
 * and stays so on failure.
 */
MR_MUST_USE struct mr_error serve_request_parse(enum serve_path path, struct mr_bytes body,
                                                struct serve_request *ret_request, struct mr_field_fault *ret_fault);
/* The contract of a query string's values, by field; NULL: not given. The same errors. */
MR_MUST_USE struct mr_error serve_request_contract(const char *const values[MR_CONTRACT_FIELDS],
                                                   struct serve_request *ret_request, struct mr_field_fault *ret_fault);
/* A version that is named by text: REJECT "bad_field". */
MR_MUST_USE struct mr_error serve_request_version(const char *text, struct serve_request *request,
                                                  struct mr_field_fault *ret_fault);
/* Whether the text names it: a counter, or a version id. */
MR_MUST_USE bool serve_names(const char *text, uint64_t counter, const char *version_id);
/* Whether If-Match ("v0000000042_0a1b2c3d", a list of such, or *) holds for that version id. */
MR_MUST_USE bool serve_if_match(const char *value, const char *version_id);
/* Whether Authorization ("Bearer <token>") is right; the time that it takes says nothing of the token. */
enum serve_login serve_login_of(const char *authorization, const char *token);

#endif
