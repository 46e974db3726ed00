"""Blobs: the bytes of contents, addressed by a keyed hash, immutable.

Small ones live in a row beside their content, where a group commit makes many durable with one fsync. Large
ones are files of their own under AES-256-GCM, written and fsynced *before* the transaction that refers to
them; a file whose row never came is swept. Each file has a fresh random name, so a sweep can never take a
file that a later content is about to use.
"""

import hmac
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from postroom.storage.keys import NONCE_BYTES, derive, fsync_folder

INLINE_LIMIT = 256 * 1024
"""Bytes up to which a blob lives in a row."""
RAW, ZSTD = 0, 1
_PAYS = 0.8
_SAMPLE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes ready to be kept: `data` when they go into a row, `file` when they are already on disk."""

    hash: bytes
    size: int
    codec: int
    data: bytes | None
    file: str | None


class BlobStore:
    """The blobs of one organization."""

    def __init__(self, folder: Path, data_key: bytes) -> None:
        self._folder = folder
        self._cipher = AESGCM(derive(data_key, "blobs"))
        self._names = derive(data_key, "names")
        self._secrets = AESGCM(derive(data_key, "secrets"))
        self._marks = derive(data_key, "marks")
        self._durable: set[Path] = set()

    def prepare(self, raw: bytes) -> Blob:
        """Hash the bytes and, when they are many, write them to a durable file."""
        digest = blake2b(raw, digest_size=32, key=self._names).digest()
        if len(raw) <= INLINE_LIMIT:
            return Blob(digest, len(raw), RAW, raw, None)
        codec, packed = _pack(raw)
        return Blob(digest, len(raw), codec, None, self._write(packed))

    def read_file(self, file: str, codec: int) -> bytes:
        """Give the bytes of a blob file; raises `OSError` or `InvalidTag` when it is damaged."""
        sealed = self._path(file).read_bytes()
        packed = self._cipher.decrypt(sealed[:NONCE_BYTES], memoryview(sealed)[NONCE_BYTES:], file.encode())
        return zstandard.ZstdDecompressor().decompress(packed) if codec == ZSTD else packed

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """Encrypt a secret to be kept in a row, for one purpose: PostgreSQL's rows are not encrypted otherwise."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._secrets.encrypt(nonce, secret, purpose.encode())

    def unseal(self, sealed: bytes, purpose: str) -> bytes:
        """Give a sealed secret back; raises `InvalidTag` when it was sealed elsewhere or for something else."""
        return self._secrets.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())

    def mark(self, text: bytes, purpose: str) -> bytes:
        """Give a mark of 32 octets that nobody without the organization's key can make, for one purpose."""
        return hmac.digest(self._marks, purpose.encode() + b"\0" + text, "sha256")

    def files(self, *, older_than: float) -> Iterator[str]:
        """List the names of files last written at least that many seconds ago, partial ones too."""
        limit = time.time() - older_than
        for path in self._folder.glob("*/*"):
            try:
                if path.stat().st_mtime <= limit:
                    yield path.name
            except FileNotFoundError:
                continue

    def remove(self, file: str) -> None:
        """Remove a blob file; an absent one is fine."""
        self._path(file).unlink(missing_ok=True)

    def _path(self, file: str) -> Path:
        return self._folder / file[:2] / file

    def _write(self, packed: bytes) -> str:
        name = secrets.token_hex(16)
        nonce = secrets.token_bytes(NONCE_BYTES)
        path = self._path(name)
        if path.parent not in self._durable:
            path.parent.mkdir(parents=True, exist_ok=True)
            for above in (self._folder, *self._folder.parents[:2]):  # even if it was there: who made it may not have come so far
                fsync_folder(above)
            self._durable.add(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            for piece in (nonce, self._cipher.encrypt(nonce, packed, name.encode())):
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) :]
            os.fsync(file.fileno())
        fsync_folder(path.parent)
        return name


def _pack(raw: bytes) -> tuple[int, bytes]:
    """Compress where a sample says that it pays."""
    compressor = zstandard.ZstdCompressor(level=3)
    middle = len(raw) // 2
    sample = raw[middle : middle + _SAMPLE]
    if len(compressor.compress(sample)) > _PAYS * len(sample):
        return RAW, raw
    return ZSTD, compressor.compress(raw)
