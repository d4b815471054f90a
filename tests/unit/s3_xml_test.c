/* S3's documents: what is read of good ones, and that bad ones are refused as a whole. */
#include "check_main.h"
#include "prng.h"
#include "s3_xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NAMESPACE " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static const char list[] =
    XML "<ListBucketResult" NAMESPACE "><Name>b</Name><Prefix>p%2F</Prefix><EncodingType>url</EncodingType>"
        "<MaxKeys>3</MaxKeys><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated>"
        "<Contents><Key>p%2Fa+b</Key><LastModified>2026-11-22T05:00:00.000Z</LastModified>"
        "<ETag>&quot;5d41402abc4b2a76b9719d911017c592&quot;</ETag><Size>5</Size>"
        "<Owner><ID>x</ID><DisplayName>y</DisplayName></Owner></Contents>"
        "<Contents><Key>p/c%3A</Key><ETag>\"e-2\"</ETag><Size>18446744073709551600</Size></Contents>"
        "<NextContinuationToken>t</NextContinuationToken></ListBucketResult>";

static struct mr_error read_list(const char *text, const char *after, uint32_t limit, struct mr_store_page *page)
{
    return s3_xml_list(mr_bytes_of_text(text), after, limit, page);
}

START_TEST(lists)
{
    struct mr_store_page page = {0};
    ck_assert(!mr_failed(read_list(list, "p/", 3, &page)));
    ck_assert_uint_eq(page.count, 2);
    ck_assert(page.more);
    ck_assert_str_eq(page.entries[0].key, "p/a b");
    ck_assert_str_eq(page.entries[0].etag.text, "5d41402abc4b2a76b9719d911017c592");
    ck_assert_uint_eq(page.entries[0].size, 5);
    ck_assert_str_eq(page.entries[1].key, "p/c:");
    ck_assert_str_eq(page.entries[1].etag.text, "e-2");
    mr_store_page_deinit(&page);
    ck_assert(!mr_failed(
        read_list("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", "", 1000, &page)));
    ck_assert_uint_eq(page.count, 0);
    ck_assert(!page.more);
    mr_store_page_deinit(&page);
}
END_TEST

#define ENTRY(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"
#define LIST(entries, truncated) \
    "<ListBucketResult>" entries "<IsTruncated>" truncated "</IsTruncated></ListBucketResult>"

static const char *const bad_lists[] = {
    "",
    "not XML",
    "<ListBucketResult/>", /* does not say whether there is more */
    "<Error><Code>NoSuchBucket</Code></Error>",
    "<Other><IsTruncated>false</IsTruncated></Other>",
    LIST(ENTRY("a"), "perhaps"),
    LIST("", "true"), /* more, behind nothing */
    LIST(ENTRY("b") ENTRY("a"), "false"),
    LIST(ENTRY("a") ENTRY("a"), "false"),
    LIST(ENTRY("A"), "false"), /* not behind "Z" */
    LIST(ENTRY(""), "false"),
    LIST("<Contents><Key>a</Key></Contents>", "false"),
    LIST("<Contents><Size>1</Size></Contents>", "false"),
    LIST("<Contents><Key>a</Key><Size>-1</Size></Contents>", "false"),
    LIST("<Contents><Key>a</Key><Size>99999999999999999999</Size></Contents>", "false"),
    LIST("<Contents><Key>a</Key><Size>1</Size><ETag>a b</ETag></Contents>", "false"),
    LIST(ENTRY("a") ENTRY("b") ENTRY("c"), "false"), /* more than were asked for */
    LIST("<EncodingType>url</EncodingType>" ENTRY("a%00b"), "false"),
    LIST("<EncodingType>other</EncodingType>" ENTRY("a"), "false"),
    "<!DOCTYPE ListBucketResult [<!ENTITY a \"x\">]>" LIST(ENTRY("&a;"), "false"),
    "<!DOCTYPE ListBucketResult>" LIST(ENTRY("a"), "false"),
    LIST(ENTRY("a"), "false") "<more/>",
    LIST("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></"
         "a></a>",
         "false"),
};

START_TEST(bad_lists_are_refused)
{
    for (size_t i = 0; i < MR_COUNT_OF(bad_lists); i++) {
        struct mr_store_page page = {.count = 77};
        const char *after = i == 9 ? "Z" : "";
        const struct mr_error error = read_list(bad_lists[i], after, 2, &page);
        ck_assert_msg(error.kind == MR_ERROR_TRANSIENT, "%zu: %s", i, bad_lists[i]);
        ck_assert_str_eq(error.code, "bad_reply");
        ck_assert_uint_eq(page.count, 77);
    }
}
END_TEST

/* A key of 1,024 bytes can be three times as long when it is encoded; the longest that XML can hold is refused. */
START_TEST(long_keys)
{
    struct mr_store_page page = {0};
    struct mr_buffer text = {0};
    ck_assert(!mr_failed(mr_buffer_append_text(
        &text, "<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Contents><Key>")));
    for (int i = 0; i < 1024; i++) {
        ck_assert(!mr_failed(mr_buffer_append_text(&text, "%%3A")));
    }
    const size_t good = text.size;
    ck_assert(!mr_failed(mr_buffer_append_text(&text, "</Key><Size>0</Size></Contents></ListBucketResult>")));
    ck_assert(!mr_failed(s3_xml_list(mr_buffer_view(&text), "", 1, &page)));
    ck_assert_uint_eq(strlen(page.entries[0].key), 1024);
    mr_store_page_deinit(&page);
    text.size = good;
    for (int i = 0; i < 2000; i++) {
        ck_assert(!mr_failed(mr_buffer_append_text(&text, "x")));
    }
    ck_assert(!mr_failed(mr_buffer_append_text(&text, "</Key><Size>0</Size></Contents></ListBucketResult>")));
    ck_assert(mr_failed(s3_xml_list(mr_buffer_view(&text), "", 1, &page)));
    mr_buffer_deinit(&text);
}
END_TEST

START_TEST(error_codes)
{
    static const struct {
        const char *text, *code;
    } cases[] = {
        {XML "<Error><Code>NoSuchKey</Code><Message>m</Message><Key>k</Key></Error>", "NoSuchKey"},
        {"<Error" NAMESPACE "><Resource>r</Resource><Code>SlowDown</Code></Error>", "SlowDown"},
        {"  \n<Error><Code>InternalError</Code></Error>", "InternalError"},
        {"<Error><Inner><Code>NoSuchKey</Code></Inner></Error>", ""},
        {"<html><Code>NoSuchKey</Code></html>", ""},
        {"<Error><Code>NoSuchKey</Code>", ""},
        {"<Error><Code>has space</Code></Error>", ""},
        {"<Error><Code>line&#10;break</Code></Error>", ""},
        {"<Error><Code>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</Code></Error>", ""},
        {"", ""},
    };
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        char code[S3_CODE_TEXT_SIZE];
        s3_xml_error_code(mr_bytes_of_text(cases[i].text), code);
        ck_assert_msg(strcmp(code, cases[i].code) == 0, "%zu: \"%s\"", i, code);
    }
}
END_TEST

START_TEST(uploads)
{
    char id[S3_UPLOAD_ID_SIZE];
    struct mr_etag etag;
    ck_assert(!mr_failed(s3_xml_upload_id(
        mr_bytes_of_text(XML "<InitiateMultipartUploadResult" NAMESPACE
                             "><Bucket>b</Bucket><UploadId>2~a/b</UploadId></InitiateMultipartUploadResult>"),
        id)));
    ck_assert_str_eq(id, "2~a/b");
    ck_assert(mr_failed(
        s3_xml_upload_id(mr_bytes_of_text("<InitiateMultipartUploadResult></InitiateMultipartUploadResult>"), id)));
    ck_assert(mr_failed(s3_xml_upload_id(mr_bytes_of_text("<Error><UploadId>x</UploadId></Error>"), id)));
    ck_assert_str_eq(id, "2~a/b");
    ck_assert(!mr_failed(s3_xml_completed(
        mr_bytes_of_text("<CompleteMultipartUploadResult><ETag>&quot;a-2&quot;</ETag></CompleteMultipartUploadResult>"),
        &etag)));
    ck_assert_str_eq(etag.text, "a-2");
    ck_assert(
        !mr_failed(s3_xml_completed(/* Ceph */
                                    mr_bytes_of_text(
                                        "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>"),
                                    &etag)));
    ck_assert_str_eq(etag.text, "");
    ck_assert(mr_failed(s3_xml_completed(mr_bytes_of_text("<Error><Code>InternalError</Code></Error>"), &etag)));
}
END_TEST

/* Whatever a server sends, the answer is a page in order or a refusal. */
START_TEST(any_document)
{
    struct prng prng = {.state = 5};
    for (int round = 0; round < 20000; round++) {
        char text[sizeof list];
        struct mr_store_page page = {0};
        char code[S3_CODE_TEXT_SIZE];
        memcpy(text, list, sizeof list);
        for (uint64_t flips = prng_below(&prng, 4); flips > 0; flips--) {
            text[prng_below(&prng, sizeof list)] = (char)prng_below(&prng, 256);
        }
        const struct mr_bytes document =
            mr_bytes_of(text, prng_below(&prng, 3) == 0 ? prng_below(&prng, sizeof list) : sizeof list - 1);
        if (!mr_failed(s3_xml_list(document, "p/", 3, &page))) {
            ck_assert_uint_le(page.count, 3);
            for (size_t i = 0; i < page.count; i++) {
                ck_assert_str_gt(page.entries[i].key, i == 0 ? "p/" : page.entries[i - 1].key);
            }
            mr_store_page_deinit(&page);
        }
        s3_xml_error_code(document, code);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, lists);
    tcase_add_test(tcase, bad_lists_are_refused);
    tcase_add_test(tcase, long_keys);
    tcase_add_test(tcase, error_codes);
    tcase_add_test(tcase, uploads);
    tcase_add_test(tcase, any_document);
}

int main(void)
{
    return check_main("s3_xml", add);
}
