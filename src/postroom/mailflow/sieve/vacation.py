"""Whether an automatic reply is sent, and what it says (RFC 5230 §4, RFC 3834 §2).

Silence is the rule wherever a reply could reach a machine, a list, somebody who did not write, or go round in circles.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from postroom.formats import addresses as address_lists
from postroom.formats.replies import Reply
from postroom.mailflow.assessment import Assessment, Result
from postroom.mailflow.assessment import Verdict as Opinion
from postroom.mailflow.sieve.letter import Letter
from postroom.mailflow.sieve.outcome import Vacation
from postroom.model import addresses, errors

_MACHINES = frozenset({
    "mailer-daemon", "postmaster", "noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "do_not_reply", "listserv", "majordomo",
    "bounce", "bounces", "daemon", "root", "nobody", "www-data",
})  # fmt: skip
_LISTS = ("list-id", "list-help", "list-unsubscribe", "list-post", "list-owner", "list-archive", "list-subscribe", "mailing-list")
_RECIPIENTS = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose mailbox it is: the name, and the addresses, the primary one first."""

    name: str
    addresses: tuple[str, ...]

    @property
    def keys(self) -> frozenset[str]:
        """The addresses as they are compared."""
        return frozenset(filter(None, map(key, self.addresses)))


def silence(vacation: Vacation, letter: Letter, sender: str, owner: Owner, assessment: Assessment, *, junk: bool) -> str:
    """Say why a letter is not answered; '' where it is. `junk` is what the organization thinks of it."""
    if not key(sender):
        return "no sender"
    if _is_machine(sender):
        return "sent by a machine"
    if key(sender) in owner.keys or key(sender) in _keys(vacation.addresses):
        return "sent by oneself"
    if junk or assessment.content.spam is not Opinion.PASS or assessment.content.malware is not Opinion.PASS:
        return "junk"
    known = assessment.authentication
    if known is not None and (known.dmarc.result is Result.FAIL or known.spf.result is Result.FAIL):
        return "the sender is forged"
    return _automatic(letter) or _not_addressed(letter, owner.keys | _keys(vacation.addresses))


def reply(vacation: Vacation, letter: Letter, sender: str, owner: Owner) -> Reply:
    """Write down what is answered; :from counts where it names an address of the owner."""
    own, name = owner.addresses[0], owner.name
    for mailbox in address_lists.parse(vacation.sender.encode()):
        spec = b"@".join((mailbox.local or b"", mailbox.domain or b"")).decode("utf-8", "replace")
        if key(spec) in owner.keys:
            own, name = spec, (mailbox.name or b"").decode("utf-8", "replace")
    subject = letter.texts("subject")
    return Reply(
        sender=own,
        name=_quoted(name),
        recipient=sender,
        subject=vacation.subject or f"Auto: {subject[0] if subject else ''}".rstrip(": "),
        text=vacation.reason,
        original=_first(letter, "message-id"),
        references=_first(letter, "references") or _first(letter, "in-reply-to"),
        mime=vacation.mime,
    )


def key(address: str) -> str:
    """Spell an address as it is compared, without what stands behind a plus; '' for what is none."""
    try:
        parsed = addresses.parse(address)
        return addresses.Address(parsed.local.partition("+")[0] or parsed.local, parsed.domain).key
    except errors.InvalidParameter:
        return ""


def _keys(given: Iterable[str]) -> frozenset[str]:
    return frozenset(filter(None, map(key, given)))


def _is_machine(sender: str) -> bool:
    local = sender.rpartition("@")[0].casefold().partition("+")[0]
    return local in _MACHINES or local.startswith("owner-") or local.endswith(("-request", "-owner", "-bounces", "-noreply", "-relay"))


def _automatic(letter: Letter) -> str:
    submitted = [value.partition(";")[0].strip().lower() for value in letter.texts("auto-submitted")]
    if any(value != "no" for value in submitted):
        return "sent by a machine"
    if any(letter.values(name) for name in _LISTS) or any(_word(value) in ("bulk", "list", "junk") for value in letter.texts("precedence")):
        return "sent to many"
    if any("all" in value.lower() or "oof" in value.lower() for value in letter.texts("x-auto-response-suppress")):
        return "no reply is wanted"
    return "a report" if any(_word(value).startswith("multipart/report") for value in letter.texts("content-type")) else ""


def _not_addressed(letter: Letter, own: Collection[str]) -> str:
    """Say whether the letter names the owner as one of those to whom it goes (RFC 5230 §4.5)."""
    for name in _RECIPIENTS:
        for mailboxes in letter.mailboxes(name):
            for mailbox in mailboxes:
                if key(b"@".join((mailbox.local or b"", mailbox.domain or b"")).decode("utf-8", "replace")) in own:
                    return ""
    return "addressed to others"


def _word(value: str) -> str:
    return value.strip().lower()


def _first(letter: Letter, name: str) -> str:
    values = letter.texts(name)
    return values[0] if values else ""


def _quoted(name: str) -> str:
    """Quote a name where it has to be (RFC 5322 §3.2.4)."""
    if not name or not name.isascii() or name.replace(" ", "").isalnum():
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
