"""Members leave a group by the link in its letters, at one click of their mail program or after a question (RFC 8058 §3).

The link names the membership and proves that this server has written it; it needs no password, and lets nobody do anything else. Only POST
takes a member out: whoever just looks where the link leads, as scanners of mail do, is asked.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import parse_qsl

import structlog

from postroom.mailflow import lists
from postroom.mailflow.lists import Membership
from postroom.model import errors
from postroom.model.entities import Entity
from postroom.model.web import Answer, Request, Route
from postroom.storage.engine import Store

BODY_OCTETS = 4096
"""What a mail program sends is one field."""
FIELD, VALUE = "List-Unsubscribe", "One-Click"
_PART = re.compile(rb'name="?List-Unsubscribe"?[^\r\n]*(?:\r?\n[^\r\n]+)*\r?\n\r?\nOne-Click\r?\n--', re.IGNORECASE)
_HEADERS = (
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("x-robots-tag", "noindex"),
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body><h1>{title}</h1>{more}</body></html>
"""
_FORM = f'<form method="post"><input type="hidden" name="{FIELD}" value="{VALUE}"><button>Leave the group</button></form>'

log = structlog.get_logger("postroom.web")


def routes(store: Store) -> Iterator[Route]:
    """Give the routes under which members leave, on every host."""
    yield Route(path=f"{lists.PATH}*", handler=partial(_ask, store))
    yield Route(path=f"{lists.PATH}*", handler=partial(_leave, store), methods=("POST",), body_bytes=BODY_OCTETS)


async def _ask(store: Store, request: Request) -> Answer:
    """Ask whoever looks whether to leave."""
    named = _named(request)
    group = await _find(store, named) if named else None
    if group is None:
        return _page("This link leaves no group.", status=404)
    return _page(f"Leave the group {group.display_name}?", _FORM)


async def _leave(store: Store, request: Request) -> Answer:
    """Take the member out."""
    named = _named(request)
    if not _is_one_click(request):
        return _page("This is not how one leaves a group.", status=400)
    if named is None or not await _take_out(store, named):
        return _page("This link leaves no group.", status=404)
    log.info("group_left", scope=named.scope, group=named.group, member=named.member, client=request.client)
    return _page("You have left the group.")


async def _find(store: Store, named: Membership) -> Entity | None:
    try:
        return await store.read(named.scope, lists.find, named)
    except errors.OrganizationNotFound:
        return None


async def _take_out(store: Store, named: Membership) -> bool:
    """Look before anything is written: whoever guesses costs no more than a look."""
    return await _find(store, named) is not None and await store.transact(named.scope, lists.leave, named)


def _named(request: Request) -> Membership | None:
    return lists.read(request.path.removeprefix(lists.PATH))


def _is_one_click(request: Request) -> bool:
    """Say whether a body has the one field that it must have, in either form (RFC 8058 §3.2)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _PART.search(request.body) is not None
    fields = parse_qsl(request.body.decode("latin-1"), max_num_fields=10) if request.body.count(b"&") < 10 else []
    return (FIELD, VALUE) in fields


def _page(title: str, more: str = "", *, status: int = 200) -> Answer:
    text = _PAGE.format(title=html.escape(title), more=more)
    return Answer(status, text.encode(), "text/html; charset=utf-8", _HEADERS)
