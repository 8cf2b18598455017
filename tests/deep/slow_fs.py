"""A directory, mounted a second time through FUSE: python slow_fs.py DIRECTORY MOUNT_POINT

Whoever stops this process (SIGSTOP) has a mount whose server does not answer any more, as NFS has it.
"""
import os
import sys

import fuse


class Through(fuse.Operations):
    def __init__(self, root):
        self.root = root

    def at(self, path):
        return self.root + path

    def getattr(self, path, fh=None):
        s = os.lstat(self.at(path))
        return {k: getattr(s, k) for k in ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_atime", "st_mtime",
                                           "st_ctime")}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.at(path))]

    def readlink(self, path):
        return os.readlink(self.at(path))

    def open(self, path, flags):
        return os.open(self.at(path), flags)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def release(self, path, fh):
        os.close(fh)


if __name__ == "__main__":
    fuse.FUSE(Through(os.path.realpath(sys.argv[1])), sys.argv[2], foreground=True, nothreads=True, ro=True)
