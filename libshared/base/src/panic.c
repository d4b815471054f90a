/* The end of a process whose memory or code is wrong: a line that names the place, then abort. */
#include "millrace/base.h"

#include <stdio.h>
#include <stdlib.h>

void mr_unreachable(const char *where)
{
    (void)fprintf(stderr, "millrace: unreachable code reached in %s: a tag is corrupt\n", where);
    abort();
}

void mr_assert_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "millrace: %s:%d: this should hold but does not: %s\n", file, line, condition);
    abort();
}
