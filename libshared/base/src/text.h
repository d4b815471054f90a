/* Private to mr_io: texts that other programs parse. */
#ifndef MR_TEXT_H
#define MR_TEXT_H

#include "millrace/base.h"

/* The length of the well-formed UTF-8 character at text (RFC 3629: no surrogate, nothing overlong), or 0. */
size_t mr_utf8_length(const char *text);

enum { MR_REAL_TEXT_SIZE = 32 };
/* The shortest decimal text that reads back as the same finite value. */
void mr_real_text(double value, char ret_text[MR_REAL_TEXT_SIZE]);

#endif
