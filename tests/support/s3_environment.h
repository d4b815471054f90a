/* Takes what decides about s3:// out of the environment, so that no test sees another's. */
#ifndef S3_ENVIRONMENT_H
#define S3_ENVIRONMENT_H

#include <check.h>
#include <stdlib.h>

static inline void s3_environment_clear(void)
{
    static const char *const names[] = {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "MILLRACE_S3_ENDPOINT",
        "MILLRACE_S3_REGION",
        "MILLRACE_S3_STYLE",
        "MILLRACE_S3_CA_FILE",
        "MILLRACE_S3_CONNECT_TIMEOUT_MS",
        "MILLRACE_S3_IDLE_TIMEOUT_MS",
        "MILLRACE_S3_TIMEOUT_MS",
        "MILLRACE_S3_ATTEMPTS",
        "MILLRACE_S3_MULTIPART_BYTES",
        "MILLRACE_S3_INSTANCE_METADATA",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_int_eq(unsetenv(names[i]), 0);
    }
}

#endif
