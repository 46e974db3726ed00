"""How operations of IAM are entered, whom they are about, and how they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from postroom.api import operation as registry
from postroom.api import paging
from postroom.api.operation import Answer, Call, Handler, Scope
from postroom.directory import principals
from postroom.model import errors
from postroom.model.principals import User

IAM = "iam"

Row = TypeVar("Row")


def operation(name: str) -> Callable[[Handler], Handler]:
    """Enter a handler that runs in the registry."""
    return registry.operation(name, scope=Scope.REGISTRY, service=IAM)


def user_of(call: Call) -> User:
    """Find the user that a request names, or else the caller; raises EntityNotFound, InvalidParameter."""
    return principals.get_user(call.tx, user_name(call))


def user_name(call: Call) -> str:
    """Give the name of the user a request is about."""
    named: str | None = call.params.get("UserName")
    if named is not None:
        return named
    if call.caller.identity.session is not None:
        raise errors.InvalidParameter("Must specify userName when calling with non-User credentials")
    return call.caller.identity.name


def refuse(params: Mapping[str, Any], *names: str) -> None:
    """Refuse what this server does not have, rather than leave it out silently."""
    for name in names:
        if params.get(name):
            raise errors.InvalidParameter(f"{name} is not supported here.")


def encoded(document: str) -> str:
    """Write a policy document as IAM answers it."""
    return quote(document, safe="")


def page(call: Call, member: str, rows: Sequence[Row], *, key: Callable[[Row], str], render: Callable[[Row], Any]) -> Answer:
    """Cut the rows that were fetched to a page."""
    shown = paging.answer(call.page, member, rows, key=lambda row: (key(row),), render=render)
    return shown | {"IsTruncated": "NextToken" in shown}


def after(call: Call) -> str:
    """Give the key of the last row that was given out; empty at the start."""
    return call.page.after[0] if call.page.after else ""


def cut(call: Call, rows: Sequence[Row], key: Callable[[Row], str]) -> list[Row]:
    """Take what a page needs from a short list that is in the order of its keys."""
    return [row for row in rows if key(row) > after(call)][: call.page.fetch]
