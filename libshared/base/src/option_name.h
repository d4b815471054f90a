/* Private to mr_io: how an option is called in the environment. */
#ifndef MR_OPTION_NAME_H
#define MR_OPTION_NAME_H

enum { MR_OPTION_VARIABLE_SIZE = 96 };
/* "wait-ms" is MILLRACE_WAIT_MS; the suffix is "" or "_FILE". */
void mr_option_variable(const char *name, const char *suffix, char ret_variable[MR_OPTION_VARIABLE_SIZE]);

#endif
