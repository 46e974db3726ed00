"""`postroom jobs`: the background work, listed, or done now instead of when its time comes. A server may run meanwhile."""

import argparse
import asyncio
import sys
from collections.abc import Callable

from postroom.directory import organizations
from postroom.model import errors
from postroom.server import background, logs, opening, schedule
from postroom.server.cli import options
from postroom.server.schedule import Job
from postroom.server.settings import Settings
from postroom.storage.engine import REGISTRY, Store


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `jobs`."""
    options.add_configuration(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="list the jobs, when they run and what they do").set_defaults(action=_list)
    run = actions.add_parser("run", help="run a job now, in every organization, and say what it did")
    run.add_argument("job", metavar="NAME")
    run.add_argument("--organization", metavar="ALIAS_OR_ID", help="in this one alone")
    run.set_defaults(action=_run)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    action: Callable[[Settings, argparse.Namespace], int] = arguments.action
    return action(options.settings(arguments), arguments)


def _list(settings: Settings, arguments: argparse.Namespace) -> int:
    print(f"{'NAME':<28} {'WHEN':<18} WHAT")
    for job in background.jobs(settings):
        print(f"{job.name:<28} {_when(job):<18} {job.text}")
    return 0


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run a job; exit status 1 when it failed somewhere, or could not be run because another process is at it."""
    job = _job(settings, arguments.job)
    logs.configure(format="console", level="error")
    store = opening.open_store(settings)
    try:
        return asyncio.run(_run_everywhere(store, job, _scopes(store, arguments.organization)))
    finally:
        store.close()


def _job(settings: Settings, name: str) -> Job:
    jobs = {job.name: job for job in background.jobs(settings, background.aws(settings), background.directories(settings))}
    if name not in jobs:
        raise errors.InvalidParameter(f"There is no job {name}; there are: {', '.join(jobs)}.")
    return jobs[name]


def _scopes(store: Store, wanted: str | None) -> dict[int, str]:
    """Find the active organizations that are meant, by their scopes; raises OrganizationNotFound."""
    found = {}
    for scope in store.scopes():
        with store.transaction(REGISTRY, write=False) as tx:
            organization = organizations.find_by_number(tx, scope)
        if organization is not None and wanted in (None, organization.alias, organization.id):
            found[scope] = organization.alias
    if wanted is not None and not found:
        raise errors.OrganizationNotFound(f"There is no organization {wanted}.")
    return found


async def _run_everywhere(store: Store, job: Job, scopes: dict[int, str]) -> int:
    status = 0
    for scope, alias in scopes.items():
        try:
            done = await schedule.run_in(store, job, scope)
        except Exception as error:  # the other organizations are not to wait for this one
            print(f"{alias}: {job.name} failed: {error or type(error).__name__}", file=sys.stderr)
            status = 1
            continue
        if done is None:
            print(f"{alias}: {job.name} is being run by another process", file=sys.stderr)
            status = 1
        else:
            print(f"{alias}: {job.name} did {done}", flush=True)
    return status


def _when(job: Job) -> str:
    if job.at is not None:
        return f"daily, {job.at // 3600:02.0f}:{job.at % 3600 // 60:02.0f} UTC"
    if job.seconds % 3600 == 0:
        return f"every {job.seconds / 3600:.0f} h"
    return f"every {job.seconds / 60:.0f} min"
