/* SHA-256 and random bytes. OpenSSL fails at SHA-256 only when memory is out, which ends the process. */
#include "millrace/hash.h"

#include <openssl/evp.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

/* Looked up once: a look-up costs more than the hash of a short text. Kept until the process ends. */
static const EVP_MD *algorithm;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_algorithm(void)
{
    algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    MR_ASSERT(algorithm != NULL);
}

static const EVP_MD *sha256(void)
{
    MR_ASSERT(pthread_once(&once, find_algorithm) == 0);
    return algorithm;
}

struct mr_sha256 mr_sha256_of(struct mr_bytes bytes)
{
    struct mr_sha256 hash;
    MR_ASSERT(EVP_Digest(bytes.data, bytes.size, hash.bytes, NULL, sha256(), NULL) == 1);
    return hash;
}

void mr_sha256_text(const struct mr_sha256 *hash, char ret_text[MR_SHA256_TEXT_SIZE])
{
    mr_hex(mr_bytes_of(hash->bytes, sizeof hash->bytes), ret_text);
}

bool mr_sha256_parse(const char *text, struct mr_sha256 *ret_hash)
{
    return mr_unhex(text, ret_hash->bytes, sizeof ret_hash->bytes);
}

bool mr_sha256_equal(const struct mr_sha256 *a, const struct mr_sha256 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Only ever pointed to: the stream is OpenSSL's context under our name. */
static EVP_MD_CTX *context_of(struct mr_sha256_stream *stream)
{
    return (EVP_MD_CTX *)stream;
}

struct mr_sha256_stream *mr_sha256_begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    MR_ASSERT(context != NULL);
    MR_ASSERT(EVP_DigestInit_ex(context, sha256(), NULL) == 1);
    return (struct mr_sha256_stream *)context;
}

void mr_sha256_update(struct mr_sha256_stream *stream, struct mr_bytes bytes)
{
    MR_ASSERT(EVP_DigestUpdate(context_of(stream), bytes.data, bytes.size) == 1);
}

struct mr_sha256 mr_sha256_end(struct mr_sha256_stream *stream)
{
    struct mr_sha256 hash;
    MR_ASSERT(EVP_DigestFinal_ex(context_of(stream), hash.bytes, NULL) == 1);
    EVP_MD_CTX_free(context_of(stream));
    return hash;
}

struct mr_error mr_random(void *ret_data, size_t size)
{
    uint8_t *data = ret_data;
    for (size_t filled = 0; filled < size;) {
        const ssize_t got = getrandom(data + filled, size - filled, 0);
        if (got < 0 && errno != EINTR) {
            return mr_error_make(MR_ERROR_FATAL, "no_random", errno, "getrandom: %s", strerror(errno));
        }
        filled += got > 0 ? (size_t)got : 0;
    }
    return mr_ok();
}
