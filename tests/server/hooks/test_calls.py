"""Hooks over HTTPS: only who proves the host's name is told of letters."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from postroom.server.hooks import settings as hook_settings
from postroom.server.hooks.calls import Calls
from postroom.server.hooks.settings import Settings
from postroom.server.hooks.worker import Hooking
from postroom.storage.engine import Store
from tests.hook_server import SECRET, hook_server
from tests.mailflow.letters import receive
from tests.mailflow.test_sieve import places
from tests.people import People
from tests.server.hooks.test_answers import ALICE, SCAN, put


@pytest.mark.parametrize(("name", "authorities", "told"), [("127.0.0.1", True, 1), ("hooks.test", True, 0), ("127.0.0.1", False, 0)])
async def test_a_hook_proves_its_name(store: Store, people: People, tmp_path: Path, name: str, authorities: bool, told: int) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    with hook_server(context) as hook:
        put(store, replace(SCAN, minutes=0))
        part = Settings(url=hook.url, secret_file=str(tmp_path / "secret"), ca=str(tmp_path / "ca.pem") if authorities else "")
        receive(store, ALICE)
        await Hooking(store, Calls({"scan": part}, None, store.now)).sweep()
        assert (len(hook.events), hook.forged) == (told, 0)
    assert places(store, people, "alice") == ({"Inbox": [0]} if told else {"Junk Email": [0]})


def test_a_secret_that_is_none_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sesame")
    part = Settings(url="https://hooks.test/", secret_file=str(tmp_path / "secret"))
    hook_settings.check(part)
    with pytest.raises(ValueError, match="whsec_"):
        Calls({"scan": part}, None, lambda: 0.0)
    with pytest.raises(OSError, match="nowhere"):
        Calls({"scan": replace_file(part, "/nowhere")}, None, lambda: 0.0)


def replace_file(part: Settings, path: str) -> Settings:
    return Settings(url=part.url, secret_file=path)
