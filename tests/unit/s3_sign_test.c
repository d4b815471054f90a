/* Signatures are those that AWS publishes: of its guide to S3, and of its test suite for Signature Version 4. */
#include "check_main.h"
#include "millrace/hash.h"
#include "s3_sign.h"

#include <stdio.h>
#include <string.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct s3_credentials guide = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
static const struct s3_credentials suite = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};

static const struct {
    const char *name;
    const struct s3_credentials *credentials;
    struct s3_to_sign request;
    struct s3_header headers[5];
    const char *signed_headers, *signature;
} vectors[] = {
    {"get object",
     &guide,
     {"GET", "/test.txt", "", NULL, 4, EMPTY, "20130524T000000Z", "us-east-1", "s3"},
     {{"host", "examplebucket.s3.amazonaws.com"},
      {"range", "bytes=0-9"},
      {"x-amz-content-sha256", EMPTY},
      {"x-amz-date", "20130524T000000Z"}},
     "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"put object",
     &guide,
     {"PUT", "/test%24file.text", "", NULL, 5, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      "20130524T000000Z", "us-east-1", "s3"},
     {{"x-amz-storage-class", "REDUCED_REDUNDANCY"}, /* in any order */
      {"x-amz-date", "20130524T000000Z"},
      {"host", "examplebucket.s3.amazonaws.com"},
      {"date", "Fri, 24 May 2013 00:00:00 GMT"},
      {"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}},
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"get bucket lifecycle",
     &guide,
     {"GET", "/", "lifecycle=", NULL, 3, EMPTY, "20130524T000000Z", "us-east-1", "s3"},
     {{"host", "examplebucket.s3.amazonaws.com"}, {"x-amz-content-sha256", EMPTY}, {"x-amz-date", "20130524T000000Z"}},
     "host;x-amz-content-sha256;x-amz-date",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"list objects",
     &guide,
     {"GET", "/", "max-keys=2&prefix=J", NULL, 3, EMPTY, "20130524T000000Z", "us-east-1", "s3"},
     {{"host", "examplebucket.s3.amazonaws.com"}, {"x-amz-content-sha256", EMPTY}, {"x-amz-date", "20130524T000000Z"}},
     "host;x-amz-content-sha256;x-amz-date",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"get-vanilla",
     &suite,
     {"GET", "/", "", NULL, 2, EMPTY, "20150830T123600Z", "us-east-1", "service"},
     {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla",
     &suite,
     {"POST", "/", "", NULL, 2, EMPTY, "20150830T123600Z", "us-east-1", "service"},
     {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
     "host;x-amz-date",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-vanilla-query-order-key-case",
     &suite,
     {"GET", "/", "Param1=value1&Param2=value2", NULL, 2, EMPTY, "20150830T123600Z", "us-east-1", "service"},
     {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
};

START_TEST(published_signatures)
{
    for (size_t i = 0; i < MR_COUNT_OF(vectors); i++) {
        struct s3_to_sign request = vectors[i].request;
        char got[S3_AUTHORIZATION_SIZE], wanted[S3_AUTHORIZATION_SIZE];
        request.headers = vectors[i].headers;
        ck_assert(!mr_failed(s3_sign(&request, vectors[i].credentials, got)));
        (void)snprintf(wanted, sizeof wanted,
                       "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, SignedHeaders=%s, Signature=%s",
                       vectors[i].credentials->access_key, request.time, request.service, vectors[i].signed_headers,
                       vectors[i].signature);
        ck_assert_msg(strcmp(got, wanted) == 0, "%s: %s", vectors[i].name, got);
    }
}
END_TEST

/* The longest of everything fits: the answer is a signature, not an assertion. */
START_TEST(longest)
{
    struct s3_credentials credentials = {.access_key = ""};
    char name[S3_SIGNED_HEADERS_MAX][40], value[64], region[64], got[S3_AUTHORIZATION_SIZE];
    struct s3_header headers[S3_SIGNED_HEADERS_MAX];
    memset(credentials.access_key, 'A', sizeof credentials.access_key - 1);
    memset(credentials.secret, 's', sizeof credentials.secret - 1);
    memset(region, 'r', sizeof region - 1);
    region[sizeof region - 1] = '\0';
    for (size_t i = 0; i < S3_SIGNED_HEADERS_MAX; i++) {
        (void)snprintf(name[i], sizeof name[i], "x-amz-a-header-with-a-long-name-%02zu", i);
        headers[i] = (struct s3_header){name[i], value};
    }
    (void)snprintf(value, sizeof value, "value");
    const struct s3_to_sign request = {"GET",  "/", "", headers, S3_SIGNED_HEADERS_MAX, EMPTY, "20150830T123600Z",
                                       region, "s3"};
    ck_assert(!mr_failed(s3_sign(&request, &credentials, got)));
    ck_assert_ptr_null(strstr(got, "ssss"));
}
END_TEST

START_TEST(times)
{
    char text[S3_TIME_SIZE];
    s3_time_text(0, text);
    ck_assert_str_eq(text, "19700101T000000Z");
    s3_time_text(1369353600, text);
    ck_assert_str_eq(text, "20130524T000000Z");
    s3_time_text(4107542399, text);
    ck_assert_str_eq(text, "21000228T235959Z");
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, published_signatures);
    tcase_add_test(tcase, longest);
    tcase_add_test(tcase, times);
}

int main(void)
{
    return check_main("s3_sign", add);
}
