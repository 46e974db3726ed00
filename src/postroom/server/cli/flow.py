"""`postroom flow`: rules of an organization for letters that come in and go out. A running server obeys them at once."""

import argparse
from collections.abc import Callable

from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.server import opening
from postroom.server.cli import options
from postroom.storage.engine import Store

_WAYS = {"in": Way.INBOUND, "out": Way.OUTBOUND}
_ACTIONS = {action.value.lower().replace("_", "-"): action for action in Action}


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
    put.add_argument("do", choices=_ACTIONS, help="what is done with a letter; junk and never-junk are for what comes in")
    put.add_argument("--from", dest="senders", nargs="+", default=["*"], metavar="PATTERN", help="an address, a domain, *.domain, or *")
    put.add_argument("--to", dest="destinations", nargs="+", default=["*"], metavar="PATTERN", help="the same for recipients")
    put.add_argument("--message", default="", help="what the sender is told when a letter goes back")
    put.set_defaults(action=_put)
    delete = actions.add_parser("delete", help="remove a rule")
    _add_rule(delete)
    delete.set_defaults(action=_delete)
    test = actions.add_parser("test", help="say which rule decides about a letter")
    test.add_argument("way", choices=_WAYS)
    test.add_argument("sender", help="the address in Sender, or in From where there is no Sender")
    test.add_argument("recipient")
    test.set_defaults(action=_test)


def _add_rule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("way", choices=_WAYS, help="letters that come in, or those that users send")
    parser.add_argument("name")


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    store = opening.open_store(options.settings(arguments))
    action: Callable[[Store, int, argparse.Namespace], None] = arguments.action
    try:
        action(store, options.organization(store, arguments.organization).number, arguments)
    finally:
        store.close()
    return 0


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
        action=_ACTIONS[arguments.do],
        senders=tuple(arguments.senders),
        destinations=tuple(arguments.destinations),
        message=arguments.message,
    )
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


def _line(rule: Rule) -> str:
    way = next(word for word, way in _WAYS.items() if way is rule.way)
    return f"{way:<4} {rule.name:<32} {rule.action.value.lower().replace('_', '-')}"
