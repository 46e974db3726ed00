"""Email monitoring (WorkMail API: PutEmailMonitoringConfiguration and the operations beside it)."""

from postroom.api.operation import Answer, Call, operation
from postroom.policy import monitoring
from postroom.policy.monitoring import Monitoring


@operation("DeleteEmailMonitoringConfiguration")
def delete_email_monitoring_configuration(call: Call) -> Answer:
    """Send no more events to CloudWatch."""
    monitoring.delete(call.tx)
    return {}


@operation("DescribeEmailMonitoringConfiguration")
def describe_email_monitoring_configuration(call: Call) -> Answer:
    """Say where events go, and under which role if one was given."""
    found = monitoring.get(call.tx)
    return {"LogGroupArn": found.log_group_arn} | ({"RoleArn": found.role_arn} if found.role_arn else {})


@operation("PutEmailMonitoringConfiguration")
def put_email_monitoring_configuration(call: Call) -> Answer:
    """Send events to a log group; the model has checked the form of both ARNs."""
    monitoring.put(call.tx, Monitoring(call.params["LogGroupArn"], call.params.get("RoleArn", "")))
    return {}
