"""Who takes part in mail (WorkMail API: RegisterToWorkMail, DeregisterFromWorkMail, DescribeEntity)."""

from postroom.api.operation import Answer, Call, operation
from postroom.directory import entities, registration


@operation("RegisterToWorkMail")
def register_to_work_mail(call: Call) -> Answer:
    """Give a user, group or resource its primary address and its mailbox."""
    registration.register(call.tx, call.params["EntityId"], call.params["Email"])
    return {}


@operation("DeregisterFromWorkMail")
def deregister_from_work_mail(call: Call) -> Answer:
    """Take a user, group or resource out of mail and park its mailbox."""
    registration.deregister(call.tx, call.params["EntityId"])
    return {}


@operation("DescribeEntity")
def describe_entity(call: Call) -> Answer:
    """Say whose address this is."""
    entity = entities.get_by_address(call.tx, call.params["Email"])
    return {"EntityId": entity.id, "Name": entity.name, "Type": entity.kind}
