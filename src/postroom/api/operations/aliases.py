"""Addresses of registered users, groups and resources (WorkMail API: CreateAlias to UpdatePrimaryEmailAddress)."""

from postroom.api import paging
from postroom.api.operation import Answer, Call, operation
from postroom.directory import addresses, entities
from postroom.model import errors
from postroom.storage.queries import addresses as address_rows


@operation("CreateAlias")
def create_alias(call: Call) -> Answer:
    """Add an alias."""
    addresses.add_alias(call.tx, call.params["EntityId"], call.params["Alias"])
    return {}


@operation("DeleteAlias")
def delete_alias(call: Call) -> Answer:
    """Remove an alias."""
    addresses.remove_alias(call.tx, call.params["EntityId"], call.params["Alias"])
    return {}


@operation("ListAliases")
def list_aliases(call: Call) -> Answer:
    """List every address, the primary one among them, as WorkMail does."""
    entity = entities.get(call.tx, call.params["EntityId"])
    after = call.page.after[0] if call.page.after else ""
    rows = address_rows.page(call.tx, entity.id, after=after, limit=call.page.fetch)
    return paging.answer(call.page, "Aliases", rows, key=lambda row: (row[0],), render=lambda row: row[1])


@operation("UpdatePrimaryEmailAddress")
def update_primary_email_address(call: Call) -> Answer:
    """Make an address the primary one; the old one becomes an alias."""
    if call.organization.interoperability:
        raise errors.Unsupported("Primary addresses are those of Microsoft Exchange; this organization has interoperability enabled.")
    addresses.set_primary(call.tx, call.params["EntityId"], call.params["Email"])
    return {}
