"""Tags of an organization (WorkMail API: TagResource, UntagResource, ListTagsForResource).

The gateway finds the organization that the ARN names, or answers that there is no such resource.
"""

from postroom.api.operation import Answer, Call, operation
from postroom.directory import tags


@operation("TagResource")
def tag_resource(call: Call) -> Answer:
    """Add tags or change their values."""
    tags.put(call.tx, [(tag["Key"], tag["Value"]) for tag in call.params["Tags"]])
    return {}


@operation("UntagResource")
def untag_resource(call: Call) -> Answer:
    """Remove tags."""
    tags.remove(call.tx, call.params["TagKeys"])
    return {}


@operation("ListTagsForResource")
def list_tags_for_resource(call: Call) -> Answer:
    """List all tags."""
    return {"Tags": [{"Key": name, "Value": value} for name, value in tags.page(call.tx).items()]}
