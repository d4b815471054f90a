/* The chain that versions make, from genesis up. Pure. */
#include "version_check.h"

#include <stdlib.h>
#include <string.h>

static const struct mr_chain_tip *tip_of(const struct mr_chain_level *level, const char *version_id)
{
    for (size_t i = 0; i < level->count; i++) {
        if (strcmp(level->tips[i].version_id, version_id) == 0) {
            return &level->tips[i];
        }
    }
    return NULL;
}

/* Where the link is broken and there is but one line, it is that one which goes on: what is wrong further down is then
 * not lost. */
static const struct mr_chain_tip *only_tip(const struct mr_chain_level *level)
{
    return level->count == 1 ? &level->tips[0] : NULL;
}

/* The lowest stays; of two at one version the one that says that its record is not the one that was committed. */
static void keep_lowest(struct mr_finding *first, const struct mr_finding *other)
{
    if (mr_finding_some(other) &&
        (!mr_finding_some(first) || other->counter < first->counter ||
         (other->counter == first->counter && other->corruption == MR_CORRUPTION_RECORD_HASH))) {
        *first = *other;
    }
}

static void inherit(struct mr_chain_tip *tip, const struct mr_chain_tip *parent)
{
    if (parent != NULL) {
        tip->versions += parent->versions;
        tip->collected += parent->collected;
        keep_lowest(&tip->first, &parent->first);
        tip->undecided = mr_failed(parent->undecided) ? parent->undecided : tip->undecided;
    }
}

static void find(struct mr_chain_tip *tip, enum mr_corruption corruption, const char *detail)
{
    struct mr_finding finding = {0};
    if (!mr_finding_some(&tip->first)) {
        mr_finding_set(&finding, corruption, tip->counter, tip->version_id, "%s: %s", tip->version_id, detail);
        tip->first = finding;
    }
}

/* ---- One link -------------------------------------------------------------------------------------------- */

static void check_progress(struct mr_chain_tip *tip, const struct mr_version *parent, const struct mr_version *version)
{
    const struct mr_position *a = &parent->position, *b = &version->position;
    if (!mr_semver_follows(parent->semantic_version, version->semantic_version)) {
        find(tip, MR_CORRUPTION_SEMANTIC_VERSION,
             "its semantic version does not follow its parent's by a patch, minor or major step");
    } else if (memcmp(a->log_id, b->log_id, sizeof a->log_id) == 0 && a->partition == b->partition &&
               a->offset >= b->offset) {
        find(tip, MR_CORRUPTION_POSITION, "its position in the log is not behind its parent's");
    }
}

static void blame_record(struct mr_finding *ret_finding, const struct mr_chain_tip *tip)
{
    mr_finding_set(ret_finding, MR_CORRUPTION_RECORD_HASH, tip->counter, tip->version_id,
                   "metadata.json of %s: its SHA-256 is not the record hash that the next version or head names",
                   tip->version_id);
}

/* The parent is what the tip names, or what it names is not there (NULL). */
static void link_to(struct mr_chain_tip *tip, const struct mr_chain_tip *parent)
{
    const struct mr_version *version = &tip->entry.version;
    if (parent == NULL) {
        mr_finding_set(&tip->pending, MR_CORRUPTION_METADATA_MISSING, tip->counter - 1, version->parent_version_id,
                       "metadata.json of %s, which %s names as its parent, is missing", version->parent_version_id,
                       tip->version_id);
    } else if (parent->has_record && !mr_sha256_equal(&version->parent_record_hash, &parent->entry.record_hash)) {
        blame_record(&tip->pending, parent);
    } else if (parent->has_version) {
        keep_lowest(&tip->first, &parent->pending);
        check_progress(tip, &parent->entry.version, version);
    }
}

/* Gives the line that the tip goes on with; NULL: it begins one. */
static const struct mr_chain_tip *link_down(const struct mr_chain *chain, struct mr_chain_tip *tip)
{
    const struct mr_version *version = &tip->entry.version;
    const struct mr_chain_tip *parent = NULL;
    uint64_t parent_counter = 0;
    if (tip->has_version && version->has_parent) {
        parent = tip_of(&chain->below, version->parent_version_id);
        if (!mr_version_id_parse(version->parent_version_id, &parent_counter) || parent_counter + 1 != tip->counter) {
            find(tip, MR_CORRUPTION_COUNTER, "its counter must be its parent's plus one");
        } else {
            link_to(tip, parent);
        }
        parent = parent == NULL ? only_tip(&chain->below) : parent;
    } else if (!tip->has_version) {
        parent = only_tip(&chain->below);
    }
    return parent;
}

static void check_audited(const struct mr_chain *chain, struct mr_chain_tip *tip, uint64_t audit_tag)
{
    const struct mr_audit_bad *bad = NULL;
    if (chain->audits == NULL || !tip->has_version) {
        return;
    }
    tip->audited = mr_audit_set_has(chain->audits, audit_tag);
    bad = mr_audit_set_bad(chain->audits, &tip->entry.version.commit_id);
    if (bad != NULL) {
        find(tip, MR_CORRUPTION_AUDIT_CORRUPT, bad->detail);
    } else if (!tip->audited && chain->audits->complete) {
        find(tip, MR_CORRUPTION_AUDIT_MISSING, "no audit entry names it");
    }
}

/* ---- Levels ---------------------------------------------------------------------------------------------- */

static struct mr_error grow(struct mr_chain_level *level)
{
    if (level->count == level->capacity) {
        const size_t capacity = level->capacity == 0 ? 4 : level->capacity * 2;
        struct mr_chain_tip *tips = realloc(level->tips, capacity * sizeof *tips);
        if (tips == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "verifying versions");
        }
        level->tips = tips;
        level->capacity = capacity;
    }
    return mr_ok();
}

static void next_level(struct mr_chain *chain, uint64_t counter)
{
    const struct mr_chain_level old = chain->below;
    chain->below = chain->top;
    chain->top = old;
    chain->top.count = 0;
    chain->top.counter = counter;
}

struct mr_error mr_chain_add(struct mr_chain *chain, const struct mr_version_seen *seen)
{
    if (chain->top.count > 0 && chain->top.counter != seen->counter) {
        next_level(chain, seen->counter);
    }
    MR_TRY(grow(&chain->top));
    chain->top.counter = seen->counter;
    struct mr_chain_tip *tip = &chain->top.tips[chain->top.count++];
    *tip = (struct mr_chain_tip){
        .counter = seen->counter,
        .has_record = seen->has_record,
        .has_version = seen->has_version,
        .entry = seen->entry,
        .versions = seen->has_version,
        .collected = seen->collected,
        .first = seen->finding,
        .undecided = seen->undecided,
    };
    memcpy(tip->version_id, seen->version_id, sizeof tip->version_id);
    const struct mr_chain_tip *parent = link_down(chain, tip);
    check_audited(chain, tip, seen->audit_tag);
    inherit(tip, parent);
    return mr_ok();
}

void mr_chain_deinit(struct mr_chain *chain)
{
    free(chain->below.tips);
    free(chain->top.tips);
    *chain = (struct mr_chain){0};
}

/* ---- Head ------------------------------------------------------------------------------------------------ */

static bool head_is_of(const struct mr_head *head, const struct mr_version *version)
{
    return head->counter == version->counter && head->step == version->step &&
           strcmp(head->version_id, version->version_id) == 0 && strcmp(head->run_id, version->run_id) == 0 &&
           memcmp(&head->semantic_version, &version->semantic_version, sizeof head->semantic_version) == 0 &&
           mr_sha256_equal(&head->content_hash, &version->content_hash) &&
           mr_sha256_equal(&head->commit_id, &version->commit_id) &&
           mr_position_equal(&head->position, &version->position);
}

static void find_head_mismatch(struct mr_finding *ret_finding, const struct mr_head *head)
{
    mr_finding_set(ret_finding, MR_CORRUPTION_HEAD_MISMATCH, head->counter, head->version_id,
                   "head.json and metadata.json of %s, which it names, differ", head->version_id);
}

/* What the last version finds below itself holds only if that version is the one that was committed. */
static struct mr_finding judge(const struct mr_chain_tip *tip, const struct mr_head *head)
{
    struct mr_finding first = tip->first, other = {0};
    const bool named = mr_sha256_equal(&head->record_hash, &tip->entry.record_hash);
    if (tip->has_record && !named && !tip->audited) {
        blame_record(&other, tip);
    } else if (tip->has_version) {
        keep_lowest(&first, &tip->pending);
        if (!named || !head_is_of(head, &tip->entry.version)) {
            find_head_mismatch(&other, head);
        }
    }
    keep_lowest(&first, &other);
    return first;
}

void mr_chain_settle(const struct mr_chain *chain, const struct mr_head *head, struct mr_verify_result *result,
                     struct mr_error *ret_undecided)
{
    const bool reached = chain->top.count > 0 && chain->top.counter == head->counter;
    const struct mr_chain_tip *tip = reached ? tip_of(&chain->top, head->version_id) : NULL;
    struct mr_finding first = {0}, missing = {0};
    if (tip != NULL) {
        first = judge(tip, head);
    } else {
        mr_finding_set(&missing, MR_CORRUPTION_METADATA_MISSING, head->counter, head->version_id,
                       "metadata.json of %s, which head names, is missing", head->version_id);
        tip = only_tip(&chain->top);
        first = tip == NULL ? missing : tip->first;
        keep_lowest(&first, &missing);
    }
    if (tip != NULL) {
        result->versions = tip->versions;
        result->collected = tip->collected;
        *ret_undecided = mr_failed(*ret_undecided) ? *ret_undecided : tip->undecided;
    }
    if (mr_finding_some(&first)) {
        result->corruption = first.corruption;
        result->has_version = true;
        result->counter = first.counter;
        memcpy(result->version_id, first.version_id, sizeof result->version_id);
        memcpy(result->detail, first.detail, sizeof result->detail);
    }
}
