"""Inbound DMARC (WorkMail API: PutInboundDmarcSettings, DescribeInboundDmarcSettings)."""

from postroom.api.operation import Answer, Call, operation
from postroom.policy import dmarc


@operation("DescribeInboundDmarcSettings")
def describe_inbound_dmarc_settings(call: Call) -> Answer:
    """Say whether senders' policies are enforced."""
    return {"Enforced": dmarc.dmarc_enforced(call.tx)}


@operation("PutInboundDmarcSettings")
def put_inbound_dmarc_settings(call: Call) -> Answer:
    """Enforce them or not."""
    dmarc.set_enforced(call.tx, call.params["Enforced"])
    return {}
