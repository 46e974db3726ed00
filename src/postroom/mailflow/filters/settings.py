"""What an operator may set about content filters and about what is refused at the door."""

from typing import Literal

import msgspec

Unavailable = Literal["accept", "defer"]


class Rspamd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[filters.rspamd]` table: a letter is shown to rspamd when `address` is set."""

    address: str = ""
    """`host:port` or `unix:/path` of rspamd's normal worker, usually `127.0.0.1:11333`. Letters travel to it in clear."""
    seconds: float = 10.0
    """How long it may take over a letter."""
    largest: int = 20_000_000
    """The largest letter it is shown, in octets; `larger` of `[filters]` says what happens to others."""
    unavailable: Unavailable = "accept"
    """What happens to letters when it does not answer: `accept` them unseen, or `defer` them, so that they come again."""
    reject: bool = True
    """Whether its action `reject` is obeyed; such letters go to Junk Email if not."""
    controller: str = ""
    """`host:port` of its controller, such as `127.0.0.1:11334`. With `password` it is taught what users move into or out of Junk Email."""
    password: str = ""
    """The password of its controller."""


class SpamAssassin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[filters.spamassassin]` table: a letter is shown to spamd when `address` is set."""

    address: str = ""
    """`host:port` or `unix:/path` of spamd, usually `127.0.0.1:783`."""
    seconds: float = 20.0
    """How long it may take over a letter."""
    largest: int = 512_000
    """The largest letter it is shown, in octets."""
    unavailable: Unavailable = "accept"
    """What happens to letters when it does not answer: `accept` or `defer`."""
    user: str = ""
    """The user whose preferences spamd applies, its own by default."""


class ClamAv(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[filters.clamav]` table: a letter is shown to clamd when `address` is set."""

    address: str = ""
    """`host:port` or `unix:/path` of clamd, usually `unix:/run/clamav/clamd.ctl`."""
    seconds: float = 20.0
    """How long it may take over a letter."""
    largest: int = 25_000_000
    """The largest letter it is shown, in octets; not more than clamd's own StreamMaxLength."""
    unavailable: Unavailable = "accept"
    """What happens to letters when it does not answer: `accept` or `defer`."""
    found: Literal["refuse", "junk"] = "refuse"
    """What happens to letters with malware."""


class Blocklists(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[filters.blocklists]` table: lists in DNS of addresses and domains that send junk. Mind what their owners ask of users."""

    refuse: tuple[str, ...] = ()
    """Zones such as `zen.spamhaus.org`: mail from an address that one of them lists is refused at RCPT."""
    score: dict[str, float] = {}
    """Zones of addresses, with what each adds to the score of a letter; 1.0 makes it junk alone."""
    domains: dict[str, float] = {}
    """Zones of domains, asked about those of MAIL FROM and of From, with what each adds to the score."""
    seconds: float = 4.0
    """How long all of them together may take; who has not answered by then lists nothing."""
    reverse_name: Literal["accept", "score", "refuse"] = "accept"
    """What to do with a client whose address has no name in DNS: nothing, add 0.3 to the score, or refuse its mail."""


class Greylisting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[filters.greylisting]` table: the first letter from an unknown network is told to come again later."""

    enabled: bool = False
    """Whether that is done. Mail from those who write for the first time comes late."""
    delay_seconds: float = 300.0
    """How long it has to stay away."""
    retry_seconds: float = 172_800.0
    """Until when it has to have come again, after which it begins anew."""
    memory_seconds: float = 3_024_000.0
    """How long a network that came again is known after its last letter; 35 days by default."""
    networks: tuple[str, ...] = ()
    """Networks whose mail is never told to come again, such as `192.0.2.0/24`."""
    senders: tuple[str, ...] = ()
    """Domains of senders whose mail is never told to come again."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[filters]` table: whether mail from strangers is wanted. Nothing of it applies to our own users or to `trusted_networks`."""

    headers: bool = True
    """Whether the header of a letter is looked at: dates, addresses and fields that no mail program writes so."""
    attachments: Literal["accept", "junk", "refuse"] = "accept"
    """What happens to letters with an attachment, or a file in an attached zip archive, whose name ends as one of `extensions`."""
    extensions: tuple[str, ...] = (
        *("ade", "adp", "apk", "bat", "chm", "cmd", "com", "cpl", "dll", "exe", "hta", "img", "ins", "iso", "isp", "jar", "js", "jse"),
        *("lib", "lnk", "mde", "msc", "msi", "msp", "mst", "nsh", "pif", "ps1", "reg", "scr", "sct", "sys", "vb", "vbe", "vbs", "vhd"),
        *("vhdx", "vxd", "wsc", "wsf", "wsh"),
    )
    """Endings of names of programs."""
    encrypted_archives: Literal["accept", "junk", "refuse"] = "accept"
    """What happens to letters with an encrypted zip archive, into which no filter can look."""
    larger: Literal["pass", "head"] = "pass"
    """What a filter gets to see of a letter that is too large for it: nothing, or the first octets of it."""
    refuse_score: float = 1000.0
    """The score from which on letters are refused rather than put into Junk Email, which 1.0 does; by default one that none has."""
    rspamd: Rspamd = Rspamd()
    spamassassin: SpamAssassin = SpamAssassin()
    clamav: ClamAv = ClamAv()
    blocklists: Blocklists = Blocklists()
    greylisting: Greylisting = Greylisting()
