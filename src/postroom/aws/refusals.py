"""What AWS refuses, in plain words: whether to try again, and what to tell the administrator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_PASSING = frozenset({"InternalError", "InternalFailure", "RequestTimeout", "RequestTimeTooSkewed", "ServiceUnavailable", "SlowDown"})
_BAD_GATEWAY = (500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that AWS did not carry out; `code` is empty where it was not reached at all."""

    text: str
    code: str
    passing: bool
    """Whether the same request may well be carried out later."""


@contextmanager
def told(what: str, raise_: Callable[[Refusal], Exception]) -> Iterator[None]:
    """Raise, instead of what botocore does, the error made of the refusal; `what` says what was tried.

    What is taken from the answer is to be taken inside: what else calls itself AWS may leave it out.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError, PartialCredentialsError

    try:
        yield
    except ClientError as error:
        said, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(said.get("Code") or status)
        text = f"{what}: {said.get('Message') or 'no reason was given'} ({code})"
        passing = code in _PASSING or "Throttl" in code or status in _BAD_GATEWAY
        raise raise_(Refusal(text, code, passing)) from error
    except LookupError as error:
        raise raise_(Refusal(f"{what}: the answer lacks {error}", "", True)) from error
    except BotoCoreError as error:
        hopeless = isinstance(error, NoCredentialsError | PartialCredentialsError | ParamValidationError)
        raise raise_(Refusal(f"{what}: {error}", "", not hopeless)) from error
