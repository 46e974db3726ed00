"""Which AWS services are served, and which of them a request is for.

A new one is a class with the members of `exchange.Service`, entered in `offered`; its operations are entered with
`@operation("Name", service="its signing name")`.
"""

from __future__ import annotations

from postroom.api import sigv4
from postroom.api.access_management import Iam
from postroom.api.callers import Signers
from postroom.api.exchange import Service
from postroom.api.message_flow import MessageFlow
from postroom.api.model import WORKMAIL
from postroom.api.requests import Request
from postroom.api.settings import Settings
from postroom.api.sts import STS, Sts
from postroom.api.tenants import Tenants
from postroom.api.workmail import WorkMail
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import principals

FORM = b"application/x-www-form-urlencoded"


class Endpoint:
    """The services by the names that requests are signed for."""

    def __init__(self, store: Store, settings: Settings, tenants: Tenants, signers: Signers) -> None:
        with store.transaction(REGISTRY) as tx:
            page_secret = principals.secret(tx, "pages")
        offered: list[Service] = [
            WorkMail(store, settings, tenants, page_secret),
            MessageFlow(store, settings),
            Iam(store, settings, signers, page_secret),
            Sts(store, settings),
        ]
        self._by_name = {service.name.encode(): service for service in offered}
        self._usual, self._forms = self._by_name[WORKMAIL.encode()], self._by_name[STS.encode()]

    def of(self, request: Request) -> Service:
        """Find the service a request is signed for; one signed for none of them is told so by WorkMail, or by STS if it is a form."""
        found = self._by_name.get(sigv4.service_named(request.headers))
        if found is not None:
            return found
        return self._forms if request.headers.get(b"content-type", b"").startswith(FORM) else self._usual
