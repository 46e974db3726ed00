"""The identity provider of an organization, and the account's applications in IAM Identity Center.

WorkMail API: CreateIdentityCenterApplication to DescribeIdentityProviderConfiguration
"""

from postroom.api import listing
from postroom.api.operation import Answer, Call, Scope, operation
from postroom.directory import identity_center
from postroom.policy import identity
from postroom.policy.identity import Configuration, Mode, TokenStatus


@operation("CreateIdentityCenterApplication", scope=Scope.REGISTRY, any_state=True)
def create_identity_center_application(call: Call) -> Answer:
    """Add an application; it belongs to the account."""
    name, instance = call.params["Name"], call.params["InstanceArn"]
    return {"ApplicationArn": identity_center.create(call.tx, account=call.caller.account, name=name, instance_arn=instance)}


@operation("DeleteIdentityCenterApplication", scope=Scope.REGISTRY, any_state=True)
def delete_identity_center_application(call: Call) -> Answer:
    """Remove an application; how organizations sign their users in stays as it is."""
    identity_center.delete(call.tx, call.params["ApplicationArn"])
    return {}


def known(call: Call) -> None:
    """See that the application was made here, for the instance; in the registry."""
    asked = call.params["IdentityCenterConfiguration"]
    identity_center.require(call.tx, asked["ApplicationArn"], asked["InstanceArn"])


@operation("PutIdentityProviderConfiguration", before=known)
def put_identity_provider_configuration(call: Call) -> Answer:
    """Say how users prove who they are."""
    center, tokens = call.params["IdentityCenterConfiguration"], call.params["PersonalAccessTokenConfiguration"]
    configuration = Configuration(
        Mode(call.params["AuthenticationMode"]),
        center["InstanceArn"],
        center["ApplicationArn"],
        TokenStatus(tokens["Status"]),
        tokens.get("LifetimeInDays"),
    )
    identity.put(call.tx, configuration)
    return {}


@operation("DescribeIdentityProviderConfiguration")
def describe_identity_provider_configuration(call: Call) -> Answer:
    """Show how users prove who they are."""
    found = identity.get(call.tx)
    return {
        "AuthenticationMode": found.mode,
        "IdentityCenterConfiguration": {"InstanceArn": found.instance_arn, "ApplicationArn": found.application_arn},
        "PersonalAccessTokenConfiguration": listing.present(Status=found.tokens, LifetimeInDays=found.token_days),
    }


@operation("DeleteIdentityProviderConfiguration")
def delete_identity_provider_configuration(call: Call) -> Answer:
    """Return to the directory's passwords."""
    identity.delete(call.tx)
    return {}
