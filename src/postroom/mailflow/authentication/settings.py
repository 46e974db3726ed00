"""What is set about finding out who sent a letter."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[authentication]` table: how it is found out who sent a stranger's letter."""

    enabled: bool = True
    """Whether SPF, DKIM, DMARC, ARC and the name of the client are checked."""
    seconds: float = 15.0
    """How long that may take for a letter; what is not known then counts as a temporary error."""
    questions: int = 100
    """How many questions to DNS a letter may cost."""
    tree_walk: bool = False
    """Whether the domain of an organization is found by walking up the tree of DNS, and not by the Public Suffix List."""
    trusted_sealers: tuple[str, ...] = ()
    """Domains, such as those of mailing lists, whose ARC seal is believed about a letter that fails DMARC."""
    trusted_relays: tuple[str, ...] = ()
    """Networks of servers of one's own that pass on mail from strangers: who sent it cannot be told any more, and is not asked."""
