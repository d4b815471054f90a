/* Writes a chain of versions into a store: mr_make_models STORE MODEL flat|pricing COUNT [SECOND]. From version SECOND
 * on they are of another run, run-2; four of them are of a day then. */
#include "check_main.h"
#include "model_chain.h"
#include "sample_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char **arguments;

START_TEST(write_them)
{
    struct mr_store *store = NULL;
    struct model_chain chain;
    const struct mr_error error = mr_store_open(arguments[1], &store);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    const bool flat = strcmp(arguments[3], "flat") == 0;
    model_chain_begin(&chain, store, arguments[2], flat ? model_chain_flat_json : sample_pricing_json);
    for (long i = 0; i < strtol(arguments[4], NULL, 10); i++) {
        if (arguments[5] != NULL && i == strtol(arguments[5], NULL, 10)) {
            chain.run_id = "run-2";
            chain.run_began = chain.versions;
        }
        chain.event_time_ms += arguments[5] != NULL && i > 0 ? INT64_C(6) * 60 * 60 * 1000 : 0;
        (void)model_chain_commit(&chain, (float)i);
        model_chain_audit(&chain, &chain.head, 1777982400000 + 1000 * i);
    }
    mr_store_close(store);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, write_them);
}

/* As a test of its own, since what writes them asserts. */
int main(int argc, char *argv[])
{
    if (argc != 5 && argc != 6) {
        (void)fprintf(stderr, "mr_make_models STORE MODEL flat|pricing COUNT [SECOND]\n");
        return EXIT_FAILURE;
    }
    arguments = argv;
    return check_main("make_models", add);
}
