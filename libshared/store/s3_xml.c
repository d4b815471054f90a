#include "s3_xml.h"

#include "s3_text.h"

#include <expat.h>

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 16, NAME_SIZE = 48, TEXT_SIZE = 4096 };

/* At the end of an element: its name, its parent's ("" for the root's), and its text: NULL when that is too long, and
 * without meaning when it has children. Depth 1 is the root. False: the document is not what is expected. */
typedef bool visit_fn(void *self, unsigned depth, const char *parent, const char *name, const char *text);

struct reader {
    XML_Parser parser;
    visit_fn *visit;
    void *self;
    bool bad, too_long;
    unsigned depth;
    size_t size;
    char names[DEPTH_MAX + 1][NAME_SIZE]; /* by depth */
    char text[TEXT_SIZE];
};

static void stop(struct reader *reader)
{
    reader->bad = true;
    (void)XML_StopParser(reader->parser, XML_FALSE);
}

static void on_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *reader = user;
    const size_t size = strlen(name);
    (void)attributes;
    if (reader->depth == DEPTH_MAX || size >= NAME_SIZE) {
        stop(reader);
        return;
    }
    memcpy(reader->names[++reader->depth], name, size + 1);
    reader->size = 0;
    reader->too_long = false;
}

static void on_text(void *user, const XML_Char *text, int size)
{
    struct reader *reader = user;
    if (reader->size + (size_t)size >= TEXT_SIZE) {
        reader->too_long = true;
        return;
    }
    memcpy(reader->text + reader->size, text, (size_t)size);
    reader->size += (size_t)size;
}

static void on_end(void *user, const XML_Char *name)
{
    struct reader *reader = user;
    reader->text[reader->size] = '\0';
    if (!reader->visit(reader->self, reader->depth, reader->names[reader->depth - 1], name,
                       reader->too_long ? NULL : reader->text)) {
        stop(reader);
    }
    reader->depth--;
    reader->size = 0;
    reader->too_long = false;
}

static void on_doctype(void *user, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    stop(user);
}

/* Servers keep a connection alive by spaces before the document, which XML does not allow. */
static struct mr_bytes without_spaces(struct mr_bytes document)
{
    while (document.size > 0 && (document.data[0] == ' ' || document.data[0] == '\n' || document.data[0] == '\r')) {
        document.data++;
        document.size--;
    }
    return document;
}

static bool read_document(struct mr_bytes raw, visit_fn *visit, void *self)
{
    const struct mr_bytes document = without_spaces(raw);
    struct reader *reader = calloc(1, sizeof *reader);
    XML_Parser parser = reader == NULL ? NULL : XML_ParserCreate("UTF-8");
    bool good = false;
    if (parser != NULL && document.size <= S3_LIST_BYTES_MAX) {
        *reader = (struct reader){.parser = parser, .visit = visit, .self = self};
        XML_SetUserData(parser, reader);
        XML_SetElementHandler(parser, on_start, on_end);
        XML_SetCharacterDataHandler(parser, on_text);
        XML_SetStartDoctypeDeclHandler(parser, on_doctype);
        good = XML_Parse(parser, (const char *)document.data, (int)document.size, XML_TRUE) == XML_STATUS_OK &&
               !reader->bad;
    }
    if (parser != NULL) {
        XML_ParserFree(parser);
    }
    free(reader);
    return good;
}

static struct mr_error bad_reply(const char *what)
{
    return mr_error_make(MR_ERROR_TRANSIENT, "bad_reply", 0, "the reply is no %s", what);
}

static bool copy_text(const char *text, char *ret_text, size_t size)
{
    if (text == NULL || strlen(text) >= size) {
        return false;
    }
    memcpy(ret_text, text, strlen(text) + 1);
    return true;
}

/* ---- Errors -------------------------------------------------------------------------------------------- */

static bool visit_error(void *self, unsigned depth, const char *parent, const char *name, const char *text)
{
    if (depth == 1) {
        return strcmp(name, "Error") == 0;
    }
    if (depth == 2 && strcmp(parent, "Error") == 0 && strcmp(name, "Code") == 0) {
        return copy_text(text, self, S3_CODE_TEXT_SIZE);
    }
    return true;
}

void s3_xml_error_code(struct mr_bytes document, char ret_code[S3_CODE_TEXT_SIZE])
{
    char code[S3_CODE_TEXT_SIZE] = "";
    if (!read_document(document, visit_error, code)) {
        code[0] = '\0';
    }
    for (const char *c = code; *c != '\0'; c++) { /* it goes into messages */
        if (!((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9'))) {
            code[0] = '\0';
            break;
        }
    }
    memcpy(ret_code, code, sizeof code);
}

/* ---- Uploads in parts ---------------------------------------------------------------------------------- */

static bool visit_upload(void *self, unsigned depth, const char *parent, const char *name, const char *text)
{
    (void)parent;
    if (depth == 1) {
        return strcmp(name, "InitiateMultipartUploadResult") == 0;
    }
    return depth != 2 || strcmp(name, "UploadId") != 0 || copy_text(text, self, S3_UPLOAD_ID_SIZE);
}

struct mr_error s3_xml_upload_id(struct mr_bytes document, char ret_id[S3_UPLOAD_ID_SIZE])
{
    char id[S3_UPLOAD_ID_SIZE] = "";
    if (!read_document(document, visit_upload, id) || id[0] == '\0') {
        return bad_reply("<InitiateMultipartUploadResult>");
    }
    memcpy(ret_id, id, sizeof id);
    return mr_ok();
}

static bool visit_completed(void *self, unsigned depth, const char *parent, const char *name, const char *text)
{
    (void)parent;
    if (depth == 1) {
        return strcmp(name, "CompleteMultipartUploadResult") == 0;
    }
    const bool is_etag = depth == 2 && strcmp(name, "ETag") == 0;
    return !is_etag || (text != NULL && (text[0] == '\0' || s3_etag_take(text, self)));
}

struct mr_error s3_xml_completed(struct mr_bytes document, struct mr_etag *ret_etag)
{
    struct mr_etag etag = {{0}};
    if (!read_document(document, visit_completed, &etag)) {
        return bad_reply("<CompleteMultipartUploadResult>");
    }
    *ret_etag = etag;
    return mr_ok();
}

/* ---- Lists ---------------------------------------------------------------------------------------------- */

struct list {
    struct mr_store_page page;
    size_t limit;
    bool encoded, has_key, has_size, has_truncated;
    struct mr_store_entry entry; /* of the <Contents> at hand; key is in key_text */
    char key_text[TEXT_SIZE];
};

static bool take_size(const char *text, uint64_t *ret_size)
{
    uint64_t size = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || size > (UINT64_MAX - 9) / 10) {
            return false;
        }
        size = size * 10 + (uint64_t)(*c - '0');
    }
    *ret_size = size;
    return *text != '\0';
}

static bool take_field(struct list *list, const char *name, const char *text)
{
    if (strcmp(name, "Key") == 0) {
        list->has_key = copy_text(text, list->key_text, sizeof list->key_text) && text[0] != '\0';
        return list->has_key;
    }
    if (strcmp(name, "Size") == 0) {
        list->has_size = text != NULL && take_size(text, &list->entry.size);
        return list->has_size;
    }
    if (strcmp(name, "ETag") == 0) {
        return text != NULL && s3_etag_take(text, &list->entry.etag);
    }
    return true;
}

static bool add_entry(struct list *list)
{
    if (!list->has_key || !list->has_size || list->page.count == list->limit) {
        return false;
    }
    struct mr_store_entry *entry = &list->page.entries[list->page.count];
    *entry = list->entry;
    entry->key = strdup(list->key_text);
    if (entry->key == NULL) {
        return false;
    }
    list->page.count++;
    list->entry = (struct mr_store_entry){0};
    list->has_key = list->has_size = false;
    return true;
}

static bool visit_list(void *self, unsigned depth, const char *parent, const char *name, const char *text)
{
    struct list *list = self;
    if (depth == 3 && strcmp(parent, "Contents") == 0) {
        return take_field(list, name, text);
    }
    if (depth == 2 && strcmp(name, "Contents") == 0) {
        return add_entry(list);
    }
    if (depth == 2 && strcmp(name, "EncodingType") == 0) {
        list->encoded = text != NULL && strcmp(text, "url") == 0;
        return list->encoded;
    }
    if (depth == 2 && strcmp(name, "IsTruncated") == 0) {
        list->page.more = text != NULL && strcmp(text, "true") == 0;
        list->has_truncated = list->page.more || (text != NULL && strcmp(text, "false") == 0);
        return list->has_truncated;
    }
    return depth != 1 || strcmp(name, "ListBucketResult") == 0;
}

/* A page that did not go forward would be asked for again and again. */
static bool in_order(const struct list *list, const char *after)
{
    const char *last = after;
    for (size_t i = 0; i < list->page.count; i++) {
        char *key = list->page.entries[i].key;
        if ((list->encoded && !s3_decode(key)) || strcmp(key, last) <= 0) {
            return false;
        }
        last = key;
    }
    return !list->page.more || list->page.count > 0;
}

struct mr_error s3_xml_list(struct mr_bytes document, const char *after, uint32_t limit, struct mr_store_page *ret_page)
{
    struct list *list = calloc(1, sizeof *list);
    struct mr_store_entry *entries = calloc(limit, sizeof *entries);
    if (list == NULL || entries == NULL) {
        free(entries);
        free(list);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a page of %u keys", limit);
    }
    list->page.entries = entries;
    list->limit = limit;
    struct mr_error error = mr_ok();
    if (!read_document(document, visit_list, list) || !list->has_truncated) {
        error = bad_reply("<ListBucketResult>");
    } else if (!in_order(list, after)) {
        error = mr_error_make(MR_ERROR_TRANSIENT, "bad_reply", 0, "the keys of the list are not in ascending order");
    }
    if (mr_failed(error)) {
        mr_store_page_deinit(&list->page);
    } else {
        *ret_page = list->page;
    }
    free(list);
    return error;
}
