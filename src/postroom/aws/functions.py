"""Functions of AWS Lambda, or of a runtime that answers to the same API.

Lambda API: Invoke
"""

from __future__ import annotations

from postroom.aws.clients import Aws
from postroom.aws.refusals import Refusal, told
from postroom.model.errors import TryLater


class Functions:
    """Invokes functions, once each time. Asks the network, so never inside a transaction."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def invoke(self, function: str, event: bytes, *, waits: bool, seconds: float, most: int) -> bytes:
        """Invoke a function and give what it answers, at most one octet more than `most`; without `waits`, '' once it has been taken.

        Raises `TryLater` when it cannot be invoked, or ends with an error.
        """
        with told("The function cannot be invoked", _later):
            client = self._aws.client("lambda", seconds=seconds)
            kind = "RequestResponse" if waits else "Event"
            given = client.invoke(FunctionName=function, InvocationType=kind, Payload=event)
            if not waits:
                return b""
            body: bytes = given["Payload"].read(most + 1)
        if given.get("FunctionError"):
            raise TryLater(f"The function ended with an error: {body[:200].decode(errors='replace')}")
        return body


def _later(refusal: Refusal) -> Exception:
    return TryLater(refusal.text)
