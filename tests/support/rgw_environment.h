/* What tests/s3/with_rgw.sh gives to a test, in its environment and in the gateway's folder. */
#ifndef RGW_ENVIRONMENT_H
#define RGW_ENVIRONMENT_H

#include "millrace/base.h"

enum { RGW_URI_SIZE = 160 };

/* Sets nothing but endpoint and credentials, whatever a test before has set; a URI whose prefix nobody has used. */
void rgw_environment(char ret_uri[RGW_URI_SIZE]);
/* The first line of a file in the gateway's folder. */
void rgw_line(const char *name, char *ret_text, int size);
uint16_t rgw_port(void);
/* Lets stores that are opened from now on talk to another port of this machine: a proxy. */
void rgw_use_port(uint16_t port);

#endif
