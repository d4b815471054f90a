/*
 * The documents of S3, read by expat. Each is refused as a whole if it is not what is expected: no document type, no
 * entities, nothing longer or deeper than it can be.
 */
#ifndef MR_S3_XML_H
#define MR_S3_XML_H

#include "millrace/store.h"

enum { S3_CODE_TEXT_SIZE = 64, S3_UPLOAD_ID_SIZE = 1025, S3_LIST_BYTES_MAX = 8 << 20, S3_TEXT_BYTES_MAX = 64 << 10 };

/* <Code> of <Error>; "" when the document is anything else. */
void s3_xml_error_code(struct mr_bytes document, char ret_code[S3_CODE_TEXT_SIZE]);
/* <UploadId> of <InitiateMultipartUploadResult>. */
MR_MUST_USE struct mr_error s3_xml_upload_id(struct mr_bytes document, char ret_id[S3_UPLOAD_ID_SIZE]);
/* <CompleteMultipartUploadResult>, with its ETag if it has one; *ret_etag is empty otherwise. */
MR_MUST_USE struct mr_error s3_xml_completed(struct mr_bytes document, struct mr_etag *ret_etag);
/* <ListBucketResult>: its keys as they are in the bucket, in strictly ascending order behind `after`, at most `limit`.
 * TRANSIENT "bad_reply" otherwise; ret_page is then untouched. */
MR_MUST_USE struct mr_error s3_xml_list(struct mr_bytes document, const char *after, uint32_t limit,
                                        struct mr_store_page *ret_page);

#endif
