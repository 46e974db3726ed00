"""Where the content is read that is put in the place of a letter's own: folders of this machine that are called buckets, and S3."""

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress

from postroom.aws import object_reading
from postroom.aws.clients import Aws
from postroom.model import errors


class LetterSource:
    """Reads objects of at most `most` bytes; raises `ResourceNotFound`, or `TryLater` when S3 is not reached."""

    def __init__(self, folders: Mapping[str, str], aws: Aws | None, most: int) -> None:
        self._folders = folders
        self._aws = aws
        self._most = most

    def __call__(self, bucket: str, key: str, version: str) -> bytes:
        """Read an object, in a version or, if that is '', the newest."""
        if bucket in self._folders:
            if version:
                raise errors.ResourceNotFound(f"The bucket {bucket} keeps no versions.")
            return self._read_file(bucket, key)
        if self._aws is None:
            raise errors.ResourceNotFound(f"The bucket {bucket} is not known to this server, which has no access to Amazon S3.")
        return object_reading.read(self._aws, bucket, key, version=version, most=self._most)

    def _read_file(self, bucket: str, key: str) -> bytes:
        """Read a file below a bucket's folder, from which no symbolic link and no name leads away."""
        *above, name = key.split("/")
        at = -1
        try:
            at = os.open(self._folders[bucket], os.O_RDONLY | os.O_DIRECTORY)
            for step in above:
                at = _step(at, step, os.O_DIRECTORY)
            at = _step(at, name, os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(at).st_mode):
                raise FileNotFoundError(errno.ENOENT, "No such file")
            with os.fdopen(os.dup(at), "rb") as file:
                octets = file.read(self._most + 1)
        except OSError as error:
            raise errors.ResourceNotFound(f"The object {key} of the bucket {bucket} cannot be read: {error.strerror}") from None
        finally:
            with suppress(OSError):
                os.close(at)
        if len(octets) > self._most:
            raise errors.ResourceNotFound(f"The object {key} of the bucket {bucket} is larger than {self._most} bytes.")
        return octets


def _step(folder: int, name: str, flags: int) -> int:
    """Open what is in a folder, and close the folder."""
    try:
        if name in ("", ".", "..") or "/" in name:
            raise FileNotFoundError(errno.ENOENT, "No such file")
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=folder)
    finally:
        os.close(folder)
