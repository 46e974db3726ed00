"""Who is asked about people of other domains (WorkMail API: CreateAvailabilityConfiguration to TestAvailabilityConfiguration)."""

from collections.abc import Mapping
from typing import Any

from postroom.api import paging
from postroom.api.operation import Answer, Call, Crossing, crossing, operation
from postroom.directory import availability
from postroom.formats import availability as protocol
from postroom.model import errors
from postroom.model.availability import EwsProvider, LambdaProvider, Provider, Requester
from postroom.storage.queries import availability as rows

TESTED = "availability-test"
WINDOW_SECONDS = 24 * 3600.0


@operation("CreateAvailabilityConfiguration")
def create_availability_configuration(call: Call) -> Answer:
    """Set the provider of a domain."""
    availability.create(call.tx, call.params["DomainName"], _provider(call.params))
    return {}


@operation("UpdateAvailabilityConfiguration")
def update_availability_configuration(call: Call) -> Answer:
    """Replace the provider of a domain."""
    availability.update(call.tx, call.params["DomainName"], _provider(call.params))
    return {}


@operation("DeleteAvailabilityConfiguration")
def delete_availability_configuration(call: Call) -> Answer:
    """Remove the provider of a domain."""
    availability.delete(call.tx, call.params["DomainName"])
    return {}


@operation("ListAvailabilityConfigurations")
def list_availability_configurations(call: Call) -> Answer:
    """List configurations by domain, without passwords."""
    after = call.page.after[0] if call.page.after else ""
    found = rows.page(call.tx, after=after, limit=call.page.fetch)
    return paging.answer(call.page, "AvailabilityConfigurations", found, key=lambda row: (row.domain,), render=_shown)


@crossing("TestAvailabilityConfiguration")
def test_availability_configuration(call: Crossing) -> Answer:
    """Try a provider, stored or given."""
    reason = call.facilities.probe(_tested(call), _question(call))
    return {"TestPassed": False, "FailureReason": reason} if reason else {"TestPassed": True}


def _tested(call: Crossing) -> Provider:
    """Find which provider is meant; raises `InvalidParameter` for both or neither, `ResourceNotFound`."""
    name, params = call.params.get("DomainName"), call.params
    if name is None:
        return availability.require_usable(_provider(params))
    if "EwsProvider" in params or "LambdaProvider" in params:
        raise errors.InvalidParameter("Give either a provider or the name of a domain.")
    with call.store.transaction(call.organization.number, write=False) as tx:
        return availability.get(tx, name).provider


def _question(call: Crossing) -> bytes:
    """Write what a function is asked: about somebody of the domain, where one is named, whom it need not know."""
    caller, home, now = call.caller, call.organization.default_domain, call.store.now()
    requester = Requester(f"postmaster@{home}", caller.name, caller.name, call.organization.id, caller.address)
    mailbox = f"{TESTED}@{call.params.get('DomainName', home)}"
    return protocol.question(requester, [mailbox], now, now + WINDOW_SECONDS)


def _provider(params: Mapping[str, Any]) -> Provider:
    """Read the one provider that is given; raises `InvalidParameter` for none or two."""
    ews, function = params.get("EwsProvider"), params.get("LambdaProvider")
    if (ews is None) == (function is None):
        raise errors.InvalidParameter("Give one provider, either EwsProvider or LambdaProvider.")
    if function is not None:
        return LambdaProvider(function["LambdaArn"])
    assert ews is not None
    return EwsProvider(ews["EwsEndpoint"], ews["EwsUsername"], ews["EwsPassword"])


def _shown(row: rows.Row) -> Answer:
    shown: Answer = {
        "DomainName": row.domain,
        "ProviderType": row.provider,
        "DateCreated": row.created_at,
        "DateModified": row.modified_at,
    }
    if row.provider == rows.LAMBDA:
        return shown | {"LambdaProvider": {"LambdaArn": row.target}}
    return shown | {"EwsProvider": {"EwsEndpoint": row.target, "EwsUsername": row.username}}
