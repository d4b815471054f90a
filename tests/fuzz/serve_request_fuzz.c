/* Any body and any header are read, or refused by name. */
#include "serve_request.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_body(enum serve_path path, struct mr_bytes body)
{
    struct serve_request request = {0};
    struct mr_field_fault fault;
    if (mr_failed(serve_request_parse(path, body, &request, &fault))) {
        MR_ASSERT(request.rows == NULL);
        return;
    }
    float sum = 0.0f;
    for (size_t i = 0; i < request.count * request.width; i++) {
        MR_ASSERT(isfinite(request.rows[i]));
        sum += request.rows[i];
    }
    (void)sum;
    MR_ASSERT(request.count >= 1 && request.count <= SERVE_ROWS_MAX && request.width >= 1);
    serve_request_deinit(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512];
    bool ours;
    const size_t kept = size < sizeof text ? size : sizeof text - 1;
    if (size == 0) {
        return 0;
    }
    read_body(SERVE_PATH_PRICE, mr_bytes_of(data, size));
    read_body(SERVE_PATH_OUTPUTS, mr_bytes_of(data, size));
    memcpy(text, data, kept);
    text[kept] = '\0';
    (void)(serve_if_match(text, "v0000000042_0a1b2c3d") ? 1 : 0);
    (void)(serve_names(text, 42, "v0000000042_0a1b2c3d") ? 1 : 0);
    (void)serve_login_of(text, "token");
    const enum serve_path path = serve_path_of(text, "m", &ours);
    MR_ASSERT(path >= SERVE_PATH_HEALTH && path <= SERVE_PATH_LAST);
    return 0;
}
