/* Uploads in parts: an object that is put without a condition and is too large for one request. */
#include "s3_internal.h"

#include "s3_xml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTS_MAX = 10000, PART_BYTES_MIN = 16 << 20, QUERY_SIZE = 3 * S3_UPLOAD_ID_SIZE + 64 };

struct upload {
    struct mr_s3_store *store;
    const char *key;
    char id[3 * S3_UPLOAD_ID_SIZE]; /* encoded */
    struct mr_buffer document;      /* of COMPLETE: the parts and their ETags */
};

static struct mr_store_result begin(struct upload *upload)
{
    const struct s3_call call = {
        .operation = S3_BEGIN_PARTS,
        .method = "POST",
        .key = upload->key,
        .query = "uploads=",
        .headers = {{"content-type", "application/octet-stream"}},
        .header_count = 1,
        .sends_body = true,
    };
    char id[S3_UPLOAD_ID_SIZE];
    struct s3_http_reply reply;
    struct mr_store_result result = s3_call(upload->store, &call, &reply);
    if (result.outcome == MR_STORE_DONE) {
        const struct mr_error error = s3_xml_upload_id(mr_buffer_view(&reply.text), id);
        if (mr_failed(error) || !s3_encode(id, false, upload->id, sizeof upload->id)) {
            result = mr_store_answer(MR_STORE_UNAVAILABLE, reply.status, "put %.80s: %s", upload->key, error.detail);
        }
    }
    s3_http_reply_deinit(&reply);
    return result;
}

static struct mr_store_result put_part(struct upload *upload, uint32_t number, struct mr_bytes body)
{
    char query[QUERY_SIZE];
    (void)snprintf(query, sizeof query, "partNumber=%" PRIu32 "&uploadId=%s", number, upload->id);
    const struct s3_call call = {
        .operation = S3_PUT_PART,
        .method = "PUT",
        .key = upload->key,
        .query = query,
        .sends_body = true,
        .body = body,
    };
    struct s3_http_reply reply;
    struct mr_store_result result = s3_call(upload->store, &call, &reply);
    if (result.outcome == MR_STORE_DONE &&
        (!reply.has_etag ||
         mr_failed(mr_buffer_append_text(&upload->document,
                                         "<Part><PartNumber>%" PRIu32 "</PartNumber><ETag>&quot;%s&quot;</ETag></Part>",
                                         number, reply.etag.text)))) {
        result = mr_store_answer(MR_STORE_UNAVAILABLE, reply.status, "put %.80s: part %" PRIu32 " has no ETag",
                                 upload->key, number);
    }
    s3_http_reply_deinit(&reply);
    return result;
}

static struct mr_store_result put_all(struct upload *upload, struct mr_bytes body)
{
    const size_t least = (body.size + PARTS_MAX - 1) / PARTS_MAX;
    const size_t most = least > PART_BYTES_MIN ? least : PART_BYTES_MIN;
    struct mr_store_result result = mr_store_answer(MR_STORE_DONE, 0, "%s", "");
    uint32_t number = 1;
    for (size_t at = 0; at < body.size && result.outcome == MR_STORE_DONE; at += most, number++) {
        const size_t size = body.size - at < most ? body.size - at : most;
        result = put_part(upload, number, mr_bytes_of(body.data + at, size));
    }
    return result;
}

static struct mr_store_result complete(struct upload *upload, uint64_t size)
{
    char query[QUERY_SIZE];
    (void)snprintf(query, sizeof query, "uploadId=%s", upload->id);
    const struct s3_call call = {
        .operation = S3_COMPLETE_PARTS,
        .method = "POST",
        .key = upload->key,
        .query = query,
        .headers = {{"content-type", "application/xml"}},
        .header_count = 1,
        .sends_body = true,
        .body = mr_buffer_view(&upload->document),
    };
    struct s3_http_reply reply;
    struct mr_store_result result = s3_call(upload->store, &call, &reply);
    if (result.outcome == MR_STORE_DONE) {
        /* Ceph's reply has no ETag: it stays empty, since what head gives may be another writer's. */
        const struct mr_error error = s3_xml_completed(mr_buffer_view(&reply.text), &result.etag);
        if (mr_failed(error)) {
            result = mr_store_answer(MR_STORE_UNKNOWN, reply.status, "put %.80s: %s", upload->key, error.detail);
        }
        result.size = size;
    }
    s3_http_reply_deinit(&reply);
    return result;
}

/* Parts that are left behind take room until the bucket's own rule removes them; nobody sees them. */
static void abandon(struct upload *upload)
{
    char query[QUERY_SIZE];
    (void)snprintf(query, sizeof query, "uploadId=%s", upload->id);
    const struct s3_call call = {.operation = S3_REMOVE, .method = "DELETE", .key = upload->key, .query = query};
    struct s3_http_reply reply;
    (void)s3_call(upload->store, &call, &reply);
    s3_http_reply_deinit(&reply);
}

struct mr_store_result s3_put_parts(struct mr_s3_store *store, const char *key, struct mr_bytes body)
{
    struct upload *upload = calloc(1, sizeof *upload);
    if (upload == NULL || mr_failed(mr_buffer_append_text(&upload->document, "<CompleteMultipartUpload>"))) {
        free(upload);
        return mr_store_answer(MR_STORE_UNAVAILABLE, 0, "put %.100s: no memory", key);
    }
    upload->store = store;
    upload->key = key;
    struct mr_store_result result = begin(upload);
    if (result.outcome == MR_STORE_DONE) {
        result = put_all(upload, body);
        if (result.outcome == MR_STORE_DONE &&
            mr_failed(mr_buffer_append_text(&upload->document, "</CompleteMultipartUpload>"))) {
            result = mr_store_answer(MR_STORE_UNAVAILABLE, 0, "put %.100s: no memory", key);
        }
        if (result.outcome == MR_STORE_DONE) {
            result = complete(upload, body.size);
        }
        if (result.outcome != MR_STORE_DONE) {
            abandon(upload);
        }
    }
    mr_buffer_deinit(&upload->document);
    free(upload);
    return result;
}
