#include "faults.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile struct faults *faults;

void faults_refuse(const char *why)
{
    (void)fprintf(stderr, "faults: %s\n", why);
    abort();
}

/* Before main: nobody else runs yet. */
__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("MR_FAULTS");
    if (path == NULL) {
        return;
    }
    struct stat about;
    const int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &about) != 0 || (size_t)about.st_size < sizeof *faults) {
        faults_refuse("MR_FAULTS names no such file");
    }
    void *const at = mmap(NULL, (size_t)about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) {
        faults_refuse("MR_FAULTS cannot be mapped");
    }
    (void)close(file);
    faults = at;
}

volatile struct faults *faults_of_test(void)
{
    return faults;
}
