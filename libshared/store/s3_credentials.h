/*
 * Who signs: the first of
 *   1. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with AWS_SESSION_TOKEN if it is set;
 *   2. the profile AWS_PROFILE ("default") of AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), read again every
 *      minute, since others renew it;
 *   3. the role of the instance (IMDSv2), if MILLRACE_S3_INSTANCE_METADATA is on, asked again before it expires.
 * A source that is half there is an error, never passed over. No message names a secret.
 */
#ifndef MR_S3_CREDENTIALS_H
#define MR_S3_CREDENTIALS_H

#include "s3_text.h"

struct s3_provider;
/* REJECT "no_credentials" or "bad_credentials". Asks no server. */
MR_MUST_USE struct mr_error s3_provider_open(bool instance_metadata, struct s3_provider **ret_provider);
void s3_provider_close(struct s3_provider *provider);
/* Those to sign with now. `renew`: the server says that the last ones have expired. Any thread may call it. TRANSIENT
 * "unavailable" while the instance's metadata do not answer. */
MR_MUST_USE struct mr_error s3_provider_get(struct s3_provider *provider, bool renew,
                                            struct s3_credentials *ret_credentials);

/* The document of a role. *ret_expires is in seconds since 1970. False: it is none. */
MR_MUST_USE bool s3_role_parse(struct mr_bytes document, struct s3_credentials *ret_credentials, int64_t *ret_expires);

#endif
