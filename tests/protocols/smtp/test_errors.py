"""Every domain error has its reply."""

import inspect

from postroom.model import errors as domain
from postroom.model.errors import PostroomError
from postroom.protocols.smtp import errors

WORDS = [kind for _, kind in inspect.getmembers(domain, inspect.isclass) if issubclass(kind, PostroomError) and kind is not PostroomError]


def test_every_domain_error_is_in_the_table() -> None:
    assert set(WORDS) <= set(errors.TABLE)
    assert len(WORDS) > 20


def test_replies_agree_with_themselves() -> None:
    for kind in WORDS:
        reply = errors.reply(kind("two\r\nlines"))
        assert str(reply.code)[0] == reply.status[0]
        assert reply.code // 100 in {4, 5}
        assert reply.render().count(b"\r\n") == 1


def test_an_unlisted_error_is_answered_as_its_ancestor() -> None:
    class Special(domain.OverQuota):
        """Full in a special way."""

    assert errors.reply(Special()).code == 552
    assert errors.reply(PostroomError("odd")).code == 451
