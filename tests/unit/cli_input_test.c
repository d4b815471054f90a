/* What the command reads: CSV, .npy, JSON lines, ranges. Hostile input is refused by name. */
#include "check_main.h"
#include "contracts_csv.h"
#include "event_json.h"
#include "npy.h"
#include "prng.h"
#include "submit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/millrace-cli-XXXXXX";

static void file_holding(const void *data, size_t size)
{
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    const int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, data, size), (ssize_t)size);
    ck_assert_int_eq(close(descriptor), 0);
}

/* ---- CSV ----------------------------------------------------------------------------------------------- */

static struct mr_error read_csv(const char *text, float (*rows)[MR_CONTRACT_FIELDS], size_t rows_max, size_t *count)
{
    file_holding(text, strlen(text));
    struct cli_contracts_csv csv;
    struct mr_error error = cli_contracts_csv_open(path, &csv);
    if (!mr_failed(error)) {
        error = cli_contracts_csv_read(&csv, rows_max, rows, count);
        cli_contracts_csv_close(&csv);
    }
    (void)unlink(path);
    return error;
}

START_TEST(contracts_are_read_in_order)
{
    float rows[4][MR_CONTRACT_FIELDS];
    size_t count = 0;
    const char *text = "\xef\xbb\xbfX0,K,T,r,d,v\r\n100,90.5,1,0.02,0,0.2\r\n\n 80 , 120,0.25,-0.01,1e-2,.4\n";
    ck_assert(!mr_failed(read_csv(text, rows, 4, &count)));
    ck_assert_uint_eq(count, 2);
    ck_assert_float_eq(rows[0][MR_CONTRACT_K], 90.5f);
    ck_assert_float_eq(rows[1][MR_CONTRACT_X0], 80.0f);
    ck_assert_float_eq(rows[1][MR_CONTRACT_R], -0.01f);
    ck_assert_float_eq(rows[1][MR_CONTRACT_V], 0.4f);
}
END_TEST

static const struct {
    const char *text, *says;
} bad_csvs[] = {
    {"", "expected the header"},
    {"X0,K,T,r,v,d\n1,2,3,4,5,6\n", "expected the header"},
    {"X0,K,T,r,d,v\n1,2,3,4,5\n", "line 2"},
    {"X0,K,T,r,d,v\n1,2,3,4,5,6,7\n", "line 2"},
    {"X0,K,T,r,d,v\n1,2,3,4,5,6\n1,x,3,4,5,6\n", "line 3 field K"},
    {"X0,K,T,r,d,v\n1,2,nan,4,5,6\n", "line 2 field T"},
    {"X0,K,T,r,d,v\n1,2,3,inf,5,6\n", "field r"},
    {"X0,K,T,r,d,v\n1,2,3,4,1e39,6\n", "field d"},
    {"X0,K,T,r,d,v\n1,2,3,4,5,\n", "field v"},
    {"X0,K,T,r,d,v\n0x10,2,3,4,5,6\n", "field X0"},
    {"X0,K,T,r,d,v\n1 2,2,3,4,5,6\n", "field X0"},
    {"X0,K,T,r,d,v\n,,,,,\n", "field X0"},
};

START_TEST(bad_contracts_name_line_and_field)
{
    float rows[4][MR_CONTRACT_FIELDS];
    size_t count = 77;
    const struct mr_error error = read_csv(bad_csvs[_i].text, rows, 4, &count);
    ck_assert_str_eq(error.code, "bad_csv");
    ck_assert_msg(strstr(error.detail, bad_csvs[_i].says) != NULL, "%s", error.detail);
    ck_assert_uint_eq(count, 77);
}
END_TEST

/* ---- .npy ---------------------------------------------------------------------------------------------- */

static size_t npy_of(const char *dictionary, unsigned major, size_t claimed, uint8_t *ret_bytes)
{
    const size_t length = strlen(dictionary);
    const size_t size = claimed == SIZE_MAX ? length : claimed;
    memcpy(ret_bytes, "\x93NUMPY", 6);
    ret_bytes[6] = (uint8_t)major;
    ret_bytes[7] = 0;
    ret_bytes[8] = (uint8_t)size;
    ret_bytes[9] = (uint8_t)(size >> 8);
    size_t at = 10;
    if (major != 1) {
        ret_bytes[10] = (uint8_t)(size >> 16);
        ret_bytes[11] = (uint8_t)(size >> 24);
        at = 12;
    }
    memcpy(ret_bytes + at, dictionary, length);
    return at + length;
}

static const char good_header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }          \n";

START_TEST(both_versions_of_npy_are_read)
{
    for (unsigned major = 1; major <= 2; major++) {
        uint8_t bytes[512];
        size_t size = npy_of(good_header, major, SIZE_MAX, bytes);
        const float data[6] = {1, 2, 3, 4, 5, 6};
        memcpy(bytes + size, data, sizeof data);
        file_holding(bytes, size + sizeof data);
        struct cli_npy npy;
        ck_assert(!mr_failed(cli_npy_open(path, &npy)));
        ck_assert_uint_eq(npy.rows, 3);
        ck_assert_uint_eq(npy.row_elements, 2);
        float read[4];
        ck_assert(!mr_failed(cli_npy_read(&npy, 1, 2, read)));
        ck_assert_float_eq(read[0], 3);
        ck_assert_float_eq(read[3], 6);
        cli_npy_close(&npy);
        (void)unlink(path);
    }
}
END_TEST

static const struct {
    const char *dictionary, *says;
} bad_headers[] = {
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }", "'<f8'"},
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (3, 2), }", "'>f4'"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", "structured"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }", "fortran_order True"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 2), }", "fortran_order"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, -2), }", "shape"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 2), }", "shape"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1), }", "4 axes"},
    {"{'descr': '<f4', 'fortran_order': False, }", "lacks"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", "twice"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), 'x': 1, }", "unknown"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), } import os", "follows"},
    {"__import__('os')", "dictionary"},
    {"", "dictionary"},
};

START_TEST(other_headers_are_refused_by_name)
{
    uint8_t bytes[512];
    struct cli_npy_header header = {.axes = 99};
    const size_t size = npy_of(bad_headers[_i].dictionary, 1, SIZE_MAX, bytes);
    const struct mr_error error = cli_npy_parse(mr_bytes_of(bytes, size), &header);
    ck_assert_str_eq(error.code, "bad_npy");
    ck_assert_msg(strstr(error.detail, bad_headers[_i].says) != NULL, "%s", error.detail);
    ck_assert_uint_eq(header.axes, 99);
}
END_TEST

START_TEST(a_file_must_hold_what_it_says)
{
    uint8_t bytes[512];
    const size_t size = npy_of(good_header, 1, SIZE_MAX, bytes);
    struct cli_npy npy;
    for (size_t data = 0; data <= 28; data += 4) {
        memset(bytes + size, 0, data);
        file_holding(bytes, size + data);
        const struct mr_error error = cli_npy_open(path, &npy);
        ck_assert_int_eq(mr_failed(error), data != 24);
        if (!mr_failed(error)) {
            cli_npy_close(&npy);
        }
        (void)unlink(path);
    }
    /* Shapes whose size would wrap around. */
    const char *huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }";
    const size_t huge_size = npy_of(huge, 1, SIZE_MAX, bytes);
    file_holding(bytes, huge_size);
    ck_assert_str_eq(cli_npy_open(path, &npy).code, "bad_npy");
    (void)unlink(path);
}
END_TEST

/* Every prefix and many mutations of a good file: an answer, never a crash, and nothing read beyond the end. */
START_TEST(any_bytes_get_an_answer)
{
    uint8_t bytes[512];
    struct prng random = {.state = 11};
    struct cli_npy_header header;
    const size_t size = npy_of(good_header, 2, SIZE_MAX, bytes);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, bytes, cut);
        ck_assert(mr_failed(cli_npy_parse(mr_bytes_of(exact, cut), &header)));
        free(exact);
    }
    for (int i = 0; i < 20000; i++) {
        uint8_t *mutated = malloc(size);
        memcpy(mutated, bytes, size);
        mutated[prng_below(&random, size)] = (uint8_t)prng_next(&random);
        mutated[prng_below(&random, size)] = (uint8_t)prng_next(&random);
        const struct mr_error error = cli_npy_parse(mr_bytes_of(mutated, size), &header);
        ck_assert(!mr_failed(error) || error.kind == MR_ERROR_REJECT);
        free(mutated);
    }
}
END_TEST

/* ---- JSON lines ---------------------------------------------------------------------------------------- */

static struct mr_error event_of(const char *line, Millrace__Batch__V1__Submitted **event)
{
    const struct cli_event_defaults defaults = {"m-default", "r-default"};
    return cli_event_from_json(mr_bytes_of_text(line), &defaults, event);
}

START_TEST(plain_rows_become_tensors)
{
    Millrace__Batch__V1__Submitted *event = NULL;
    ck_assert(!mr_failed(
        event_of("{\"batch\":{\"batch_id\":\"b1\",\"contracts\":{\"rows\":[[1,2,3,4,5,6],[7,8,9,1,2,3]]}}}", &event)));
    const Millrace__Batch__V1__Batch *batch = event->batch;
    ck_assert_str_eq(batch->model_id, "m-default");
    ck_assert_str_eq(batch->run_id, "r-default");
    ck_assert_int_eq(batch->payload_case, MILLRACE__BATCH__V1__BATCH__PAYLOAD_CONTRACTS);
    const Millrace__Common__V1__Tensor *rows = batch->contracts->rows;
    ck_assert_int_eq(rows->dtype, MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32);
    ck_assert_uint_eq(rows->n_shape, 2);
    ck_assert_uint_eq(rows->shape[0], 2);
    ck_assert_uint_eq(rows->shape[1], 6);
    float value = 0;
    memcpy(&value, rows->data.data + 6 * sizeof value, sizeof value);
    ck_assert_float_eq(value, 7);
    millrace__batch__v1__submitted__free_unpacked(event, NULL);
}
END_TEST

START_TEST(an_event_keeps_its_own_ids)
{
    Millrace__Batch__V1__Submitted *event = NULL;
    ck_assert(!mr_failed(event_of(
        "{\"run_stopped\":{\"model_id\":\"m2\",\"run_id\":\"r2\",\"outcome\":\"failed\",\"reason\":\"x\"}}", &event)));
    ck_assert_str_eq(event->run_stopped->model_id, "m2");
    ck_assert_str_eq(event->run_stopped->run_id, "r2");
    ck_assert_int_eq(event->run_stopped->outcome, MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_FAILED);
    millrace__batch__v1__submitted__free_unpacked(event, NULL);
}
END_TEST

static const char *const bad_lines[] = {
    "",
    "[]",
    "{}",
    "{\"batch\":1}",
    "{\"batch\":{},\"run_stopped\":{}}",
    "{\"no_such_event\":{}}",
    "{\"batch\":{\"no_such_field\":1}}",
    "{\"batch\":{\"contracts\":{\"rows\":[]}}}",
    "{\"batch\":{\"contracts\":{\"rows\":[1,2]}}}",
    "{\"batch\":{\"contracts\":{\"rows\":[[1,2],[3]]}}}",
    "{\"batch\":{\"contracts\":{\"rows\":[[1,\"2\"]]}}}",
    "{\"batch\":{\"contracts\":{\"rows\":[[1e39]]}}}",
    "{\"batch\":{\"contracts\":{\"rows\":[[[[1]]]]}}}",
    "{\"batch\":{\"batch_id\":\"a\",\"batch_id\":\"b\"}}",
    "{\"batch\":{\"sobol_range\":{\"start\":-1,\"count\":1}}}",
    "{\"batch\":{}} {\"batch\":{}}",
};

START_TEST(bad_lines_are_refused)
{
    Millrace__Batch__V1__Submitted *event = NULL;
    const struct mr_error error = event_of(bad_lines[_i], &event);
    ck_assert_msg(strcmp(error.code, "bad_json") == 0, "line %d: %s", _i, error.code);
    ck_assert_ptr_null(event);
}
END_TEST

/* ---- Ranges -------------------------------------------------------------------------------------------- */

START_TEST(ranges_are_start_and_count)
{
    uint64_t start = 0, count = 0;
    ck_assert(submit_parse_range("12:34", &start, &count));
    ck_assert_uint_eq(start, 12);
    ck_assert_uint_eq(count, 34);
    static const char *const bad[] = {"",      ":",    "1",    "1:",   ":2",
                                      "1:2:3", "-1:2", "1: 2", "1:2x", "99999999999999999999:1"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_msg(!submit_parse_range(bad[i], &start, &count), "%s", bad[i]);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, contracts_are_read_in_order);
    tcase_add_loop_test(tcase, bad_contracts_name_line_and_field, 0, (int)MR_COUNT_OF(bad_csvs));
    tcase_add_test(tcase, both_versions_of_npy_are_read);
    tcase_add_loop_test(tcase, other_headers_are_refused_by_name, 0, (int)MR_COUNT_OF(bad_headers));
    tcase_add_test(tcase, a_file_must_hold_what_it_says);
    tcase_add_test(tcase, any_bytes_get_an_answer);
    tcase_add_test(tcase, plain_rows_become_tensors);
    tcase_add_test(tcase, an_event_keeps_its_own_ids);
    tcase_add_loop_test(tcase, bad_lines_are_refused, 0, (int)MR_COUNT_OF(bad_lines));
    tcase_add_test(tcase, ranges_are_start_and_count);
}

int main(void)
{
    return check_main("cli_input", add);
}
