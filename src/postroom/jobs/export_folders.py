"""Buckets that are folders of this machine: an export grows in a file beside its place and is renamed when it is whole.

Nothing is ever written outside the folder: each step down is taken from the folder above, and none follows a symbolic link.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from postroom.mailbox import exports
from postroom.model.errors import InvalidParameter
from postroom.model.exports import Refused, Unreached, Vanished

_HOPELESS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EISDIR})


class FolderUpload:
    """The place of an export at `path` below a folder, which must be there. An upload is named by its unfinished file."""

    def __init__(self, root: Path, path: str) -> None:
        try:
            *self._folders, self._name = exports.file_names(path)
        except InvalidParameter as error:
            raise Refused(error.text) from None
        self._root = root
        self._file: BinaryIO | None = None

    def begin(self) -> str:
        """Make the unfinished file."""
        upload = f".{self._name}.partial"
        with _told(), self._folder() as folder:
            os.ftruncate(self._open(folder, upload, os.O_CREAT).fileno(), 0)  # not before it is locked
            os.fsync(folder)
        return upload

    def put(self, upload: str, number: int, offset: int, data: bytes | bytearray) -> str:
        """Write a part where it belongs, durably."""
        with _told():
            file = self._opened(upload)
            if os.fstat(file.fileno()).st_size < offset:
                raise Vanished
            view = memoryview(data)
            while view:
                written = os.pwrite(file.fileno(), view, offset)
                view, offset = view[written:], offset + written
            os.fsync(file.fileno())
        return str(number)

    def finish(self, upload: str, tags: Sequence[str], length: int) -> None:
        """Give the file its name."""
        with _told(), self._folder() as folder:
            file = self._opened(upload)
            os.ftruncate(file.fileno(), length)
            os.fsync(file.fileno())
            os.rename(upload, self._name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def abort(self, upload: str) -> None:
        """Remove the unfinished file."""
        with _told(), suppress(FileNotFoundError), self._folder() as folder:
            os.unlink(upload, dir_fd=folder)

    def write(self, path: str, data: bytes) -> None:
        """Write a small file beside the export, whole or not at all."""
        name = path.rpartition("/")[2]
        partial = f".{name}.partial"
        with _told(), self._folder() as folder:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=folder), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def close(self) -> None:
        """Let others write the unfinished file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self, upload: str) -> BinaryIO:
        if self._file is None:
            with self._folder() as folder:
                try:
                    return self._open(folder, upload, 0)
                except FileNotFoundError:
                    raise Vanished from None
        return self._file

    def _open(self, folder: int, upload: str, flags: int) -> BinaryIO:
        """Open the unfinished file and keep others from writing into it, such as a process that was only believed dead."""
        file = os.fdopen(os.open(upload, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600, dir_fd=folder), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise Unreached("Another process is still writing the file of the export.") from None
        self._file = file
        return file

    @contextmanager
    def _folder(self) -> Iterator[int]:
        """Open the folder that the export goes to, making those below the root that are missing."""
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in self._folders:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=folder)
                    os.fsync(folder)
                above, folder = folder, os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(above)
            yield folder
        finally:
            os.close(folder)


@contextmanager
def _told() -> Iterator[None]:
    """Say in words what the system refuses; a full disk may have room again."""
    try:
        yield
    except OSError as error:
        text = f"The folder of the bucket cannot be written: {error.strerror}."
        raise (Refused(text) if error.errno in _HOPELESS else Unreached(text)) from error
