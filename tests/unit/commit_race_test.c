/* Commits from many processes to one model in a file:/// store. */
#define _XOPEN_SOURCE 700
#include "check_main.h"
#include "commit_races.h"
#include "store_races.h"
#include "store_scratch.h"

static struct scratch scratch;

static void setup(void)
{
    scratch = scratch_make();
    (void)snprintf(races_uri, sizeof races_uri, "%s", scratch.uri);
}

static void teardown(void)
{
    scratch_drop(&scratch);
}

static void add(TCase *tcase)
{
    races_sizes(8, 10);
    tcase_set_timeout(tcase, races_timeout_s());
    tcase_add_checked_fixture(tcase, setup, teardown);
    commit_races_add(tcase);
}

int main(void)
{
    return check_main("commit_race", add);
}
