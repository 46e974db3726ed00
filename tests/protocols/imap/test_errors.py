"""Every error of the domain has an answer."""

import inspect

import pytest

from postroom.model import errors
from postroom.model.errors import PostroomError
from postroom.protocols.imap.errors import CODES, answer

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PostroomError) and kind is not PostroomError]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_answered(kind: type[PostroomError]) -> None:
    assert kind in CODES
    line = answer(kind("What\r\nhappened: ü")).line(b"a1")
    assert line == b"a1 NO [" + CODES[kind] + b"] What happened: ?\r\n"


def test_what_is_hidden_reads_like_what_is_absent() -> None:
    assert CODES[errors.SignInFailed] == b"AUTHENTICATIONFAILED"
    assert errors.SignInFailed().text == "The name or the password is wrong."
