"""One order: a certificate for a name, from the request to the chain (RFC 8555 §7.4). It may take minutes, on a thread of its own."""

import datetime
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import structlog
from acme import challenges, errors, messages
from josepy.errors import Error as JoseError

from postroom.server.acme import keys
from postroom.server.acme.account import Account, Refused
from postroom.server.acme.challenges import TOKEN, in_handshake
from postroom.server.acme.folder import Folder
from postroom.server.acme.transport import Interrupted, Session
from postroom.server.settings import Acme

log = structlog.get_logger("postroom.acme")

SECONDS = 180.0
"""How long an order may take in all."""
FIRST_POLL, LAST_POLL = 0.25, 5.0
REASON_CHARACTERS = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_FAILURES = (errors.Error, JoseError, requests.RequestException, keys.Unfit, OSError, KeyError, AttributeError, TypeError, *keys.UNREADABLE)
"""What an authority can make go wrong by what it answers, or by answering nothing."""


class Authority:
    """The authority that the settings name."""

    def __init__(self, settings: Acme, folder: Folder, ended: threading.Event) -> None:
        self._settings = settings
        self._folder = folder
        self._ended = ended

    def obtain(self, name: str) -> None:
        """Get a certificate for a name and show it from now on; raises Refused with the old one in its place, Interrupted."""
        self._folder.make()
        self._folder.sweep()
        with self._conversation() as account:
            self._order(account, name)

    def renewal(self, chain: bytes) -> tuple[float | None, float]:
        """Ask when a certificate should be renewed, and when to ask again, in epoch seconds (RFC 9773); raises Refused, Interrupted."""
        with self._conversation() as account:
            at, again = account.client.renewal_time(chain)
            return at.timestamp() if at else None, again.timestamp()

    @contextmanager
    def _conversation(self) -> Iterator[Account]:
        session = Session(self._ended, time.monotonic() + SECONDS)
        try:
            account = Account(self._settings, self._folder, session)
            with account.remembered():
                yield account
        except _FAILURES as error:
            raise Refused(told(error), session.pause) from error
        except (Refused, Interrupted):
            raise
        except Exception as error:  # one name that brings out a bug is no reason to leave the others
            log.exception("order_failed")
            raise Refused(f"internal error: {type(error).__name__}") from error
        finally:
            session.close()

    def _order(self, account: Account, name: str) -> None:
        key = self._key(name)
        deadline = time.monotonic() + SECONDS
        order = account.client.new_order(keys.request(key, name), self._settings.profile or None)
        for authorization in order.authorizations:
            if authorization.body.status == messages.STATUS_PENDING:
                self._prove(account, name, authorization, deadline)
            elif authorization.body.status != messages.STATUS_VALID:
                raise Refused(f"the authority holds the name to be {authorization.body.status.name}")
        until = datetime.datetime.now() + datetime.timedelta(seconds=deadline - time.monotonic())
        chain = account.client.finalize_order(order, until).fullchain_pem.encode()
        keys.check(chain, key, name)
        self._folder.install(name, chain, keys.pem(key))

    def _key(self, name: str) -> keys.Key:
        """Give the key for the next certificate: a new one, or the one there is if it is to stay."""
        kind, present = self._settings.key_type, self._folder.files(name)
        kept = keys.read(present.key.read_bytes(), kind) if present and self._settings.reuse_key else None
        return kept or keys.make(kind)

    def _prove(self, account: Account, name: str, authorization: messages.AuthorizationResource, deadline: float) -> None:
        """Answer the challenge that the settings name, and wait until the authority has looked."""
        body, token = _challenge(authorization, self._settings.challenge)
        answer = account.answer(token)
        by_http = self._settings.challenge == "http-01"
        posed = token if by_http else in_handshake(name)
        self._folder.pose(posed, answer.encode() if by_http else keys.answering(name, answer))
        try:
            account.client.answer_challenge(body, challenges.HTTP01Response(key_authorization=answer))
            self._await(account, authorization, deadline)
        finally:
            self._folder.withdraw(posed)

    def _await(self, account: Account, authorization: messages.AuthorizationResource, deadline: float) -> None:
        pause = FIRST_POLL
        while authorization.body.status == messages.STATUS_PENDING:
            if time.monotonic() > deadline:
                raise Refused("the authority has not looked in time")
            if self._ended.wait(pause):
                raise Interrupted
            pause = min(pause * 1.5, LAST_POLL)
            authorization, _ = account.client.poll(authorization)
        if authorization.body.status != messages.STATUS_VALID:
            reasons = [told(one.error) for one in authorization.body.challenges if one.error is not None]
            raise Refused(f"{self._settings.challenge}: " + ("; ".join(reasons) or f"the name is {authorization.body.status.name}"))


def _challenge(authorization: messages.AuthorizationResource, kind: str) -> tuple[messages.ChallengeBody, str]:
    """Find the challenge of a kind, and its token; raises Refused."""
    offered: list[str] = []
    for body in authorization.body.challenges:
        found: Any = body.chall.to_json()
        token = str(found.get("token", ""))
        if found.get("type") == kind and TOKEN.fullmatch(token):
            return body, token
        offered.append(str(found.get("type")))
    raise Refused(f"the authority does not offer {kind}, only {', '.join(offered)[:REASON_CHARACTERS]}")


def told(error: BaseException) -> str:
    """Say in one line what went wrong; much of it is what an authority has written."""
    if isinstance(error, messages.Error):
        text = f"{str(error.typ).rpartition(':')[2]}: {error.detail or error.title or 'no detail'}"
        text += "".join(f"; {told(one)}" for one in error.subproblems or ())
    elif isinstance(error, errors.IssuanceError):
        return told(error.error)
    elif isinstance(error, errors.TimeoutError):
        text = "the authority has not issued it in time"
    else:
        text = str(error) or type(error).__name__
    return _CONTROL.sub(" ", text)[:REASON_CHARACTERS]
