/* Requests from their bytes: what is taken, and where a bad one is wrong. */
#include "check_main.h"
#include "serve_request.h"

#include <string.h>

static struct mr_field_fault fault;

static struct mr_error parse(enum serve_path path, const char *text, struct serve_request *request)
{
    fault = (struct mr_field_fault){.path = "untouched"};
    return serve_request_parse(path, mr_bytes_of_text(text), request, &fault);
}

START_TEST(contracts_in_both_shapes)
{
    struct serve_request request = {0};
    const struct mr_error error =
        parse(SERVE_PATH_PRICE,
              "{\"contracts\": [[100, 95, 1, 0.02, 0.01, 0.2],"
              " {\"v\": 0.3, \"X0\": 90, \"K\": 80, \"T\": 2, \"r\": 0, \"d\": 1e-3}], \"version\": 42}",
              &request);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    const float expected[] = {100, 95, 1, 0.02f, 0.01f, 0.2f, 90, 80, 2, 0, 1e-3f, 0.3f};
    ck_assert_uint_eq(request.count, 2);
    ck_assert_uint_eq(request.width, 6);
    ck_assert_int_eq(memcmp(request.rows, expected, sizeof expected), 0);
    ck_assert_str_eq(request.version, "42");
    serve_request_deinit(&request);
}
END_TEST

START_TEST(features_have_any_one_width)
{
    struct serve_request request = {0};
    ck_assert(
        !mr_failed(parse(SERVE_PATH_OUTPUTS,
                         "{\"features\": [[1, 2, 3], [4, 5, 6]], \"version\": \"v0000000042_0a1b2c3d\"}", &request)));
    ck_assert_uint_eq(request.count, 2);
    ck_assert_uint_eq(request.width, 3);
    ck_assert_float_eq(request.rows[5], 6);
    ck_assert_str_eq(request.version, "v0000000042_0a1b2c3d");
    serve_request_deinit(&request);
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
    static const struct {
        enum serve_path path;
        const char *text, *field, *code;
    } rows[] = {
        {SERVE_PATH_PRICE, "", "", "bad_json"},
        {SERVE_PATH_PRICE, "[]", "", "bad_json"},
        {SERVE_PATH_PRICE, "{\"contracts\": 1, \"contracts\": 2}", "", "bad_json"},
        {SERVE_PATH_PRICE, "{}", "contracts", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": []}", "contracts", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": {}}", "contracts", "bad_field"},
        {SERVE_PATH_PRICE, "{\"features\": [[1]]}", "features", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [[1,2,3,4,5]]}", "contracts[0]", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [[1,2,3,4,5,6],7]}", "contracts[1]", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [[1,2,3,4,5,\"6\"]]}", "contracts[0][5]", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [[1,2,3,4,5,1e39]]}", "contracts[0][5]", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [{\"X0\":1,\"K\":1,\"T\":1,\"r\":1,\"d\":1,\"vol\":1}]}", "contracts[0].v",
         "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [{\"X0\":1}]}", "contracts[0]", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [[1,2,3,4,5,6]], \"version\": -1}", "version", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [[1,2,3,4,5,6]], \"version\": \"head\"}", "version", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [[1,2,3,4,5,6]], \"version\": 1.5}", "version", "bad_field"},
        {SERVE_PATH_PRICE, "{\"contracts\": [[1,2,3,4,5,6]], \"extra\": 1}", "extra", "bad_field"},
        {SERVE_PATH_OUTPUTS, "{\"features\": [[]]}", "features[0]", "bad_field"},
        {SERVE_PATH_OUTPUTS, "{\"features\": [[1,2],[3]]}", "features[1]", "bad_field"},
        {SERVE_PATH_OUTPUTS, "{\"features\": [{\"X0\":1}]}", "features[0]", "bad_field"},
    };
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        struct serve_request request = {0};
        const struct mr_error error = parse(rows[i].path, rows[i].text, &request);
        ck_assert_msg(strcmp(error.code, rows[i].code) == 0, "row %zu: %s: %s", i, error.code, error.detail);
        ck_assert_msg(strcmp(fault.path, rows[i].field) == 0, "row %zu: %s", i, fault.path);
        ck_assert_ptr_null(request.rows);
    }
}
END_TEST

START_TEST(contracts_of_a_query)
{
    struct serve_request request = {0};
    const char *values[MR_CONTRACT_FIELDS] = {"100", "95", "1", "0.02", "0.01", "0.2"};
    ck_assert(!mr_failed(serve_request_contract(values, &request, &fault)));
    ck_assert_float_eq(request.rows[3], 0.02f);
    serve_request_deinit(&request);
    values[4] = NULL;
    ck_assert_str_eq(serve_request_contract(values, &request, &fault).code, "bad_field");
    ck_assert_str_eq(fault.path, "d");
    values[4] = "nan";
    ck_assert_str_eq(serve_request_contract(values, &request, &fault).code, "bad_field");
}
END_TEST

START_TEST(versions_and_tokens)
{
    static const char id[] = "v0000000042_0a1b2c3d";
    ck_assert(serve_names("42", 42, id) && serve_names(id, 42, id));
    ck_assert(!serve_names("41", 42, id) && !serve_names("v0000000042_0a1b2c3e", 42, id));
    ck_assert(serve_if_match("*", id) && serve_if_match("\"v0000000042_0a1b2c3d\"", id));
    ck_assert(serve_if_match("\"x\", \"v0000000042_0a1b2c3d\"", id));
    ck_assert(!serve_if_match("v0000000042_0a1b2c3d", id) && !serve_if_match("\"v0000000042_0a1b2c3d", id));
    ck_assert(!serve_if_match("\"v0000000042\"", id) && !serve_if_match("", id));
    ck_assert_int_eq(serve_login_of(NULL, ""), SERVE_LOGIN_NOT_ASKED);
    ck_assert_int_eq(serve_login_of(NULL, "t"), SERVE_LOGIN_MISSING);
    ck_assert_int_eq(serve_login_of("Basic t", "t"), SERVE_LOGIN_MISSING);
    ck_assert_int_eq(serve_login_of("Bearer t", "t"), SERVE_LOGIN_GOOD);
    ck_assert_int_eq(serve_login_of("bearer t", "t"), SERVE_LOGIN_GOOD);
    ck_assert_int_eq(serve_login_of("Bearer t2", "t"), SERVE_LOGIN_WRONG);
    ck_assert_int_eq(serve_login_of("Bearer ", "t"), SERVE_LOGIN_WRONG);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, contracts_in_both_shapes);
    tcase_add_test(tcase, features_have_any_one_width);
    tcase_add_test(tcase, what_is_wrong_is_named);
    tcase_add_test(tcase, contracts_of_a_query);
    tcase_add_test(tcase, versions_and_tokens);
}

int main(void)
{
    return check_main("serve_request", add);
}
