"""What the configuration says of an organization's mail: rules for letters that come in and go out, and where they are recorded.

WorkMail administrator guide: managing email flows, using email journaling
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import msgspec

from postroom.mailflow.outbound.gateways import Gateway
from postroom.mailflow.outbound.gateways import check as check_gateway
from postroom.model import errors
from postroom.model.addresses import parse
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Way
from postroom.server.hooks import settings as hook_settings

Word = Literal["drop", "bounce", "junk", "default", "never-junk", "gateway", "run-lambda"]
WORDS: dict[str, Action] = {
    "drop": Action.DROP,
    "bounce": Action.BOUNCE,
    "junk": Action.JUNK,
    "default": Action.DEFAULT,
    "never-junk": Action.NEVER_JUNK,
    "gateway": Action.GATEWAY,
    "run-lambda": Action.LAMBDA,
}
"""What actions are called in the configuration and by commands."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of the organization; `inbound` ones are for letters that come in, `outbound` ones for those that users send."""

    action: Word
    """What is done with a letter; `junk` and `never-junk` are for what comes in, `gateway` for what goes out."""
    senders: tuple[str, ...] = ("*",)
    """Addresses, domains, `*.domain` for a domain and all below it, or `*`."""
    destinations: tuple[str, ...] = ("*",)
    """The same for recipients. A rule that waits for a hook is for all of them."""
    message: str = ""
    """What the sender is told when a letter goes back."""
    gateway: str = ""
    """By way of which of `[gateways.NAME]` letters leave."""
    hook: str = ""
    """Which of `[hooks.NAME]` is called, or the ARN of a function of AWS Lambda."""
    wait: bool = False
    """Whether letters stay until the hook has answered; if not, they go on and the hook is told."""
    minutes: int = 0
    """For how many minutes, 240 at the most, a hook is called again that does not answer."""
    fallback: Literal["drop", "bounce", "junk", "default", "never-junk"] = "default"
    """What is done with letters for which the hook has not answered in time."""

    def read(self, way: Way, name: str) -> flow_rules.Rule:
        """Give the rule; raises `InvalidParameter`, `LimitExceeded`."""
        return flow_rules.checked(
            flow_rules.Rule(
                way,
                name,
                WORDS[self.action],
                self.senders,
                self.destinations,
                self.message,
                target=self.gateway or self.hook,
                waits=self.wait,
                minutes=self.minutes,
                fallback=WORDS[self.fallback],
            )
        )


class Journal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a record of each of the organization's letters goes."""

    journal: str = ""
    """The address that gets the records; none are made when it is empty."""
    report: str = ""
    """The address that hears of records that cannot be delivered."""


class Organization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An organization, by its alias. What stands here is not changed by `postroom flow` and `postroom journal`."""

    inbound: dict[str, Rule] = {}
    outbound: dict[str, Rule] = {}
    journal: Journal = Journal()

    def rules(self) -> list[flow_rules.Rule]:
        """Give all rules; raises `InvalidParameter`, `LimitExceeded`."""
        found = [rule.read(Way.INBOUND, name) for name, rule in self.inbound.items()]
        found += [rule.read(Way.OUTBOUND, name) for name, rule in self.outbound.items()]
        flow_rules.require_few(found)
        return found

    def journaling(self) -> tuple[str, str] | None:
        """Give the address of the records and that of reports; None where there are no records. Raises `InvalidParameter`, ValueError."""
        part = self.journal
        if not part.journal and not part.report:
            return None
        if not (part.journal and part.report):
            raise ValueError("needs both journal and report")
        return str(parse(part.journal)), str(parse(part.report))


def check(
    organizations: Mapping[str, Organization], hooks: Mapping[str, hook_settings.Settings], gateways: Mapping[str, Gateway], *, aws: bool
) -> None:
    """Raise ValueError, with the table, for what cannot be."""
    for name, hook in hooks.items():
        with _of(f"hooks.{name}"):
            _require_name(name)
            hook_settings.check(hook)
            if hook.function and not aws:
                raise ValueError("a function of AWS Lambda needs [aws] enabled")
    for name, gateway in gateways.items():
        with _of(f"gateways.{name}"):
            _require_name(name)
            check_gateway(gateway)
    for alias, part in organizations.items():
        for way, rules in ((Way.INBOUND, part.inbound), (Way.OUTBOUND, part.outbound)):
            for name, rule in rules.items():
                with _of(f"organizations.{alias}.{way.value.lower()}.{name}"):
                    _require_target(rule, rule.read(way, name).target, hooks, gateways, aws=aws)
        with _of(f"organizations.{alias}"):
            part.rules()
        with _of(f"organizations.{alias}.journal"):
            part.journaling()


def _require_name(name: str) -> None:
    if not flow_rules.TARGET.match(name):
        raise ValueError("a name has 1 to 64 letters, digits, dots, dashes and underscores")


def _require_target(rule: Rule, target: str, hooks: Mapping[str, object], gateways: Mapping[str, object], *, aws: bool) -> None:
    """Raise ValueError for a hook or a gateway that is not configured."""
    if rule.hook and rule.gateway:
        raise ValueError("a rule has either a hook or a gateway")
    if rule.action == "gateway" and (rule.hook or target not in gateways):
        raise ValueError(f"there is no [gateways.{target}]")
    if rule.action != "run-lambda" or target in hooks:
        return
    if rule.gateway or not flow_rules.FUNCTION.match(target):
        raise ValueError(f"there is no [hooks.{target}]")
    if not aws:
        raise ValueError("a function of AWS Lambda needs [aws] enabled")


@contextmanager
def _of(table: str) -> Iterator[None]:
    try:
        yield
    except errors.PostroomError as error:
        raise ValueError(f"[{table}] {error.text}") from None
    except ValueError as error:
        raise ValueError(f"[{table}] {error}") from None
