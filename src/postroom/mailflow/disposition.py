"""What becomes of a stranger's letter, by what is known of it: the inbox, Junk Email, or no mailbox at all.

What the domain in From asks by DMARC comes first, as long as the organization enforces it; nothing that a letter says of itself
stands above that. Then the organization's flow rules decide about each recipient. Malware that was let in is junk all the same; a rule may
only say that what the filters take for spam is none. A rule may also have the letter wait for what a hook says of it (`hooks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from postroom.mailflow.assessment import OURS, Assessment, Policy, Result, Verdict
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule


class Fate(StrEnum):
    """Where a copy ends, or that it waits for a hook."""

    INBOX = "inbox"
    JUNK = "junk"
    DROP = "drop"
    BOUNCE = "bounce"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Disposition:
    """What becomes of a copy.

    `reason` tells its sender why it comes back, `policy` is what DMARC has made of it, `rule` the organization's rule that has decided.
    """

    fate: Fate = Fate.INBOX
    reason: str = ""
    policy: Policy = Policy.NONE
    rule: Rule | None = None

    @property
    def delivers(self) -> bool:
        """Say whether a mailbox gets the copy."""
        return self.fate in (Fate.INBOX, Fate.JUNK)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a letter is judged by: what is known of it, whether DMARC is enforced, whether it is refused (or dropped) for that, and rules.

    `sender` is the address of the letter in the form in which rules compare it. `rulings` stand in the place of rules for some recipients;
    `heard` says that no hook is to be waited for any more.
    """

    assessment: Assessment = OURS
    enforced: bool = False
    refusing: bool = False
    rules: tuple[Rule, ...] = ()
    sender: str = ""
    rulings: Mapping[str, Rule] = field(default_factory=dict)
    heard: bool = False


WANTED = Disposition()


def asked(assessment: Assessment) -> Policy:
    """Give what the domain in From wants done with a letter."""
    known = assessment.authentication
    return known.dmarc.policy if known is not None and known.dmarc.result is Result.FAIL else Policy.NONE


def decide(circumstances: Circumstances, recipient: str) -> Disposition:
    """Decide about a letter for one recipient (RFC 7489 §6.7)."""
    assessment = circumstances.assessment
    policy = asked(assessment) if circumstances.enforced else Policy.NONE
    if policy is Policy.REJECT:
        return Disposition(Fate.BOUNCE if circumstances.refusing else Fate.DROP, _refusal(assessment), policy)
    rule = _rule(circumstances, recipient)
    if rule and rule.action is Action.LAMBDA and rule.waits and not circumstances.heard:
        return Disposition(Fate.WAIT, policy=policy, rule=rule)
    action = rule.action if rule else Action.DEFAULT
    if rule and action in (Action.DROP, Action.BOUNCE):
        return Disposition(Fate(action.value.lower()), rule.message or flow_rules.DEFAULT_MESSAGE, rule=rule)
    content = assessment.content
    spam = content.spam is Verdict.FAIL and action is not Action.NEVER_JUNK
    if policy is Policy.QUARANTINE or content.malware is Verdict.FAIL or spam or action is Action.JUNK:
        return Disposition(Fate.JUNK, policy=policy, rule=rule)
    return Disposition(rule=rule) if rule else WANTED


def returnable(assessment: Assessment, sender: str) -> bool:
    """Say whether a return path belongs to who has sent a letter; anybody else would take a report for junk, and rightly.

    So it is for letters of our own, for who may send under that name by SPF, and for who has signed for the domain in From and has the
    return path there, too.
    """
    known = assessment.authentication
    if assessment.ours or known is None or not sender:
        return assessment.ours and bool(sender)
    domain = sender.rpartition("@")[2].rstrip(".").lower()
    spf, dmarc = known.spf, known.dmarc
    if spf.result is Result.PASS and spf.scope == "mailfrom" and spf.domain.lower() == domain:
        return True
    return dmarc.result is Result.PASS and bool(dmarc.domain) and f".{domain}".endswith(f".{dmarc.domain}")


def _rule(circumstances: Circumstances, recipient: str) -> Rule | None:
    if recipient in circumstances.rulings:
        return circumstances.rulings[recipient]
    if not circumstances.rules:
        return None
    return flow_rules.decide(circumstances.rules, circumstances.sender, flow_rules.key(recipient))


def _refusal(assessment: Assessment) -> str:
    known = assessment.authentication
    return f"The DMARC policy of {known.dmarc.domain} forbids this message" if known else ""
