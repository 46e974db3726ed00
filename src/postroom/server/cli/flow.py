"""`postroom flow`: rules of an organization for letters that come in and go out. A running server obeys them at once."""

import argparse
from datetime import UTC, datetime

from postroom.mailflow import destinations, hooks
from postroom.mailflow.routes import GATEWAY
from postroom.model import errors
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.server import gateways
from postroom.server.cli import options
from postroom.server.flow_settings import WORDS
from postroom.server.settings import Settings
from postroom.storage.engine import Store
from postroom.storage.queries import waiting

_WAYS = {"in": Way.INBOUND, "out": Way.OUTBOUND}
_WORDS = {action: word for word, action in WORDS.items()}
_ANSWERS = [word for word, action in WORDS.items() if action in flow_rules.ANSWERS[Way.INBOUND]]
_PAGE = 100


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `flow`."""
    options.add_configuration(parser)
    options.add_organization(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="list all rules").set_defaults(action=_list)
    show = actions.add_parser("show", help="show a rule with its patterns")
    _add_rule(show)
    show.set_defaults(action=_show)
    put = actions.add_parser("put", help="make a rule, or say it anew")
    _add_rule(put)
    put.add_argument(
        "do", choices=WORDS, help="what is done with a letter; junk and never-junk are for what comes in, gateway for what goes out"
    )
    put.add_argument("--from", dest="senders", nargs="+", default=["*"], metavar="PATTERN", help="an address, a domain, *.domain, or *")
    put.add_argument("--to", dest="destinations", nargs="+", default=["*"], metavar="PATTERN", help="the same for recipients")
    put.add_argument("--message", default="", help="what the sender is told when a letter goes back")
    put.add_argument(
        "--hook", default="", metavar="NAME_OR_ARN", help="what run-lambda calls: one of [hooks.NAME], or a function of AWS Lambda"
    )
    put.add_argument("--gateway", default="", metavar="NAME", help="by way of which of [gateways.NAME] letters leave")
    put.add_argument("--wait", action="store_true", help="letters stay until the hook has answered what is done with them")
    put.add_argument("--minutes", type=int, default=0, help="for how many minutes, 240 at the most, a hook is called again (%(default)s)")
    put.add_argument("--fallback", choices=_ANSWERS, default="default", help="what is done when it has not answered by then (%(default)s)")
    put.set_defaults(action=_put)
    delete = actions.add_parser("delete", help="remove a rule")
    _add_rule(delete)
    delete.set_defaults(action=_delete)
    test = actions.add_parser("test", help="say which rule decides about a letter")
    test.add_argument("way", choices=_WAYS)
    test.add_argument("sender", help="the address in Sender, or in From where there is no Sender")
    test.add_argument("recipient")
    test.set_defaults(action=_test)
    actions.add_parser("waiting", help="list calls of hooks that have not been answered yet").set_defaults(action=_waiting)
    gate = actions.add_parser("gateways", help="show whether gateways take mail, and what waits for them")
    gate.add_argument("--try", dest="tried", action="store_true", help="connect and sign in to each")
    gate.set_defaults(action=_gateways)


def _add_rule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("way", choices=_WAYS, help="letters that come in, or those that users send")
    parser.add_argument("name")


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    return options.act(arguments)


def _list(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope, write=False) as tx:
        found = [rule for way in Way for rule in flow_rules.page(tx, way)]
    for rule in found:
        print(_line(rule))


def _show(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope, write=False) as tx:
        rule = flow_rules.get(tx, _WAYS[arguments.way], arguments.name)
    print(_line(rule), *(f"from {one}" for one in rule.senders), *(f"to {one}" for one in rule.destinations), sep="\n")
    if rule.message:
        print(f"message {rule.message}")


def _put(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    rule = Rule(
        way=_WAYS[arguments.way],
        name=arguments.name,
        action=WORDS[arguments.do],
        senders=tuple(arguments.senders),
        destinations=tuple(arguments.destinations),
        message=arguments.message,
        target=arguments.hook or arguments.gateway,
        waits=arguments.wait,
        minutes=arguments.minutes,
        fallback=WORDS[arguments.fallback],
    )
    _require_known(options.settings(arguments), rule)
    with store.transaction(scope) as tx:
        flow_rules.put(tx, rule)


def _delete(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope) as tx:
        flow_rules.delete(tx, _WAYS[arguments.way], arguments.name)


def _test(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    way = _WAYS[arguments.way]
    with store.transaction(scope, write=False) as tx:
        found = flow_rules.decide(flow_rules.page(tx, way), flow_rules.key(arguments.sender), flow_rules.key(arguments.recipient))
    print(_line(found) if found else "no rule")


def _waiting(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope, write=False) as tx:
        after, now = 0, tx.now
        while page := hooks.waiting(tx, after=after, limit=_PAGE):
            for call, due_at in page:
                print(_call(call, due_at, now))
            after = page[-1][0].number


def _call(call: hooks.Call, due_at: float, now: float) -> str:
    ends = f", for {_WORDS[call.rule.fallback]} at {_moment(call.ends_at)}" if call.rule.waits else ", told"
    whom = f"{len(call.passing.envelope.recipients)} recipients"
    said = f": {call.last_reply}" if call.last_reply else ""
    return (
        f"{call.passing.trace}  {call.rule.target}  {whom}, since {_moment(call.began_at)}, {call.attempts} attempts,"
        f" next at {_moment(max(due_at, now))}{ends}{said}"
    )


def _gateways(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    """Show every gateway that is configured, and those that rules or letters only think of."""
    settings = options.settings(arguments)
    tried = dict(gateways.tried(settings)) if arguments.tried else {}
    with store.transaction(scope, write=False) as tx:
        wanted = {rule.target for rule in flow_rules.page(tx, Way.OUTBOUND) if rule.action is Action.GATEWAY}
        names = sorted({*settings.gateways, *wanted})
        found = [(name, waiting.by_destination(tx, f"{GATEWAY}{name}"), destinations.find(tx, f"{GATEWAY}{name}")) for name in names]
    for name, (count, reply), known in found:
        part = settings.gateways.get(name)
        state = "not configured" if part is None else "out of reach" if known and known.blocked else "trouble" if reply else "ok"
        since = f" since {_moment(known.since)}, next at {_moment(known.blocked_until)}" if known and known.blocked else ""
        said = (known.reply if known and known.blocked else "") or reply
        print(f"{name:<24} {part.address if part else '-':<32} {state}{since}, {count} waiting{': ' if said else ''}{said}")
        if name in tried:
            print(f"{'':<24} {tried[name] or 'lets this server in'}")


def _require_known(settings: Settings, rule: Rule) -> None:
    """Raise `InvalidParameter` for a hook or gateway that the configuration does not have."""
    if rule.action is Action.GATEWAY and rule.target not in settings.gateways:
        raise errors.InvalidParameter(f"There is no [gateways.{rule.target}] in the configuration.")
    if rule.action is not Action.LAMBDA or rule.target in settings.hooks:
        return
    if not flow_rules.FUNCTION.match(rule.target):
        raise errors.InvalidParameter(f"There is no [hooks.{rule.target}] in the configuration.")
    if not settings.aws.enabled:
        raise errors.InvalidParameter("A function of AWS Lambda needs [aws] enabled.")


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _line(rule: Rule) -> str:
    way = next(word for word, way in _WAYS.items() if way is rule.way)
    target = f" {rule.target}" if rule.target else ""
    patience = f", waits {rule.minutes} minutes, then {_WORDS[rule.fallback]}" if rule.waits else ""
    origin = ", from the configuration" if rule.configured else ""
    return f"{way:<4} {rule.name:<32} {_WORDS[rule.action]}{target}{patience}{origin}"
