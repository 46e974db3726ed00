"""Requests signed before the clock starts (AWS Signature Version 4, header form).

Signing is not what is measured, so it is done ahead. Each request is signed with a time of its own within two minutes of now: no
two signatures are alike, and a server that remembered verified ones would gain nothing.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any

import msgspec

JSON = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Signer:
    """An access key with the host, region and service it signs for."""

    host: str
    service: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def workmail(self, operation: str, parameters: dict[str, Any], *, shift: int = 0) -> bytes:
        """Give the whole HTTP request of a WorkMail call, signed `shift` seconds from now."""
        headers = {"x-amz-target": f"WorkMailService.{operation}"}
        return self.request(msgspec.json.encode(parameters), JSON, headers, shift=shift)

    def iam(self, action: str, parameters: dict[str, str], *, shift: int = 0) -> bytes:
        """Give the whole HTTP request of an IAM call, signed `shift` seconds from now."""
        form = {"Action": action, "Version": "2010-05-08", **parameters}
        return self.request(urllib.parse.urlencode(form).encode(), FORM, {}, shift=shift)

    def request(self, body: bytes, content_type: str, headers: dict[str, str], *, shift: int) -> bytes:
        """Give a signed POST to / as bytes ready for the socket."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + shift))
        signed = {"content-type": content_type, "host": self.host, "x-amz-date": moment, **headers}
        lines = [f"{name}: {value}" for name, value in signed.items()]
        lines += [f"Authorization: {self._authorization(signed, body, moment)}", f"Content-Length: {len(body)}"]
        return ("POST / HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode() + body

    def _authorization(self, headers: dict[str, str], body: bytes, moment: str) -> str:
        names = ";".join(sorted(headers))
        fields = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"POST\n/\n\n{fields}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{moment[:8]}/{self.region}/{self.service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = signing_key(self.secret_key, moment[:8], self.region, self.service)
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        return f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"


@functools.lru_cache(maxsize=64)
def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """Derive the day's signing key."""
    key = f"AWS4{secret}".encode()
    for word in (day, region, service, "aws4_request"):
        key = hmac.new(key, word.encode(), "sha256").digest()
    return key
