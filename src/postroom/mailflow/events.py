"""What happens to letters, told after COMMIT as WorkMail's email event log tells it.

Every event bears the id that its letter has in the message flow, so that they can be read together. A letter from a user to a user of
the same organization has two, as it goes out and comes in. An event is a note in the transaction (`Tx.changes`): there is none of what
did not happen; a crash just after COMMIT loses those that were not written yet.

WorkMail administrator guide: monitoring email event logs
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from postroom.formats.message import Letterhead
from postroom.mailflow import verdicts
from postroom.mailflow.assessment import OURS, Assessment, Authentication, Policy, Result, Verdict
from postroom.policy.flow_rules import Action, Rule
from postroom.storage.engine import Tx

_ACTIONS = {action: action.value for action in Action} | {
    Action.JUNK: "MOVE_TO_JUNK",
    Action.NEVER_JUNK: "BYPASS_SPAM_CHECK",
    Action.GATEWAY: "SMTP_GATEWAY",
}


class MailEvent(msgspec.Struct, frozen=True):
    """Something that happened in an organization (`scope`) at a time, epoch seconds, to the letter `trace`."""

    scope: int
    at: float
    trace: str
    name: str
    fields: Mapping[str, Any]


def received(tx: Tx, trace: str, head: Letterhead, recipients: Sequence[str], assessment: Assessment = OURS) -> None:
    """Tell that a letter has come in for some of this organization, and what is known of it."""
    at = datetime.fromtimestamp(tx.now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {"recipients": recipients, **_names(head), "subject": head.subject, "messageId": head.message_id, "messageTimestamp": at}
    _tell(tx, trace, "ORGANIZATION_EMAIL_RECEIVED", {**fields, **_verdicts(assessment)})


def dmarc_policy_applied(tx: Tx, trace: str, head: Letterhead, recipients: Sequence[str], policy: Policy) -> None:
    """Tell that a letter has been treated as the domain in its From line asks."""
    _tell(tx, trace, "DMARC_POLICY_APPLIED", {"from": head.author, "recipients": recipients, "policy": policy.value})


def delivered(tx: Tx, trace: str, recipient: str, folder: str) -> None:
    """Tell that a letter lies in a mailbox."""
    _tell(tx, trace, "MAILBOX_EMAIL_DELIVERED", {"recipient": recipient, "folder": folder})


def mailbox_rule_applied(
    tx: Tx, trace: str, recipient: str, *, rule: str, actions: Sequence[str], folders: Sequence[str], recipients: Sequence[str]
) -> None:
    """Tell what a user's own rules have made of a letter: into which folders it has come, and to whom it has gone on."""
    told = [{"action": action, "recipients": recipients if action == "REDIRECT" else []} for action in actions]
    target = {"targetFolder": ", ".join(folders), "targetRecipient": recipient}
    _tell(tx, trace, "RULE_APPLIED", {"ruleName": rule, "ruleType": "MAILBOX_RULE", "ruleActions": told, **target})


def journaling_initiated(tx: Tx, trace: str, address: str) -> None:
    """Tell that the record of a letter is on its way."""
    _tell(tx, trace, "JOURNALING_INITIATED", {"journalingAddress": address})


def refused(tx: Tx, trace: str, recipient: str, *, reason: str, status: str, scope: int | None = None) -> None:
    """Tell that a letter that came in has not reached somebody and never will; `scope` is the organization that was to take it."""
    _tell(tx, trace, "INCOMING_EMAIL_BOUNCED", _bounced(recipient, reason, status), scope)


def submitted(tx: Tx, trace: str, head: Letterhead, recipients: Sequence[str]) -> None:
    """Tell that a user has sent a letter."""
    _tell(tx, trace, "OUTGOING_EMAIL_SUBMITTED", {"recipients": recipients, **_names(head), "subject": head.subject})


def held(tx: Tx, trace: str, recipients: Sequence[str], reason: str) -> None:
    """Tell that a user's letter waits in the queue until an administrator releases it."""
    _tell(tx, trace, "OUTGOING_EMAIL_HELD", {"recipients": recipients, "reason": reason})


def sender_held(tx: Tx, trace: str, sender: str, *, recipients: int, busiest: int) -> None:
    """Tell that what a user sends to others is held back from now on; the recipients are of this hour and of the busiest before."""
    _tell(tx, trace, "SENDER_HELD", {"sender": sender, "recipientsThisHour": recipients, "recipientsOfBusiestHour": busiest})


def sent(tx: Tx, trace: str, head: Letterhead, recipient: str, answer: verdicts.Verdict | None = None) -> None:
    """Tell that a user's letter has arrived with a recipient, and which server has taken it with which `answer`, if another has."""
    _tell(tx, trace, "OUTGOING_EMAIL_SENT", {"recipient": recipient, **_names(head), "messageId": head.message_id, **_answered(answer)})


def delayed(tx: Tx, trace: str, recipient: str, attempt: int, answer: verdicts.Verdict) -> None:
    """Tell that a user's letter has not reached a recipient at an attempt, and is tried again."""
    _tell(tx, trace, "OUTGOING_EMAIL_DELAYED", {"recipient": recipient, "attempt": attempt, "status": answer.status, **_answered(answer)})


def returned(tx: Tx, trace: str, recipient: str, *, reason: str, status: str) -> None:
    """Tell that a user's letter has not reached a recipient and never will."""
    _tell(tx, trace, "OUTGOING_EMAIL_BOUNCED", _bounced(recipient, reason, status))


def _answered(answer: verdicts.Verdict | None) -> dict[str, str]:
    """Say what a server has answered, and how the connection to it was encrypted: version, cipher and by what it was verified."""
    if answer is None:
        return {}
    said = {"host": answer.host, "reply": answer.text, "tls": answer.tls}
    return {name: value for name, value in said.items() if value}


def _names(head: Letterhead) -> dict[str, str]:
    """Name the author, and who wrote on the author's behalf."""
    other = head.sender and head.sender.casefold() != head.author.casefold()
    return {"sender": head.sender, "from": head.author} if other else {"from": head.author}


def rule_applied(tx: Tx, trace: str, rule: Rule, recipients: Sequence[str]) -> None:
    """Tell that a rule of the organization has decided about a letter for some recipients."""
    done = [{"action": _ACTIONS[rule.action], "recipients": recipients}]
    _tell(tx, trace, "RULE_APPLIED", {"ruleName": rule.name, "ruleType": f"{rule.way.value}_RULE", "ruleActions": done})


def _verdicts(assessment: Assessment) -> dict[str, str]:
    """Sum up what is known of a letter; of one of our own nothing is."""
    if assessment.ours:
        return {}
    known = assessment.authentication
    return {"spamVerdict": assessment.content.spam.value, **(_sender_verdicts(known) if known else {})}


def _sender_verdicts(known: Authentication) -> dict[str, str]:
    """Say who has sent a letter; any signature that holds is enough, and a policy counts only where DMARC has failed."""
    dkim = [signature.result for signature in known.dkim]
    best = Result.PASS if Result.PASS in dkim else next((result for result in dkim if result is Result.FAIL), next(iter(dkim), Result.NONE))
    dmarc = _verdict(known.dmarc.result)
    policy = {"dmarcPolicy": known.dmarc.published.value} if dmarc is Verdict.FAIL else {}
    return {"dkimVerdict": _verdict(best).value, "dmarcVerdict": dmarc.value, **policy, "spfVerdict": _verdict(known.spf.result).value}


def _verdict(result: Result) -> Verdict:
    match result:
        case Result.PASS:
            return Verdict.PASS
        case Result.FAIL | Result.SOFTFAIL:
            return Verdict.FAIL
        case Result.TEMPERROR | Result.PERMERROR:
            return Verdict.PROCESSING_FAILED
        case _:
            return Verdict.GRAY


def _bounced(recipient: str, reason: str, status: str) -> dict[str, Any]:
    return {"bouncedRecipient": {"emailAddress": recipient, "reason": reason, "status": status}}


def _tell(tx: Tx, trace: str, name: str, fields: Mapping[str, Any], scope: int | None = None) -> None:
    tx.changes.tell(MailEvent(tx.organization if scope is None else scope, tx.now, trace, name, fields))
