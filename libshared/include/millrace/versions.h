/*
 * The versions of a model in a store: keys, the JSON of their metadata, the chain from head to genesis.
 *
 *   <model>/head.json                                     the only object that ever changes
 *   <model>/versions/<version id>/checkpoint.pb           the payload; content hash = its SHA-256
 *   <model>/versions/<version id>/content_hash.txt        64 hexadecimal digits, nothing else
 *   <model>/versions/<version id>/metadata.json           record hash = its SHA-256
 *   <model>/versions/<version id>/collected.json          the payload was removed by GC
 *   <model>/audit/YYYY/MM/DDTHH:MM:SS.ffffffZ_<commit8>.json   attempts
 *   <model>/spool/<sha256>.pb                             from train to persist
 *   <model>/pins/..., <model>/restarts/...                what GC leaves alone: pins.h
 *
 * Canonical JSON, for whatever is hashed or compared: one object in UTF-8; keys in ascending byte order; no white
 * space, no line end; every key of the kind is there, what does not apply is null; whole numbers are plain decimals
 * within +-(2^63 - 1); 32-bit floats have nine significant digits (C's %.9g; ".0" is added to what would read as a
 * whole number) and null stands for one that is not finite; hashes are lowercase hexadecimal; strings escape only the
 * quote, the backslash and control characters, and bytes that are not UTF-8 became U+FFFD. Equal values have equal
 * bytes.
 */
#ifndef MR_VERSIONS_H
#define MR_VERSIONS_H

#include "millrace/bump.h"
#include "millrace/hash.h"
#include "millrace/store.h"

enum {
    MR_VERSION_ID_SIZE = 40, /* v0000000042_<hash8>; a counter over 9,999,999,999 makes it longer */
    MR_VERSION_MESSAGE_SIZE = 1024,
    MR_VERSION_PROFILE_SIZE = 32,
    MR_VERSION_WRITER_SIZE = 128,
    MR_VERSION_KEY_SIZE = 256,
    MR_SEMVER_SIZE = 64,
    MR_POSITION_LOG_ID_SIZE = 16,
};

/* Where a model stands in the log: an offset of batches.submitted. Order needs the deployment (mr_deployment_place). */
struct mr_position {
    uint8_t log_id[MR_POSITION_LOG_ID_SIZE];
    uint32_t partition;
    uint64_t offset;
};
MR_MUST_USE bool mr_position_equal(const struct mr_position *a, const struct mr_position *b);

struct mr_semver {
    uint64_t major, minor, patch;
};
MR_MUST_USE struct mr_semver mr_semver_genesis(void); /* 1.0.0 */
MR_MUST_USE struct mr_semver mr_semver_bump(struct mr_semver from, enum mr_bump bump);
/* One of the three bumps leads from one to the other. */
MR_MUST_USE bool mr_semver_follows(struct mr_semver from, struct mr_semver to);
void mr_semver_text(struct mr_semver version, char ret_text[MR_SEMVER_SIZE]);
MR_MUST_USE bool mr_semver_parse(const char *text, struct mr_semver *ret_version);

/* metadata.json. Everything is a function of log and spec (rule C5). */
struct mr_version {
    char model_id[MR_ID_SIZE];
    char version_id[MR_VERSION_ID_SIZE];
    uint64_t counter; /* 0 is genesis */
    struct mr_semver semantic_version;
    struct mr_sha256 content_hash;
    uint64_t size; /* of the payload, bytes */
    char run_id[MR_ID_SIZE];
    uint64_t step, samples, applied;
    struct mr_position position;
    int64_t event_time_ms; /* of the record at the position: the commit's time */
    char message[MR_VERSION_MESSAGE_SIZE];
    float loss, gradient_norm;
    char arithmetic_profile[MR_VERSION_PROFILE_SIZE];
    bool has_parent;
    char parent_version_id[MR_VERSION_ID_SIZE];
    struct mr_sha256 parent_record_hash;
    bool has_restarted_from;
    char restarted_version_id[MR_VERSION_ID_SIZE];
    struct mr_sha256 restarted_content_hash;
    struct mr_sha256 commit_id;
};

/* head.json. */
struct mr_head {
    char model_id[MR_ID_SIZE];
    char version_id[MR_VERSION_ID_SIZE];
    uint64_t counter;
    struct mr_semver semantic_version;
    struct mr_sha256 content_hash, record_hash, commit_id;
    char run_id[MR_ID_SIZE];
    uint64_t step;
    struct mr_position position;
};

/* One attempt to commit: what is not a function of log and spec stands here, and is not in the chain. Its JSON has one
 * more field, entry_hash: the SHA-256 of the canonical JSON of the others. Entries from before there was one lack it.
 */
struct mr_audit {
    char model_id[MR_ID_SIZE];
    char version_id[MR_VERSION_ID_SIZE];
    uint64_t counter;
    struct mr_sha256 content_hash, record_hash, commit_id;
    int64_t observed_ms; /* the writer's own clock, since 1970 */
    char writer[MR_VERSION_WRITER_SIZE], build[MR_VERSION_WRITER_SIZE];
};

/* ---- Identities ---------------------------------------------------------------------------------------- */

/* v%010llu_<first 8 digits of the content hash>: a name, never an identity (rule C12). */
void mr_version_id(uint64_t counter, const struct mr_sha256 *content_hash, char ret_id[MR_VERSION_ID_SIZE]);
/* False when text is no version id. */
MR_MUST_USE bool mr_version_id_parse(const char *text, uint64_t *ret_counter);
/* Rule C13: SHA-256 of the canonical JSON of {content_hash, position, previous_record_hash (null for genesis), run_id,
 * step}. */
MR_MUST_USE struct mr_error mr_commit_id(const struct mr_version *version, struct mr_sha256 *ret_id);
/* The head that names this version; record_hash is that of its metadata as stored. */
MR_MUST_USE struct mr_head mr_head_of(const struct mr_version *version, const struct mr_sha256 *record_hash);

/* ---- Keys ---------------------------------------------------------------------------------------------- */

void mr_key_head(const char *model_id, char ret_key[MR_VERSION_KEY_SIZE]);
void mr_key_versions(const char *model_id, char ret_prefix[MR_VERSION_KEY_SIZE]); /* <model>/versions/ */
/* `file`: "checkpoint.pb", "metadata.json", "content_hash.txt", "collected.json". */
void mr_key_version(const char *model_id, const char *version_id, const char *file, char ret_key[MR_VERSION_KEY_SIZE]);
void mr_key_spool(const char *model_id, const struct mr_sha256 *content_hash, char ret_key[MR_VERSION_KEY_SIZE]);
void mr_key_payload(const char *model_id, const struct mr_sha256 *content_hash, char ret_key[MR_VERSION_KEY_SIZE]);
void mr_key_audit(const struct mr_audit *audit, char ret_key[MR_VERSION_KEY_SIZE]);
void mr_key_audits(const char *model_id, char ret_prefix[MR_VERSION_KEY_SIZE]); /* <model>/audit/ */
void mr_key_spools(const char *model_id, char ret_prefix[MR_VERSION_KEY_SIZE]); /* <model>/spool/ */
void mr_key_pins(const char *model_id, char ret_prefix[MR_VERSION_KEY_SIZE]);   /* <model>/pins/ */

/* ---- JSON ---------------------------------------------------------------------------------------------- */

/* Appends; REJECT "out_of_range" for a number over 2^63 - 1. */
MR_MUST_USE struct mr_error mr_version_encode(const struct mr_version *version, struct mr_buffer *ret_json);
MR_MUST_USE struct mr_error mr_head_encode(const struct mr_head *head, struct mr_buffer *ret_json);
MR_MUST_USE struct mr_error mr_audit_encode(const struct mr_audit *audit, struct mr_buffer *ret_json);
/* REJECT "corrupt" names the field. Unknown fields are ignored: a later version of Millrace may add some. */
MR_MUST_USE struct mr_error mr_version_decode(struct mr_bytes json, struct mr_version *ret_version);
MR_MUST_USE struct mr_error mr_head_decode(struct mr_bytes json, struct mr_head *ret_head);
/* An entry whose entry_hash is not that of its other fields is "corrupt" too. */
MR_MUST_USE struct mr_error mr_audit_decode(struct mr_bytes json, struct mr_audit *ret_audit);
/* Cuts to size - 1 bytes between characters, and replaces what is not UTF-8 by U+FFFD. */
void mr_text_clean(const char *text, char *ret_text, size_t size);

/* ---- Reading ------------------------------------------------------------------------------------------- *
 *
 * Errors of reading: REJECT "not_found" (no such model or version), REJECT "corrupt" (what is there is wrong, or is
 * missing), FATAL "denied", TRANSIENT "unavailable" (could not tell). A record is checked against the hash that names
 * it.
 */

/* *ret_some false: the store says that there is no head. ret_etag may be NULL. */
MR_MUST_USE struct mr_error mr_head_read(struct mr_store *store, const char *model_id, bool *ret_some,
                                         struct mr_head *ret_head, struct mr_etag *ret_etag);
/* metadata.json of that version, whose SHA-256 must be record_hash (NULL: any; then it is returned only). */
MR_MUST_USE struct mr_error mr_version_read(struct mr_store *store, const char *model_id, const char *version_id,
                                            const struct mr_sha256 *record_hash, struct mr_version *ret_version,
                                            struct mr_sha256 *ret_record_hash);

struct mr_version_entry {
    struct mr_version version;
    struct mr_sha256 record_hash;
};

/* Walks the chain from head to genesis. */
struct mr_version_walk {
    struct mr_store *store;
    char model_id[MR_ID_SIZE];
    bool has_next;
    char version_id[MR_VERSION_ID_SIZE]; /* next to read */
    struct mr_sha256 record_hash;
};
/* REJECT "not_found" when there is no head. ret_head may be NULL. */
MR_MUST_USE struct mr_error mr_version_walk_begin(struct mr_store *store, const char *model_id,
                                                  struct mr_version_walk *ret_walk, struct mr_head *ret_head);
/* *ret_some false: genesis was the last. */
MR_MUST_USE struct mr_error mr_version_walk_next(struct mr_version_walk *walk, bool *ret_some,
                                                 struct mr_version_entry *ret_entry);

enum mr_version_choice_kind { MR_VERSION_HEAD = 1, MR_VERSION_COUNTER, MR_VERSION_ID };
struct mr_version_choice {
    enum mr_version_choice_kind kind;
    uint64_t counter;
    const char *version_id;
};
/* "head", "42" or "v0000000042_0a1b2c3d"; false: none of them. version_id points into text. */
MR_MUST_USE bool mr_version_choice_parse(const char *text, struct mr_version_choice *ret_choice);
/* The version of that name in the chain: an orphan of the same counter is not found. */
MR_MUST_USE struct mr_error mr_version_find(struct mr_store *store, const char *model_id,
                                            struct mr_version_choice choice, struct mr_version_entry *ret_entry);
/* Appends the bytes of checkpoint.pb of a version whose metadata was read; their SHA-256 is its content hash.
 * REJECT "version_gone": GC collected it. */
MR_MUST_USE struct mr_error mr_version_payload(struct mr_store *store, const struct mr_version *version,
                                               struct mr_buffer *ret_body);
/* Appends its checkpoint's bytes, whose SHA-256 is the content hash. REJECT "version_gone": GC collected the payload.
 * TRANSIENT "head_moved": head was asked for, and moved on so far meanwhile that the version is gone: ask again. */
MR_MUST_USE struct mr_error mr_version_load(struct mr_store *store, const char *model_id,
                                            struct mr_version_choice choice, struct mr_buffer *ret_checkpoint,
                                            struct mr_version_entry *ret_entry);

/* All versions of the chain, genesis first. */
struct mr_version_list {
    struct mr_version_entry *entries;
    size_t count;
};
MR_MUST_USE struct mr_error mr_versions_list(struct mr_store *store, const char *model_id,
                                             struct mr_version_list *ret_list);
void mr_version_list_deinit(struct mr_version_list *list);

/* One version with what the store holds of it, for people to look at. */
struct mr_version_inspection {
    struct mr_version_entry entry;
    bool is_head;
    bool has_payload;
    bool collected;    /* by GC, or about to be: the payload may be there still */
    bool payload_good; /* read and hashed: it is the content hash */
    uint64_t audit_count;
    uint64_t audit_bad; /* entries that seem to name it, but are not what was written */
};
MR_MUST_USE struct mr_error mr_versions_inspect(struct mr_store *store, const char *model_id,
                                                struct mr_version_choice choice,
                                                struct mr_version_inspection *ret_inspection);

/* ---- Verification -------------------------------------------------------------------------------------- */

enum mr_verify_verdict {
    MR_VERIFY_GOOD = 1,
    MR_VERIFY_CORRUPT,
    MR_VERIFY_UNDECIDED, /* could not tell: the store did not answer, or denied it */
    MR_VERIFY_NO_MODEL,  /* nothing is stored under this name */
    MR_VERIFY_LAST = MR_VERIFY_NO_MODEL,
};
enum mr_corruption {
    MR_CORRUPTION_NONE = 1,
    MR_CORRUPTION_HEAD_MISSING,   /* versions, but no head */
    MR_CORRUPTION_HEAD_MALFORMED, /* cannot be read as head.json */
    MR_CORRUPTION_HEAD_MISMATCH,  /* head and the metadata that it names differ */
    MR_CORRUPTION_METADATA_MISSING,
    MR_CORRUPTION_RECORD_HASH, /* metadata.json is not what its child (or head) names */
    MR_CORRUPTION_METADATA_MALFORMED,
    MR_CORRUPTION_IDENTITY,         /* its own id, model or commit id is not what its fields give */
    MR_CORRUPTION_GENESIS,          /* a version without parent that is not counter 0 and 1.0.0, or the other way */
    MR_CORRUPTION_COUNTER,          /* not the parent's plus one */
    MR_CORRUPTION_SEMANTIC_VERSION, /* no bump leads to it from its parent's */
    MR_CORRUPTION_POSITION,         /* in the same log and not behind its parent's */
    MR_CORRUPTION_PAYLOAD_MISSING,  /* and not collected */
    MR_CORRUPTION_PAYLOAD_HASH,     /* checkpoint.pb is not the content hash */
    MR_CORRUPTION_PAYLOAD_SIZE,
    MR_CORRUPTION_HASH_FILE,     /* content_hash.txt is missing or says something else */
    MR_CORRUPTION_AUDIT_MISSING, /* no audit entry names it */
    MR_CORRUPTION_AUDIT_CORRUPT, /* one that names it, or nothing that is in the chain, is not what was written */
    MR_CORRUPTION_LAST = MR_CORRUPTION_AUDIT_CORRUPT,
};
const char *mr_verify_verdict_text(enum mr_verify_verdict verdict); /* "good" */
const char *mr_corruption_text(enum mr_corruption corruption);      /* "payload_hash" */

struct mr_verify_result {
    enum mr_verify_verdict verdict;
    enum mr_corruption corruption; /* of the first bad version: the lowest counter that is bad */
    bool has_version;              /* false: it is about head, an audit entry of no version, or nothing was reached */
    uint64_t counter;
    char version_id[MR_VERSION_ID_SIZE];
    uint64_t versions;  /* in the chain, as far as it could be followed */
    uint64_t collected; /* of them, without payload by GC: tolerated */
    uint64_t audits;    /* entries that were read */
    uint64_t hashed_bytes;
    bool metadata_only; /* what was asked for */
    bool has_head;
    struct mr_head head;
    char detail[MR_ERROR_DETAIL_MAX]; /* of CORRUPT and UNDECIDED: what and where */
};

struct mr_verify_progress {
    uint64_t audits;                      /* read so far; they come first */
    uint64_t versions, versions_expected; /* orphans are among those that were read */
    uint64_t hashed_bytes;                /* of payloads */
};
struct mr_verify_options {
    uint32_t threads;   /* that read and hash; 0: the caller's alone, which a store that is not thread-safe needs */
    bool metadata_only; /* leave out the content of payloads and hash files; that they are there is checked */
    /* Called on the caller's thread, after every object; may be NULL. */
    void (*progress)(void *self, const struct mr_verify_progress *progress);
    void *self;
};
/* Head, then every version from genesis up to it: record hash, parent, counter, semantic version, position, payload,
 * hash file, audit entries. UNDECIDED wins over nothing: a corruption that was found is reported even when the rest
 * could not be read. Memory: 8 bytes for each audit entry, and nothing else that grows with the versions. */
MR_MUST_USE struct mr_verify_result mr_versions_verify_with(struct mr_store *store, const char *model_id,
                                                            const struct mr_verify_options *options);
/* All of it, on the caller's thread. */
MR_MUST_USE struct mr_verify_result mr_versions_verify(struct mr_store *store, const char *model_id);

#endif
