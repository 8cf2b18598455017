/* fuzz_fetch_helper_unpack.c - archives that may be anything: at most so much comes out, only below
 * the directory, and neither links nor devices */
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fetch/helper/archive.h"
#include "fetch/helper/mirror.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES = 1 << 20, ENTRIES = 50 };

static void check(char *dir)
{
    char *roots[] = {dir, NULL};
    off_t bytes = 0;
    FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *e; f != NULL && (e = fts_read(f)) != NULL;) {
        if (e->fts_info != FTS_D && e->fts_info != FTS_DP && e->fts_info != FTS_F)
            abort();
        if (e->fts_info == FTS_F)
            bytes += e->fts_statp->st_size;
    }
    fts_close(f);
    if (bytes > BYTES)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[] = "/tmp/sluice-fuzz-XXXXXX";
    sl_status st;
    if (mkdtemp(dir) == NULL)
        abort();
    int archive = memfd_create("archive", MFD_CLOEXEC), fd = open(dir, O_RDONLY | O_DIRECTORY);
    if (archive < 0 || fd < 0 || write(archive, data, size) != (ssize_t)size)
        abort();
    lseek(archive, 0, SEEK_SET);
    (void)fetch_unpack(archive, fd, BYTES, ENTRIES, &st);
    check(dir);
    close(fd);
    close(archive);
    fetch_remove_tree(dir);
    return 0;
}
