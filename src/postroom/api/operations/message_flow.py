"""Letters on their way (WorkMail Message Flow API: GetRawMessageContent, PutRawMessageContent)."""

from postroom.api.errors import Refusal
from postroom.api.model import MESSAGE_FLOW
from postroom.api.operation import Answer, Crossing, crossing
from postroom.mailbox import contents
from postroom.mailflow import flow, replacement
from postroom.model import errors


@crossing("GetRawMessageContent", service=MESSAGE_FLOW)
def get_raw_message_content(call: Crossing) -> Answer:
    """Give a letter as it came or was put."""
    with call.store.transaction(call.organization.number, write=False) as tx:
        return {"messageContent": flow.read(tx, call.params["messageId"])}


@crossing("PutRawMessageContent", service=MESSAGE_FLOW)
def put_raw_message_content(call: Crossing) -> Answer:
    """Read a message from a bucket and put it in the place of a letter's content; copies that have been delivered stay."""
    scope, message = call.organization.number, call.params["messageId"]
    reference = call.params["content"]["s3Reference"]
    with call.store.transaction(scope, write=False) as tx:
        original = flow.read(tx, message)
    try:
        raw = call.facilities.letters(reference["bucket"], reference["key"], reference.get("objectVersion", ""))
    except errors.ResourceNotFound as error:
        raise Refusal("InvalidContentLocation", error.text) from None
    try:
        replacement.check(raw, original)
    except errors.MalformedMessage as error:
        raise Refusal("MessageRejected", error.text) from None
    prepared = contents.prepare(call.store, scope, raw)
    with call.store.transaction(scope) as tx:
        flow.replace(tx, message, prepared)
    return {}
