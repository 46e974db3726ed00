"""An operation carried out: its steps, each in a transaction of its own scope, and its client token with the one that decides."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from postroom.api import client_tokens
from postroom.api.client_tokens import Repeated, Token
from postroom.api.operation import FIRST_PAGE, Answer, Call, Caller, Crossing, Facilities, Operation, Page, Scope
from postroom.model.errors import PostroomError
from postroom.model.organizations import Organization
from postroom.policy import passwords
from postroom.storage.engine import REGISTRY, Store, Tx


@dataclass(frozen=True, slots=True)
class Order:
    """An operation to carry out for somebody: everything a `Call` has but the transaction."""

    operation: Operation
    caller: Caller
    organization: Organization
    params: Mapping[str, Any]
    facilities: Facilities
    page: Page = FIRST_PAGE
    token: Token | None = None
    prior: Any = None

    def call(self, tx: Tx) -> Call:
        """Make the call that a handler or a step gets."""
        return Call(tx, self.caller, self.organization, self.params, self.page, self.prior, self.facilities)


async def execute(store: Store, order: Order) -> Answer:
    """Carry an operation out, or give the answer it got before under its client token."""
    operation = order.operation
    try:
        if operation.scope is Scope.CROSSING:
            return await store.run(_cross, store, order)
        scope = REGISTRY if operation.scope is Scope.REGISTRY else order.organization.number
        if not operation.writes:
            ask = store.read if order.params.get("Filters") else store.look  # a filter may have to pass over many rows
            return await ask(scope, _handle, order)
        return await _write(store, scope, order)
    except Repeated as repeated:
        return repeated.answer


async def _write(store: Store, scope: int, order: Order) -> Answer:
    operation = order.operation
    if order.token is not None:
        await store.look(scope, client_tokens.recall, order.token)
    work = operation.prepare(order.params) if operation.prepare is not None else None
    if work is not None:
        order = replace(order, prior=await asyncio.get_running_loop().run_in_executor(passwords.HASHING, work))
    if operation.before is not None:
        order = replace(order, prior=await store.transact(REGISTRY, _step, operation.before, order))
    try:
        answer = await store.transact(scope, _handle, order)
    except Repeated:
        raise
    except Exception:
        if operation.undo is not None:
            await store.transact(REGISTRY, _step, operation.undo, order)
        raise
    if operation.after is not None:
        await store.transact(REGISTRY, _step, operation.after, replace(order, prior=answer))
    return answer


def _handle(tx: Tx, order: Order) -> Answer:
    if order.token is None:
        return order.operation.handler(order.call(tx))
    client_tokens.recall(tx, order.token)
    answer = order.operation.handler(order.call(tx))
    client_tokens.remember(tx, order.token, answer)
    return answer


def _step(tx: Tx, step: Any, order: Order) -> Any:
    return step(order.call(tx))


def _cross(store: Store, order: Order) -> Answer:
    def remember(tx: Tx, answer: Answer) -> None:
        if order.token is not None:
            client_tokens.remember(tx, order.token, answer)

    _recall(store, order.token)
    call = Crossing(store, order.caller, order.organization, order.params, remember, order.facilities)
    try:
        return order.operation.handler(call)
    except PostroomError:
        _recall(store, order.token)
        raise


def _recall(store: Store, token: Token | None) -> None:
    """Raise Repeated when the request was answered before; once more after a refusal, for its twin may have been faster."""
    if token is not None:
        with store.transaction(REGISTRY, write=False) as tx:
            client_tokens.recall(tx, token)
