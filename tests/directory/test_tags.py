"""Tags of an organization."""

import pytest

from postroom.directory import tags
from postroom.model import errors
from postroom.storage.engine import Tx


def test_tags_are_put_changed_and_removed(tx: Tx) -> None:
    tags.put(tx, [("b", "2"), ("a", "1")])
    tags.put(tx, [("b", ""), ("B", "3")])
    assert tags.page(tx) == {"B": "3", "a": "1", "b": ""}
    tags.remove(tx, ["a", "missing"])
    assert tags.page(tx) == {"B": "3", "b": ""}


def test_fifty_tags_are_the_limit(tx: Tx) -> None:
    tags.put(tx, [(f"t{number}", "") for number in range(50)])
    with pytest.raises(errors.TooManyTags):
        tags.put(tx, [("more", "")])
    tags.put(tx, [("t3", "new")])
    assert len(tags.page(tx)) == 50


@pytest.mark.parametrize("pairs", [[("aws:mine", "1")], [("AWS:mine", "1")], [("a", "1"), ("a", "2")]])
def test_reserved_and_repeated_names_are_refused(tx: Tx, pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(errors.InvalidParameter):
        tags.put(tx, pairs)
    assert tags.page(tx) == {}
