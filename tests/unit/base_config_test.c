#include "check_main.h"
#include "millrace/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct config {
    const char *brokers;
    uint64_t window;
    uint64_t any;
    bool verbose;
    const char *format;
    const char *password;
};

static const struct mr_option rows[] = {
    {.name = "brokers", .kind = MR_OPTION_TEXT, .offset = offsetof(struct config, brokers), .help = "Where Kafka is."},
    {.name = "window-records",
     .kind = MR_OPTION_COUNT,
     .offset = offsetof(struct config, window),
     .fallback = "64",
     .min = 1,
     .max = 4096,
     .help = "Records in flight."},
    {.name = "any",
     .kind = MR_OPTION_COUNT,
     .offset = offsetof(struct config, any),
     .fallback = "0",
     .max = UINT64_MAX,
     .help = "Any number."},
    {.name = "verbose",
     .kind = MR_OPTION_FLAG,
     .offset = offsetof(struct config, verbose),
     .fallback = "false",
     .help = "Say more."},
    {.name = "format",
     .kind = MR_OPTION_CHOICE,
     .offset = offsetof(struct config, format),
     .fallback = "text",
     .choices = "text|json",
     .help = "Output."},
    {.name = "store-password",
     .kind = MR_OPTION_SECRET,
     .offset = offsetof(struct config, password),
     .fallback = "",
     .help = "Of the store."},
};
static const struct mr_option_table table = {"millrace-test", "Tests options.", rows, MR_COUNT_OF(rows)};

/* `arguments`: separated by spaces; kept while the config is read. */
static struct mr_error load(struct config *config, const char *arguments, const char **ret_rest, size_t rest_max,
                            size_t *ret_rest_count)
{
    static char text[512];
    char *argv[32] = {text};
    int argc = 1;
    (void)snprintf(text, sizeof text, "program %s", arguments);
    for (char *space = strchr(text, ' '); space != NULL && space[1] != '\0'; space = strchr(space + 1, ' ')) {
        *space = '\0';
        argv[argc++] = space + 1;
    }
    return mr_config_load(&table, config, argc, argv, ret_rest, rest_max, ret_rest_count);
}

static void clear_environment(void)
{
    static const char *const names[] = {"MILLRACE_BROKERS",
                                        "MILLRACE_WINDOW_RECORDS",
                                        "MILLRACE_ANY",
                                        "MILLRACE_VERBOSE",
                                        "MILLRACE_FORMAT",
                                        "MILLRACE_BROKERS_FILE",
                                        "MILLRACE_STORE_PASSWORD",
                                        "MILLRACE_STORE_PASSWORD_FILE"};
    for (size_t i = 0; i < MR_COUNT_OF(names); i++) {
        (void)unsetenv(names[i]);
    }
}

START_TEST(defaults_fill_what_nobody_gave)
{
    struct config c;
    ck_assert(!mr_failed(load(&c, "--brokers=here:9092", NULL, 0, NULL)));
    ck_assert_str_eq(c.brokers, "here:9092");
    ck_assert_uint_eq(c.window, 64);
    ck_assert(!c.verbose);
    ck_assert_str_eq(c.format, "text");
    ck_assert_str_eq(c.password, "");
}
END_TEST

START_TEST(an_argument_wins_over_the_environment_over_the_default)
{
    struct config c;
    (void)setenv("MILLRACE_BROKERS", "env:1", 1);
    (void)setenv("MILLRACE_WINDOW_RECORDS", "7", 1);
    (void)setenv("MILLRACE_VERBOSE", "true", 1);
    ck_assert(!mr_failed(load(&c, "--window-records=8", NULL, 0, NULL)));
    ck_assert_str_eq(c.brokers, "env:1");
    ck_assert_uint_eq(c.window, 8);
    ck_assert(c.verbose);
    ck_assert(!mr_failed(load(&c, "--verbose=false --brokers=a=b=c", NULL, 0, NULL)));
    ck_assert(!c.verbose);
    ck_assert_str_eq(c.brokers, "a=b=c");
    ck_assert_uint_eq(c.window, 7);
    clear_environment();
}
END_TEST

START_TEST(a_bare_flag_is_true)
{
    struct config c;
    ck_assert(!mr_failed(load(&c, "--brokers=x --verbose", NULL, 0, NULL)));
    ck_assert(c.verbose);
}
END_TEST

START_TEST(bounds_are_within)
{
    struct config c;
    ck_assert(!mr_failed(load(&c, "--brokers=x --window-records=1", NULL, 0, NULL)));
    ck_assert(!mr_failed(load(&c, "--brokers=x --window-records=4096 --any=18446744073709551615", NULL, 0, NULL)));
    ck_assert_uint_eq(c.window, 4096);
    ck_assert_uint_eq(c.any, UINT64_MAX);
}
END_TEST

START_TEST(what_is_wrong_is_rejected_by_name_and_changes_nothing)
{
    static const struct {
        const char *arguments, *code, *mentions;
    } cases[] = {
        {"", "missing_option", "MILLRACE_BROKERS"},
        {"--brokers=x --window-records=0", "bad_value", "--window-records: expected a whole number from 1 to 4096"},
        {"--brokers=x --window-records=4097", "bad_value", "--window-records"},
        {"--brokers=x --window-records=", "bad_value", "--window-records"},
        {"--brokers=x --window-records=+5", "bad_value", "--window-records"},
        {"--brokers=x --window-records=-5", "bad_value", "--window-records"},
        {"--brokers=x --window-records=5x", "bad_value", "--window-records"},
        {"--brokers=x --window-records=0x5", "bad_value", "--window-records"},
        {"--brokers=x --any=18446744073709551616", "bad_value", "--any"},
        {"--brokers=x --any=99999999999999999999999", "bad_value", "--any"},
        {"--brokers=x --verbose=yes", "bad_value", "true or false"},
        {"--brokers=x --verbose=", "bad_value", "true or false"},
        {"--brokers=x --format=xml", "bad_value", "text|json"},
        {"--brokers=x --format=tex", "bad_value", "text|json"},
        {"--brokers=x --format=text|json", "bad_value", "text|json"},
        {"--brokers=x --format=", "bad_value", "text|json"},
        {"--brokers", "missing_value", "--brokers=<value>"},
        {"--brokers=x --broker=y", "unknown_option", "--broker:"},
        {"--brokers=x --", "unknown_option", "--"},
        {"--brokers=x --=1", "unknown_option", "--"},
        {"--brokers=x --brokers=y", "given_twice", "--brokers"},
        {"--brokers=x --verbose --verbose=false", "given_twice", "--verbose"},
        {"--brokers=x stray", "unexpected_argument", "stray"},
        {"--brokers=x -v", "unexpected_argument", "-v"},
        {"--brokers=x --store-password=hunter2", "secret_in_argument", "MILLRACE_STORE_PASSWORD_FILE"},
        {"--brokers=x --store-pasword=hunter2", "unknown_option", "--store-pasword"},
        {"--nonsense --help", "help", ""},
    };
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct config c;
        memset(&c, 0x55, sizeof c);
        const struct config before = c;
        const struct mr_error e = load(&c, cases[i].arguments, NULL, 0, NULL);
        ck_assert_int_eq(e.kind, MR_ERROR_REJECT);
        ck_assert_str_eq(e.code, cases[i].code);
        ck_assert_msg(strstr(e.detail, cases[i].mentions) != NULL, "%s: %s", cases[i].arguments, e.detail);
        ck_assert_ptr_null(strstr(e.detail, "hunter2"));
        ck_assert_mem_eq(&c, &before, sizeof c);
    }
}
END_TEST

START_TEST(a_bad_value_in_the_environment_is_rejected_too)
{
    struct config c;
    (void)setenv("MILLRACE_WINDOW_RECORDS", "many", 1);
    const struct mr_error e = load(&c, "--brokers=x", NULL, 0, NULL);
    ck_assert_str_eq(e.code, "bad_value");
    ck_assert_ptr_nonnull(strstr(e.detail, "window-records"));
    clear_environment();
}
END_TEST

START_TEST(the_rest_is_handed_out_in_order)
{
    struct config c;
    const char *rest[3] = {NULL, NULL, NULL};
    size_t count = 9;
    ck_assert(!mr_failed(load(&c, "submit --brokers=x file.json -", rest, 3, &count)));
    ck_assert_uint_eq(count, 3);
    ck_assert_str_eq(rest[0], "submit");
    ck_assert_str_eq(rest[1], "file.json");
    ck_assert_str_eq(rest[2], "-");
    const char *const before = rest[0];
    count = 9;
    const struct mr_error e = load(&c, "a b c d --brokers=x", rest, 3, &count);
    ck_assert_str_eq(e.code, "unexpected_argument");
    ck_assert_ptr_nonnull(strstr(e.detail, "\"d\""));
    ck_assert_uint_eq(count, 9);
    ck_assert_ptr_eq(rest[0], before);
}
END_TEST

static void write_secret(char *path, const void *text, size_t size)
{
    const int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, text, size), (ssize_t)size);
    (void)close(file);
    (void)setenv("MILLRACE_STORE_PASSWORD_FILE", path, 1);
}

START_TEST(a_secret_comes_from_the_environment_or_a_file)
{
    struct config c;
    char path[] = "/tmp/mr_secret_XXXXXX";
    (void)setenv("MILLRACE_STORE_PASSWORD", "s3cret", 1);
    ck_assert(!mr_failed(load(&c, "--brokers=x", NULL, 0, NULL)));
    ck_assert_str_eq(c.password, "s3cret");
    write_secret(path, "two\nlines\r\n", 11);
    ck_assert_str_eq(load(&c, "--brokers=x", NULL, 0, NULL).code, "given_twice");
    (void)unsetenv("MILLRACE_STORE_PASSWORD");
    ck_assert(!mr_failed(load(&c, "--brokers=x", NULL, 0, NULL)));
    ck_assert_str_eq(c.password, "two\nlines");
    (void)unlink(path);
    const struct mr_error e = load(&c, "--brokers=x", NULL, 0, NULL);
    ck_assert_str_eq(e.code, "bad_secret_file");
    ck_assert_ptr_nonnull(strstr(e.detail, path));
    clear_environment();
}
END_TEST

START_TEST(a_secret_file_that_would_be_cut_is_rejected)
{
    struct config c;
    char path[] = "/tmp/mr_secret_XXXXXX";
    char large_path[] = "/tmp/mr_secret_XXXXXX";
    static char large[64 * 1024 + 1];
    write_secret(path, "a\0b", 3);
    ck_assert_str_eq(load(&c, "--brokers=x", NULL, 0, NULL).code, "bad_secret_file");
    (void)unlink(path);
    memset(large, 'x', sizeof large);
    write_secret(large_path, large, sizeof large);
    ck_assert_str_eq(load(&c, "--brokers=x", NULL, 0, NULL).code, "bad_secret_file");
    (void)unlink(large_path);
    clear_environment();
}
END_TEST

START_TEST(only_a_secret_is_read_from_a_file)
{
    struct config c;
    (void)setenv("MILLRACE_BROKERS_FILE", "/etc/hostname", 1);
    ck_assert_str_eq(load(&c, "", NULL, 0, NULL).code, "missing_option");
    clear_environment();
}
END_TEST

static char *printed(void (*print)(const struct mr_option_table *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    print(&table, out);
    (void)fclose(out);
    return text;
}

START_TEST(help_tells_every_option)
{
    char *text = printed(mr_config_help);
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        ck_assert_ptr_nonnull(strstr(text, rows[i].help));
    }
    ck_assert_ptr_nonnull(strstr(text, "--window-records=<1 to 4096>, or MILLRACE_WINDOW_RECORDS"));
    ck_assert_ptr_nonnull(strstr(text, "--format=<text|json>"));
    ck_assert_ptr_nonnull(strstr(text, "Where Kafka is. (required)"));
    ck_assert_ptr_nonnull(strstr(text, "(default: 64)"));
    ck_assert_ptr_null(strstr(text, "--store-password"));
    free(text);
}
END_TEST

START_TEST(markdown_is_one_table)
{
    char *text = printed(mr_config_markdown);
    ck_assert_ptr_nonnull(strstr(text, "## millrace-test\n\nTests options.\n\n| option |"));
    ck_assert_ptr_nonnull(strstr(text, "| `--format` | `MILLRACE_FORMAT` | text \\| json | `text` | Output. |\n"));
    ck_assert_ptr_nonnull(strstr(text, "| `--any` | `MILLRACE_ANY` | 0 or more | `0` | Any number. |\n"));
    ck_assert_ptr_nonnull(strstr(text, "| `--brokers` | `MILLRACE_BROKERS` | text | required | Where Kafka is. |\n"));
    ck_assert_ptr_nonnull(strstr(text,
                                 "| never an argument | `MILLRACE_STORE_PASSWORD`, `MILLRACE_STORE_PASSWORD_FILE` "
                                 "| secret | none | Of the store. |\n"));
    free(text);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, defaults_fill_what_nobody_gave);
    tcase_add_test(tests, an_argument_wins_over_the_environment_over_the_default);
    tcase_add_test(tests, a_bare_flag_is_true);
    tcase_add_test(tests, bounds_are_within);
    tcase_add_test(tests, what_is_wrong_is_rejected_by_name_and_changes_nothing);
    tcase_add_test(tests, a_bad_value_in_the_environment_is_rejected_too);
    tcase_add_test(tests, the_rest_is_handed_out_in_order);
    tcase_add_test(tests, a_secret_comes_from_the_environment_or_a_file);
    tcase_add_test(tests, a_secret_file_that_would_be_cut_is_rejected);
    tcase_add_test(tests, only_a_secret_is_read_from_a_file);
    tcase_add_test(tests, help_tells_every_option);
    tcase_add_test(tests, markdown_is_one_table);
}

int main(void)
{
    return check_main("base_config", add);
}
