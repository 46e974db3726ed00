"""How long mail is kept (WorkMail API: DeleteRetentionPolicy, GetDefaultRetentionPolicy, PutRetentionPolicy)."""

from typing import Any

from postroom.api import listing
from postroom.api.operation import Answer, Call, operation
from postroom.model import errors
from postroom.policy import retention
from postroom.policy.retention import Action, Rule


@operation("DeleteRetentionPolicy")
def delete_retention_policy(call: Call) -> Answer:
    """Remove the policy; everything is kept from now on."""
    retention.delete(call.tx, call.params["Id"])
    return {}


@operation("GetDefaultRetentionPolicy")
def get_default_retention_policy(call: Call) -> Answer:
    """Show the organization's policy."""
    found = retention.get(call.tx)
    return listing.present(
        Id=found.id,
        Name=found.name,
        Description=found.description,
        FolderConfigurations=[listing.present(Name=rule.folder, Action=rule.action, Period=rule.days) for rule in found.rules],
    )


@operation("PutRetentionPolicy")
def put_retention_policy(call: Call) -> Answer:
    """Make the organization's policy, or another one of it."""
    given = call.params["FolderConfigurations"]
    if len(given) > len(retention.ROLES):
        raise errors.InvalidParameter("A folder is named twice.")
    retention.put(
        call.tx,
        id=call.params.get("Id"),
        name=call.params["Name"],
        description=call.params.get("Description"),
        rules=[_rule(one) for one in given],
    )
    return {}


def _rule(given: dict[str, Any]) -> Rule:
    return Rule(given["Name"], Action(given["Action"]), given.get("Period"))
