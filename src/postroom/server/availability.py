"""Tries availability providers for the API: EWS servers over HTTPS, Lambda functions through AWS.

The endpoint is chosen by whoever may call the API, so it is asked with care: only addresses of the Internet unless the settings permit
others, and the very address that was looked at is connected to; the certificate must be the host's; no redirect is followed; time and
size of an answer are bounded, and nothing of it is shown. Two providers are tried at once, so that the storage threads that wait for
them stay few.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
from concurrent.futures import Future
from urllib.parse import urlsplit

from postroom.aws.clients import Aws
from postroom.formats import availability
from postroom.model.availability import EwsProvider, LambdaProvider, Provider
from postroom.model.errors import TryLater
from postroom.server import pinned
from postroom.server.availability_settings import Settings
from postroom.server.dns.lookups import Lookups
from postroom.server.pinned import Pinned, Unreachable

SECONDS = 25.0
"""How long a provider may take (WorkMail administration: custom availability providers)."""
AT_ONCE = 2
ANSWER_BYTES = 1024 * 1024
REASON_LETTERS = 256


class Failed(Exception):
    """The provider did not pass; the text says why."""


class Probe:
    """Tries providers, `SECONDS` at the most each."""

    def __init__(self, lookups: Lookups, settings: Settings, aws: Aws | None = None, seconds: float = SECONDS) -> None:
        self._lookups = lookups
        self._private = settings.private_addresses
        self._aws = aws
        self._seconds = seconds
        self._tls = ssl.create_default_context()
        if settings.ca:
            self._tls.load_verify_locations(settings.ca)
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def __call__(self, provider: Provider, question: bytes) -> str:
        """Say why a provider cannot be used, a function for this question; empty when it can. Raises `TryLater` while others are tried."""
        if not self._turns.acquire(blocking=False):
            raise TryLater("Other availability providers are being tested; try again.")
        try:
            return self._try(provider, question)
        finally:
            self._turns.release()

    def _try(self, provider: Provider, question: bytes) -> str:
        """Wait for a thread of its own, which is left alone when the time is over: it ends when AWS or the endpoint gives up."""
        tried: Future[None] = Future()
        try:
            threading.Thread(target=self._run, args=(tried, provider, question), name="availability", daemon=True).start()
        except RuntimeError as error:
            raise TryLater("Too much goes on here; try again.") from error
        try:
            tried.result(self._seconds)
        except Failed as failed:
            return str(failed)[:REASON_LETTERS]
        except TimeoutError:
            return f"There is no answer within {self._seconds:g} seconds."
        return ""

    def _run(self, tried: Future[None], provider: Provider, question: bytes) -> None:
        try:
            if isinstance(provider, EwsProvider):
                self._log_in(provider)
            else:
                self._invoke(provider, question)
        except BaseException as error:
            tried.set_exception(error)
        else:
            tried.set_result(None)

    def _log_in(self, provider: EwsProvider) -> None:
        """Ask an EWS server for what it shows only to those it has let in."""
        url = urlsplit(provider.endpoint)
        host = url.hostname or ""
        try:
            connection = Pinned(
                host, url.port or 443, pinned.address_of(host, self._lookups, private=self._private), self._tls, self._seconds
            )
            with pinned.until(connection, self._seconds):
                status, body = _ask(connection, f"{url.path}?{url.query}" if url.query else url.path, provider)
        except Unreachable as error:
            raise Failed(str(error)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failed(f"The endpoint does not answer: {pinned.reason(error)}") from error
        _judge(status, body)

    def _invoke(self, provider: LambdaProvider, question: bytes) -> None:
        """Invoke a function as for a user's question, and look at who else may."""
        if self._aws is None:
            raise Failed("This server has no access to AWS Lambda.")
        try:
            client = self._aws.client("lambda")
            given = client.invoke(FunctionName=provider.arn, InvocationType="RequestResponse", Payload=question)
            body = given["Payload"].read(ANSWER_BYTES + 1)
        except Exception as error:  # botocore's errors are many, and botocore is not to be imported here
            raise Failed(f"The function cannot be invoked: {error}") from error
        if given.get("FunctionError"):
            raise Failed("The function ended with an error.")
        try:
            if len(body) > ANSWER_BYTES:
                raise ValueError("it is too long")
            availability.answer(body)
        except ValueError as error:
            raise Failed(f"The function's answer cannot be read: {error}") from error
        if self._admits_anybody(client, provider.arn):
            raise Failed("The function's policy lets the service in for anybody: add a condition on aws:SourceArn or aws:SourceAccount.")

    @staticmethod
    def _admits_anybody(client: object, arn: str) -> bool:
        """Look at a function's resource policy; without one nobody but its account may invoke it."""
        try:
            return availability.admits_anybody(client.get_policy(FunctionName=arn)["Policy"])  # type: ignore[attr-defined]
        except Exception as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            if code == "ResourceNotFoundException":
                return False
            raise Failed(f"The function's policy cannot be read: {error}") from error


def _ask(connection: Pinned, path: str, provider: EwsProvider) -> tuple[int, bytes]:
    """Post the question under the provider's name; give the status and the beginning of the answer."""
    credentials = base64.b64encode(f"{provider.username}:{provider.password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "text/xml; charset=utf-8", "User-Agent": "Postroom"}
    connection.request("POST", path, availability.LOGIN, headers)
    answer = connection.getresponse()
    return answer.status, answer.read(ANSWER_BYTES)


def _judge(status: int, body: bytes) -> None:
    """Raise Failed unless this is how an EWS server answers somebody it knows; an error in the answer is of the question alone."""
    if status in (401, 403):
        raise Failed("The endpoint refuses the user name or the password.")
    if 300 <= status < 400:
        raise Failed("The endpoint redirects elsewhere; give the final address.")
    if status not in (200, 500) or availability.SOAP not in body:
        raise Failed(f"The endpoint answers {status}, and not as an EWS server does.")
