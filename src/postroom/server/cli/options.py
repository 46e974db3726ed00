"""Options that several verbs share."""

import argparse
from pathlib import Path

from postroom.server import configuration
from postroom.server.configuration import Settings

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


def settings(arguments: argparse.Namespace) -> Settings:
    """Read the configuration file that the arguments name; raises ConfigurationError."""
    return configuration.load(arguments.config)
