"""The public web door: what the world may ask of this server over HTTP, beside mail itself.

A route is added in three steps. Write a handler, an `async` function or method that is given a `postroom.model.web.Request` and gives an
`Answer`: `async def policy(self, request: Request) -> Answer`. Say what it answers:
`Route(host="mta-sts.*", path="/.well-known/mta-sts.txt", handler=policy)`, with `methods=("POST",)` and `body_bytes` if a body is taken and
`plain=True` if it must be answered without TLS. Yield it from `wiring.routes`. The first route that stands for a request answers it, so a
special one goes before a general one.

The door does the rest: nothing has to be bounded twice. A request comes whole and in time, its host is the name of a host in lower case,
its body is no larger than the route says; the handler has `site.HANDLER_SECONDS`. An exception is logged and answered 500 without a word
of it. A handler that needs the store asks `await store.read(...)` or `transact`, and never waits for a thread itself.
"""
