"""Clients of AWS APIs, made once and shared by all threads, under the server's own credentials or a role's."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from postroom.aws.settings import Settings

SESSION_NAME = "postroom"
ROLE_SECONDS = 3600
RENEWED_BEFORE = 300.0
"""Credentials of a role are renewed when they have less than this left, in seconds."""
ROLES = 100
"""How many roles are remembered; who names another makes the first one forgotten."""


@dataclass(slots=True)
class _Role:
    """The credentials of a role and when they end, epoch seconds; one thread at a time asks for them."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    keys: dict[str, str] = field(default_factory=dict)
    until: float = 0.0


class Aws:
    """Makes clients; `region` is for settings that name none. Asks the network, so never inside a transaction."""

    def __init__(self, settings: Settings, region: str) -> None:
        import botocore.session  # 20 MB, for those alone who need it
        from botocore.config import Config

        self._settings = settings
        self._region = settings.region or region
        self._session = botocore.session.get_session()
        self._config = Config(
            connect_timeout=settings.connect_seconds,
            read_timeout=settings.read_seconds,
            retries={"mode": "standard", "total_max_attempts": 4},
            request_checksum_calculation="when_required",  # services that speak as AWS does often know no others
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if settings.endpoint or settings.endpoints.get("s3") else None,
            user_agent_extra="postroom",
        )
        self._made: dict[tuple[str, str, str], Any] = {}
        self._roles: dict[tuple[str, str], _Role] = {}
        self._turn = threading.Lock()

    def client(self, service: str, *, role: str = "", session_name: str = SESSION_NAME, seconds: float = 0.0) -> Any:
        """Give a botocore client of an API such as `s3`; with `role`, an ARN, under that role's credentials.

        With `seconds` it asks once, and no answer may take longer.

        What botocore raises comes through: `BotoCoreError` when AWS is not reached, `ClientError` when it refuses.
        """
        keys = self._keys_of(role, session_name) if role else self._own_keys()
        name = (f"{service} in {seconds:g}" if seconds else service, role, keys.get("aws_access_key_id", ""))
        with self._turn:
            if name not in self._made:
                self._made[name] = self._make(service, keys, seconds)
            return self._made[name]

    def _make(self, service: str, keys: dict[str, str], seconds: float) -> Any:
        endpoint = self._settings.endpoints.get(service) or self._settings.endpoint or None
        config = self._config
        if seconds:
            from botocore.config import Config

            once = {"mode": "standard", "total_max_attempts": 1}
            config = config.merge(Config(read_timeout=seconds, connect_timeout=min(seconds, self._settings.connect_seconds), retries=once))
        return self._session.create_client(service, region_name=self._region, endpoint_url=endpoint, config=config, **keys)

    def _own_keys(self) -> dict[str, str]:
        settings = self._settings
        if not settings.access_key_id:
            return {}
        return {"aws_access_key_id": settings.access_key_id, "aws_secret_access_key": settings.secret_access_key}

    def _keys_of(self, role: str, session_name: str) -> dict[str, str]:
        """Give the credentials of a role; while one is asked for, the clients of others are not waited with."""
        found = self._role(role, session_name)
        with found.turn:
            if found.until - time.time() < RENEWED_BEFORE:
                self._assume(found, role, session_name)
            return found.keys

    def _role(self, role: str, session_name: str) -> _Role:
        with self._turn:
            if (role, session_name) not in self._roles and len(self._roles) >= ROLES:
                first = next(iter(self._roles))
                del self._roles[first]
                self._forget(first[0])
            return self._roles.setdefault((role, session_name), _Role())

    def _assume(self, found: _Role, role: str, session_name: str) -> None:
        """Assume a role, or go on with it (STS API: AssumeRole)."""
        given = self.client("sts").assume_role(RoleArn=role, RoleSessionName=session_name, DurationSeconds=ROLE_SECONDS)["Credentials"]
        found.keys = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        found.until = given["Expiration"].timestamp()
        with self._turn:
            self._forget(role)

    def _forget(self, role: str) -> None:
        for name in [name for name in self._made if name[1] == role]:
            del self._made[name]
