#include "event_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Framing --------------------------------------------------------------------------------------------- */

static struct mr_error append_little(struct mr_buffer *buffer, uint64_t value, size_t size)
{
    uint8_t bytes[sizeof value];
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    return mr_buffer_append(buffer, bytes, size);
}

/* The format masks checksums, since the checksum of data that holds its own checksum is a weak one. */
static struct mr_error append_checksum(struct mr_buffer *buffer, struct mr_bytes of)
{
    const uint32_t crc = mr_crc32c(0, of);
    return append_little(buffer, (crc >> 15 | crc << 17) + 0xa282ead8U, sizeof crc);
}

struct mr_error cli_event_frame(struct mr_bytes record, struct mr_buffer *ret_framed)
{
    const size_t at = ret_framed->size;
    /* All of it at once: what the length's checksum is of stays where it is. */
    MR_TRY(mr_buffer_reserve(ret_framed, at + record.size + 16));
    MR_TRY(append_little(ret_framed, record.size, 8));
    MR_TRY(append_checksum(ret_framed, mr_bytes_of(ret_framed->data + at, 8)));
    MR_TRY(mr_buffer_append(ret_framed, record.data, record.size));
    return append_checksum(ret_framed, record);
}

/* ---- The file -------------------------------------------------------------------------------------------- */

static struct mr_error not_written(const char *what, const char *path)
{
    return mr_error_make(MR_ERROR_FATAL, "not_written", errno, "cannot %s %.160s: %s", what, path, strerror(errno));
}

static struct mr_error make_folder(const char *path)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST ? mr_ok() : not_written("make the folder", path);
}

static struct mr_error make_folders(const char *path)
{
    char parent[PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s", path);
    for (char *slash = strchr(parent + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        MR_TRY(make_folder(parent));
        *slash = '/';
    }
    return make_folder(path);
}

/* The draft's name is none that TensorBoard takes for an event file, and that of this process alone. */
struct mr_error cli_event_file_open(const char *folder, const char *name, struct cli_event_file *ret_file)
{
    struct cli_event_file file = {0};
    const int path_size = snprintf(file.path, sizeof file.path, "%s/%s", folder, name);
    const int draft_size = snprintf(file.draft, sizeof file.draft, "%s/.draft-%ld", folder, (long)getpid());
    if (path_size >= (int)sizeof file.path || draft_size >= (int)sizeof file.draft) {
        errno = ENAMETOOLONG;
        return not_written("write", folder);
    }
    MR_TRY(make_folders(folder));
    file.file = fopen(file.draft, "we");
    if (file.file == NULL) {
        return not_written("write", file.draft);
    }
    *ret_file = file;
    return mr_ok();
}

struct mr_error cli_event_file_append(struct cli_event_file *file, struct mr_bytes record)
{
    struct mr_buffer framed = {0};
    struct mr_error error = cli_event_frame(record, &framed);
    if (!mr_failed(error) && fwrite(framed.data, 1, framed.size, file->file) != framed.size) {
        error = not_written("write", file->draft);
    }
    mr_buffer_deinit(&framed);
    return error;
}

struct mr_error cli_event_file_finish(struct cli_event_file *file)
{
    const bool closed = fclose(file->file) == 0;
    file->file = NULL;
    if (closed && rename(file->draft, file->path) == 0) {
        return mr_ok();
    }
    const struct mr_error error = not_written("write", file->path);
    (void)unlink(file->draft);
    return error;
}

void cli_event_file_discard(struct cli_event_file *file)
{
    if (file->file != NULL) {
        (void)fclose(file->file);
        (void)unlink(file->draft);
        file->file = NULL;
    }
}
