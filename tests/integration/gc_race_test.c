/* GC beside eight writers and a second GC, on file:///. MILLRACE_TEST_GC_SECONDS makes it longer. */
#define _XOPEN_SOURCE 700
#include "../unit/store_scratch.h"
#include "check_main.h"
#include "gc_race.h"

#include <stdlib.h>

START_TEST(eight_writers_two_collectors)
{
    const char *seconds = getenv("MILLRACE_TEST_GC_SECONDS");
    const struct scratch scratch = scratch_make();
    const struct gc_race race = {
        .uri = scratch.uri,
        .writers = 8,
        .seconds = seconds == NULL ? 0 : (uint32_t)strtoul(seconds, NULL, 10),
        .commits = 150,
        .collected = 100,
        .pins = 10,
    };
    gc_race(&race);
    scratch_drop(&scratch);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, eight_writers_two_collectors);
}

int main(void)
{
    return check_main("gc_race", add);
}
