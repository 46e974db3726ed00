"""Data keys under keys of AWS KMS.

KMS API: GenerateDataKey, Decrypt
"""

from __future__ import annotations

from typing import Any

from postroom.aws.clients import Aws
from postroom.aws.refusals import Refusal, told
from postroom.model import errors

CONTEXT = {"postroom": "organization"}
"""Bound to every wrapped key, and shown by CloudTrail."""


class KeyService:
    """AWS KMS, asked with this server's own credentials. Asks the network, so never inside a transaction."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def generate(self, key_arn: str) -> tuple[bytes, bytes]:
        """Make a data key, plain and wrapped; raises `InvalidParameter` for a key that may not be used, `DirectoryUnavailable`."""
        with told(f"The key {key_arn} cannot be used", _not_made):
            answer = self._kms().generate_data_key(KeyId=key_arn, KeySpec="AES_256", EncryptionContext=CONTEXT)
            return answer["Plaintext"], answer["CiphertextBlob"]

    def decrypt(self, wrapped: bytes, key_arn: str) -> bytes:
        """Unwrap a data key; raises `TryLater` while the key cannot be used."""
        with told(f"The organization's key {key_arn} cannot be used", _not_opened):
            plain: bytes = self._kms().decrypt(CiphertextBlob=wrapped, KeyId=key_arn, EncryptionContext=CONTEXT)["Plaintext"]
        return plain

    def _kms(self) -> Any:
        return self._aws.client("kms")


def _not_made(refusal: Refusal) -> Exception:
    return errors.DirectoryUnavailable(refusal.text) if refusal.passing else errors.InvalidParameter(refusal.text)


def _not_opened(refusal: Refusal) -> Exception:
    return errors.TryLater(refusal.text)
