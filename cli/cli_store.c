#include "cli_store.h"

#include "millrace/pins.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Opening one makes its folder, which is no good answer to somebody who looks for versions. */
static struct mr_error check_folder(const char *uri)
{
    char path[MR_FILE_PATH_SIZE];
    struct stat about;
    if (!mr_file_uri_path(uri, path) || stat(path, &about) == 0) {
        return mr_ok();
    }
    return errno == ENOENT || errno == ENOTDIR
               ? mr_error_make(MR_ERROR_REJECT, "not_found", errno, "there is no store at %.120s", uri)
               : mr_error_make(MR_ERROR_FATAL, "denied", errno, "%.100s: %s", uri, strerror(errno));
}

struct mr_error cli_store_open(const char *option, const char *model, const struct cli_rest *rest,
                               struct mr_store **ret_store)
{
    const char *uri = rest->count > 0 ? rest->words[0] : option;
    if (uri[0] == '\0') {
        return mr_error_make(MR_ERROR_REJECT, "missing_option", 0,
                             "which store? Give its URI: file:///dir or s3://bucket/prefix");
    }
    if (!mr_id_valid(mr_bytes_of_text(model))) {
        return mr_error_make(MR_ERROR_REJECT, "bad_id", 0, "--model: expected 1 to 63 of a-z 0-9 . _ -");
    }
    MR_TRY(check_folder(uri));
    return mr_store_open(uri, ret_store);
}

static struct mr_error add_pin(void *self, const struct mr_pin *pin)
{
    json_t *pins = self;
    json_t *names = json_object_get(pins, pin->version_id);
    if (names == NULL) {
        names = json_array();
        json_object_set_new(pins, pin->version_id, names);
    }
    return json_array_append_new(names, json_string(pin->name)) == 0
               ? mr_ok()
               : mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "pins");
}

struct mr_error cli_pins_read(struct mr_store *store, const char *model, json_t **ret_pins)
{
    *ret_pins = json_object();
    return mr_pins_each(store, model, add_pin, *ret_pins);
}

json_t *cli_pins_of(json_t *pins, const char *version_id)
{
    return json_object_get(pins, version_id);
}
