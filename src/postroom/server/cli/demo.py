"""`postroom demo`: everything at once, to try it."""

import argparse
from pathlib import Path

import msgspec

from postroom.server import configuration, demo, opening, program
from postroom.server.cli import options
from postroom.server.settings import Settings

DEFAULT_FOLDER = Path("data")


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--data", type=Path, metavar="DIR", default=DEFAULT_FOLDER, help="the folder for everything (%(default)s)")
    parser.add_argument("--any-ports", action="store_true", help="take any free ports instead of the usual high ones")
    parser.add_argument("--smarthost", metavar="HOST:PORT", help="hand all outgoing mail to this server")
    parser.add_argument("--nameserver", metavar="HOST:PORT", help="ask this name server only")
    options.add_ready_file(parser, " (ready.json under DIR)")


def run(arguments: argparse.Namespace) -> int:
    """Make or find the demo, print how to reach it, and serve."""
    folder = arguments.data.resolve()
    demo.refuse_foreign(folder)
    settings = _changed(configuration.load(demo.configuration(folder)), arguments)
    program.prepare(settings)
    opening.serve_alone(settings)
    store = opening.open_store(settings)
    made = demo.furnish(store, folder, settings.domains.base)
    outside = program.Outside(
        ready_file=arguments.ready_file or folder / "ready.json",
        facts=msgspec.structs.asdict(made) | {"users": [msgspec.structs.asdict(user) for user in made.users]},
        announce=lambda facts: print(told(facts, folder), flush=True),
        yielding=True,
    )
    return program.serve(settings, store, outside)


def _changed(settings: Settings, arguments: argparse.Namespace) -> Settings:
    """Apply the command line over the demo's configuration file."""
    replace = msgspec.structs.replace
    if arguments.smarthost:
        settings = replace(settings, mail=replace(settings.mail, smarthost=arguments.smarthost))
    if arguments.nameserver:
        settings = replace(settings, dns=replace(settings.dns, nameservers=(arguments.nameserver,)))
    if arguments.any_ports:
        free = ("127.0.0.1:0",)
        settings = replace(
            settings,
            api=replace(settings.api, listen=free),
            smtp=replace(settings.smtp, listen=free),
            submission=replace(settings.submission, listen=free, listen_tls=free),
            imap=replace(settings.imap, listen=free, listen_tls=free),
            managesieve=replace(settings.managesieve, listen=free),
        )
    return configuration.check(settings)


def told(facts: program.Facts, folder: Path) -> str:
    """Word where everything is."""

    def at(name: str) -> str:
        if name not in facts:
            return "closed"
        host, port = facts[name]
        return f"{host} port {port}"

    people = "\n".join(f"    {user['email']:<28} {user['password']}" for user in facts["users"])
    return f"""
Postroom's demo is ready. Everything is under {folder}; Ctrl-C ends it, the next run continues with the same data.

  Organization  {facts["organization_id"]}  ({facts["domain"]})
  Users and passwords
{people}

  IMAP          {at("imaps")} (TLS), {at("imap")} (STARTTLS)
  Submission    {at("submissions")} (TLS), {at("submission")} (STARTTLS)
  Mail in       {at("smtp")}
  Rules         {at("managesieve")} (ManageSieve)
  Authority     {facts["ca_file"]}  (trust this for TLS)

  Administration, as with Amazon WorkMail:
    export AWS_ACCESS_KEY_ID={facts["access_key_id"]} AWS_DEFAULT_REGION={facts["region"]}
    export AWS_SECRET_ACCESS_KEY={facts["secret_access_key"]}
    aws workmail list-users --endpoint-url {facts["api"]} --organization-id {facts["organization_id"]}
"""
