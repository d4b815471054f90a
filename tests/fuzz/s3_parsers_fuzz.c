/* Any bytes that a server, a profile file or an instance's metadata may give are read, or refused by name. */
#include "s3_credentials.h"
#include "s3_xml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_list(struct mr_bytes bytes)
{
    struct mr_store_page page = {0};
    if (mr_failed(s3_xml_list(bytes, "p/", 1000, &page))) {
        MR_ASSERT(page.entries == NULL);
        return;
    }
    const char *last = "p/";
    for (size_t i = 0; i < page.count; i++) {
        MR_ASSERT(strcmp(page.entries[i].key, last) > 0);
        last = page.entries[i].key;
    }
    mr_store_page_deinit(&page);
}

static void read_header(struct mr_bytes bytes)
{
    char text[256];
    struct mr_etag etag;
    uint64_t first, last, total;
    const size_t size = bytes.size < sizeof text ? bytes.size : sizeof text - 1;
    memcpy(text, bytes.data, size);
    text[size] = '\0';
    if (s3_etag_take(text, &etag)) {
        MR_ASSERT(strpbrk(etag.text, "\r\n\" ") == NULL);
    }
    if (s3_content_range_take(text, &first, &last, &total)) {
        MR_ASSERT(last < first || last < total);
    }
    (void)(s3_decode(text) ? 1 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mr_bytes bytes = mr_bytes_of(data, size);
    char code[S3_CODE_TEXT_SIZE], id[S3_UPLOAD_ID_SIZE];
    struct mr_etag etag;
    struct s3_credentials credentials;
    int64_t expires;
    if (size == 0) {
        return 0;
    }
    read_list(bytes);
    read_header(bytes);
    s3_xml_error_code(bytes, code);
    (void)(mr_failed(s3_xml_upload_id(bytes, id)) ? 1 : 0);
    (void)(mr_failed(s3_xml_completed(bytes, &etag)) ? 1 : 0);
    (void)(s3_role_parse(bytes, &credentials, &expires) ? 1 : 0);
    const enum s3_profile found = s3_profile_find(bytes, "default", &credentials);
    MR_ASSERT(found >= S3_PROFILE_FOUND && found <= S3_PROFILE_LAST);
    return 0;
}
