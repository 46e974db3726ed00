"""Mailbox permissions (WorkMail API: PutMailboxPermissions, DeleteMailboxPermissions, ListMailboxPermissions)."""

from postroom.api import paging
from postroom.api.operation import Answer, Call, operation
from postroom.policy import permissions
from postroom.policy.permissions import Grant, Permission


@operation("PutMailboxPermissions")
def put_mailbox_permissions(call: Call) -> Answer:
    """Set what a grantee may do with a mailbox."""
    values = {Permission(value) for value in call.params["PermissionValues"]}
    permissions.put(call.tx, call.params["EntityId"], call.params["GranteeId"], values)
    return {}


@operation("DeleteMailboxPermissions")
def delete_mailbox_permissions(call: Call) -> Answer:
    """Take away what a grantee may do with a mailbox."""
    permissions.delete(call.tx, call.params["EntityId"], call.params["GranteeId"])
    return {}


@operation("ListMailboxPermissions")
def list_mailbox_permissions(call: Call) -> Answer:
    """List who may do what with a mailbox."""
    after = call.page.after[0] if call.page.after else ""
    grants = permissions.load(call.tx, call.params["EntityId"], after=after, limit=call.page.fetch)
    return paging.answer(call.page, "Permissions", grants, key=lambda grant: (grant.grantee,), render=_grant)


def _grant(grant: Grant) -> Answer:
    return {"GranteeId": grant.grantee, "GranteeType": grant.kind, "PermissionValues": sorted(grant.permissions)}
