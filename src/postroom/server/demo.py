"""The demo: an organization with two users whose passwords everybody knows, under one folder, on the loopback.

The folder holds a configuration file like any other, written at the first run and read at the next, so `postroom keys`,
`users` and `check` work on it too; and `demo.json` with the key that the demo prints.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from postroom.directory import organizations, principals, registration, users
from postroom.mailflow import estate
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.policy import passwords
from postroom.policy.iam import access_keys
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import entities
from postroom.storage.queries import organizations as organization_rows

ALIAS = "demo"
KEY_NAME = "demo"
PEOPLE: Mapping[str, str] = {"alice": "Letters-4-Alice", "bob": "Letters-4-Bob"}
CONFIGURATION = """\
# The demo's configuration, read at every start; change it as you like. docs/configuration.md lists all settings.
data = "."

[api]
listen = ["127.0.0.1:8080"]

[web]
listen = ["127.0.0.1:8081"]
listen_tls = ["127.0.0.1:8443"]

[smtp]
listen = ["127.0.0.1:2525"]
postmaster = "alice@demo.postroom.test"

[submission]
listen = ["127.0.0.1:2587"]
listen_tls = ["127.0.0.1:2465"]
postmaster = "alice@demo.postroom.test"

[imap]
listen = ["127.0.0.1:2143"]
listen_tls = ["127.0.0.1:2993"]

[managesieve]
listen = ["127.0.0.1:4190"]

[mail]
hostname = "postroom.localhost"

[domains]
base = "postroom.test"
verify = false

[log]
format = "console"
level = "warning"
"""


class Person(msgspec.Struct, frozen=True):
    """One of the demo's users."""

    id: str
    email: str
    password: str


class Demo(msgspec.Struct, frozen=True):
    """What the demo printed, and prints again."""

    organization_id: str
    domain: str
    access_key_id: str
    secret_access_key: str
    users: list[Person]


def configuration(folder: Path) -> Path:
    """Give the demo's configuration file, written at the first run."""
    path = folder / "postroom.toml"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(CONFIGURATION)
    return path


def furnish(store: Store, folder: Path, base: str) -> Demo:
    """Make what is missing of the demo, or find it all as it was."""
    organizations.recover(store, estate.settle)
    with store.transaction(REGISTRY, write=False) as tx:
        found = organization_rows.find_by_alias(tx, ALIAS)
    organization = found or organizations.create(store, alias=ALIAS, test_suffix=base)
    people = [_person(store, organization, name, password) for name, password in PEOPLE.items()]
    key_id, secret = _key(store, folder / "demo.json")
    made = Demo(organization.id, organization.default_domain, key_id, secret, people)
    _save(folder / "demo.json", made)
    return made


def _person(store: Store, organization: Organization, name: str, password: str) -> Person:
    """Find or make a user; one that stays keeps whatever password it has been given since."""
    email = f"{name}@{organization.default_domain}"
    with store.transaction(organization.number) as tx:
        found = entities.find_by_name(tx, name)
        user = found or users.create(tx, name=name, display_name=name.title(), password_hash=passwords.hash(password))
        if not user.enabled:
            registration.register(tx, user.id, email)
    return Person(user.id, email, password)


def _key(store: Store, path: Path) -> tuple[str, str]:
    """Give the key of the last run, or a new one in its place if that is gone."""
    try:
        known = msgspec.json.decode(path.read_bytes(), type=Demo)
    except (FileNotFoundError, msgspec.DecodeError):
        known = None
    with store.transaction(REGISTRY) as tx:
        if known is not None and principals.find(tx, known.access_key_id):
            return known.access_key_id, known.secret_access_key
        for lost in [key for key in principals.page(tx) if key.name == KEY_NAME]:
            principals.delete(tx, lost.id)
        made = access_keys.issue(tx, name=KEY_NAME)
        return made.id, made.secret


def _save(path: Path, demo: Demo) -> None:
    partial = path.with_suffix(".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(demo))
    partial.replace(path)


def refuse_foreign(path: Path) -> None:
    """Raise for a folder that holds somebody's real data instead of a demo."""
    if (path / "registry.db").exists() and not (path / "demo.json").exists():
        raise errors.InvalidParameter(f"{path} holds the data of a server, not of a demo; choose another folder.")
