"""`postroom serve`: run the server until SIGTERM."""

import argparse

from postroom.model.principals import AccessKey
from postroom.server import first_start, opening, program
from postroom.server.cli import options


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_configuration(parser)
    options.add_ready_file(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve; the first start prints the administrator's key."""
    settings = options.settings(arguments)
    program.prepare(settings)
    opening.serve_alone(settings)
    store = opening.open_store(settings)
    made = first_start.administrator_key(store)
    if made:
        print(told(made), flush=True)
    return program.serve(settings, store, program.Outside(ready_file=arguments.ready_file))


def told(key: AccessKey) -> str:
    """Word a new key, as a shell reads it."""
    return (
        f"# Access key of {key.name}. The secret is shown this once; `postroom keys create` makes another.\n"
        f"AWS_ACCESS_KEY_ID={key.id}\nAWS_SECRET_ACCESS_KEY={key.secret}"
    )
