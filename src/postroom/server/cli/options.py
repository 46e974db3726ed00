"""Options that several verbs share."""

import argparse
from pathlib import Path

from postroom.directory import organizations
from postroom.model import errors
from postroom.model.organizations import Organization, OrganizationStatus
from postroom.server import configuration, opening
from postroom.server.settings import Settings
from postroom.storage.engine import REGISTRY, Store

DEFAULT_CONFIGURATION = Path("/etc/postroom/postroom.toml")


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add `--config`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=DEFAULT_CONFIGURATION,
        help="the configuration file (%(default)s); docs/configuration.md lists its settings",
    )


def add_ready_file(parser: argparse.ArgumentParser, default: str = "") -> None:
    """Add `--ready-file`."""
    text = "write a JSON object with all addresses here, once every listener accepts; gone when the program ends" + default
    parser.add_argument("--ready-file", type=Path, metavar="PATH", help=text)


def add_organization(parser: argparse.ArgumentParser) -> None:
    """Add `--organization`."""
    parser.add_argument("--organization", metavar="ALIAS_OR_ID", help="needed only when there are several")


def settings(arguments: argparse.Namespace) -> Settings:
    """Read the configuration file that the arguments name; raises ConfigurationError."""
    return configuration.load(arguments.config)


def organization(store: Store, wanted: str | None) -> Organization:
    """Find the organization that is meant; raises OrganizationNotFound."""
    with store.transaction(REGISTRY, write=False) as tx:
        active = [one for one in organizations.page(tx, after=0, limit=10_000) if one.state == OrganizationStatus.ACTIVE]
    found = [one for one in active if wanted in (None, one.alias, one.id)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.alias for one in active) or "none"
    raise errors.OrganizationNotFound(f"Say which organization with --organization; there are: {names}.")


def act(arguments: argparse.Namespace) -> int:
    """Open the store and run `arguments.action(store, scope, arguments)` in the organization that is meant."""
    store = opening.open_store(settings(arguments))
    try:
        arguments.action(store, organization(store, arguments.organization).number, arguments)
    finally:
        store.close()
    return 0
