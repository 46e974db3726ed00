"""Tags: names and values that an administrator hangs on an organization."""

from collections.abc import Iterable, Sequence

from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import tags

MAX_TAGS = 50
RESERVED_PREFIX = "aws:"


def page(tx: Tx) -> dict[str, str]:
    """List all tags, by name (WorkMail API: ListTagsForResource)."""
    return dict(tags.page(tx))


def put(tx: Tx, pairs: Sequence[tuple[str, str]]) -> None:
    """Add tags or change their values; raises `TooManyTags` beyond 50 (WorkMail API: TagResource)."""
    new = dict(pairs)
    if len(new) < len(pairs):
        raise errors.InvalidParameter("A tag is named twice.")
    for name in new:
        if name.lower().startswith(RESERVED_PREFIX):
            raise errors.InvalidParameter(f"The tag {name} begins with {RESERVED_PREFIX}, which is reserved.")
    if len(page(tx) | new) > MAX_TAGS:
        raise errors.TooManyTags(f"An organization may have {MAX_TAGS} tags.")
    tags.insert(tx, new)


def remove(tx: Tx, names: Iterable[str]) -> None:
    """Remove tags, which need not be there (WorkMail API: UntagResource)."""
    tags.delete(tx, names)
