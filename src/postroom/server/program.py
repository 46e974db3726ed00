"""The running program: rooms wired together, every listener open, signals obeyed, an orderly end.

SIGTERM or SIGINT closes the listeners, lets every client finish what it is at within a few seconds and exits with 0; nothing
acknowledged depends on that, as a killed program loses nothing either. Certificates are read again at SIGHUP and when they change. Mail
that is no longer carried ends the program too, with 1, so that whoever watches over it starts it again.
"""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from postroom.directory import organizations
from postroom.mailflow import estate
from postroom.server import certificates, configured, listeners, logs, memory, ready, wiring
from postroom.server.acme.challenges import Answering
from postroom.server.acme.folder import Folder
from postroom.server.chosen import Chosen
from postroom.server.configuration import ConfigurationError
from postroom.server.dns import validation
from postroom.server.listeners import Listener
from postroom.server.presented import Presented, Unreadable
from postroom.server.settings import Settings
from postroom.storage.engine import Store

Facts = Mapping[str, Any]
GRACE_SECONDS = 2.5
END_SECONDS = 4.0

log = structlog.get_logger("postroom.server")


@dataclass(frozen=True, slots=True)
class Outside:
    """What the program tells the world besides serving it."""

    ready_file: Path | None = None
    facts: Facts = field(default_factory=dict)
    """Added to what the ready file says."""
    announce: Callable[[Facts], None] | None = None
    """Called with the same facts."""
    yielding: bool = False
    """Whether a free port will do where the configured one is taken."""


def prepare(settings: Settings) -> None:
    """Set up what must stand before anything is opened."""
    memory.economize()
    logs.configure(format=settings.log.format, level=settings.log.level)


def serve(settings: Settings, store: Store, outside: Outside) -> int:
    """Run until a signal ends it; give the exit status."""
    if outside.ready_file:
        outside.ready_file.unlink(missing_ok=True)
    store.hear()
    organizations.recover(store, estate.settle)
    configured.apply(store, settings.organizations)
    with _runner() as runner:
        status, in_time = runner.run(_main(settings, store, outside))
        sys.stdout.flush()
        if not in_time:
            os._exit(status)  # before the runner waits for a thread that does not come back; what is committed is safe
    return status


def _runner() -> "asyncio.Runner":
    """Make the event loop: uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def _main(settings: Settings, store: Store, outside: Outside) -> tuple[int, bool]:
    """Open, serve, drain; give the exit status, and whether everything came to its end in time."""
    end = _on_signals()
    shown = _presented(settings)
    rooms = wiring.wire(settings, store, shown.context, _web_context(settings, shown))
    opened = await listeners.open_all(rooms.doors, yielding=outside.yielding)
    working = rooms.start()
    trimming = asyncio.create_task(memory.keep_small(), name="memory")
    working.add_done_callback(lambda _: end.set())
    _on_hangup(shown)
    watching = asyncio.create_task(shown.watch(), name="certificates")
    checking = asyncio.create_task(validation.tell(settings), name="dnssec")
    renewal = wiring.renewal(settings, store, shown)
    if renewal is not None:
        renewal.start()
    facts = {**_facts(settings, opened, shown.default), **outside.facts}
    memory.settle()
    if outside.ready_file:
        ready.write(outside.ready_file, facts)
    if outside.announce:
        outside.announce(facts)
    log.info("ready", **{listener.door.name: f"{listener.host}:{listener.port}" for listener in opened})
    await end.wait()
    broken = working.exception() if working.done() else None
    if broken:
        log.error("carrier_failed", exc_info=broken)
    log.info("draining")
    trimming.cancel()
    watching.cancel()
    checking.cancel()
    if outside.ready_file:
        outside.ready_file.unlink(missing_ok=True)
    closing = [rooms.close(GRACE_SECONDS), *([renewal.close()] if renewal else [])]
    return int(broken is not None), await _drain(closing, opened, store)


async def _drain(closing: Sequence[Awaitable[None]], opened: list[Listener], store: Store) -> bool:
    for listener in opened:
        listener.close()
    try:
        async with asyncio.timeout(END_SECONDS):
            await asyncio.gather(*closing)
            await asyncio.to_thread(store.close)
    except TimeoutError:
        log.warning("ended_early")
        return False
    log.info("ended")
    return True


def _on_signals() -> asyncio.Event:
    """Give the event that SIGTERM and SIGINT set."""
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    return end


def _on_hangup(shown: Presented) -> None:
    """Read the certificates again at SIGHUP."""
    under_way: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    def reload() -> None:
        task = loop.create_task(shown.reload(), name="reload")
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)


def _presented(settings: Settings) -> Presented:
    try:
        return Presented(Chosen(settings))
    except Unreadable as error:
        raise ConfigurationError(f"[tls] {error}") from None


def _web_context(settings: Settings, shown: Presented) -> ssl.SSLContext | None:
    """Give the web door's own context, where authorities ask there whether names are ours."""
    return Answering(shown, Folder(Path(settings.data))).context if settings.tls.acme.enabled else None


def _facts(settings: Settings, opened: list[Listener], files: certificates.Files) -> dict[str, Any]:
    """Say where everything is; of several addresses of one kind, the first."""
    facts: dict[str, Any] = {}
    for listener in opened:
        facts.setdefault(listener.door.name, [listener.host, listener.port])
    host, port = facts.pop("api", facts.get("api_tls", ["", 0]))
    scheme = "http" if settings.api.listen else "https"
    facts.pop("api_tls", None)
    facts["api"] = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    facts["region"] = settings.api.region
    facts["ca_file"] = str(files.authority or files.certificate)
    return facts
