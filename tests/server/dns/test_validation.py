"""Name servers that validate DNSSEC, that do not, and that say nothing: what the log and `postroom check` tell of them."""

import asyncio
from pathlib import Path

import pytest

from postroom.server import configuration
from postroom.server.dns import validation
from postroom.server.findings import Level
from postroom.server.settings import Settings
from tests.dns import NameServer, name_server


def settings(where: str, *, validating: bool = True) -> Settings:
    text = f"[dns]\nnameservers = ['{where}']\nvalidating = {str(validating).lower()}\nsigned_name = 'signed.test'\n"
    return configuration.parse(text, Path("/srv"))


async def look(server: NameServer, where: str, *, validating: bool, capsys: pytest.CaptureFixture[str]) -> tuple[list[Level], str]:
    """Give the levels of the findings, and what the log was told."""
    made = settings(where, validating=validating)
    capsys.readouterr()
    await validation.tell(made)
    told = capsys.readouterr().out
    found = await asyncio.to_thread(lambda: list(validation.findings(made)))
    return [finding.level for finding in found], told


@pytest.mark.parametrize(("validating", "proved"), [(True, True), (True, False), (False, True), (False, False)])
async def test_what_is_told(validating: bool, proved: bool, capsys: pytest.CaptureFixture[str]) -> None:
    async with name_server() as (server, where):
        server.add("signed.test", "SOA", "ns.test. root.test. 1 1 1 1 1")
        if proved:
            server.proved.add("signed.test")
        levels, told = await look(server, where, validating=validating, capsys=capsys)
        assert levels == [Level.GOOD if proved or not validating else Level.WARNING]
        assert ("dnssec_not_validated" in told) == (validating and not proved)


async def test_when_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    async with name_server() as (server, where):
        server.failing.add("signed.test")
        levels, told = await look(server, where, validating=True, capsys=capsys)
        assert levels == [Level.WARNING]
        assert "dnssec_not_known" in told


async def test_a_name_that_does_not_exist_proves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async with name_server() as (server, where):
        server.proved.add("signed.test")
        levels, told = await look(server, where, validating=True, capsys=capsys)
        assert levels == [Level.WARNING]
        assert "dnssec_not_validated" in told


def test_others_are_not_asked() -> None:
    made = configuration.parse("[dns]\nnameservers = ['192.0.2.1']\n", Path("/srv"))
    assert list(validation.findings(made)) == []
