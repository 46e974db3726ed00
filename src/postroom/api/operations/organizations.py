"""CreateOrganization, DeleteOrganization, DescribeOrganization, ListOrganizations.

An organization has its users itself, or from an outside directory, which is only read: so DeleteDirectory makes no difference.
"""

from __future__ import annotations

from typing import Any

from postroom.api import paging
from postroom.api.operation import Answer, Call, Crossing, Scope, crossing, operation
from postroom.directory import identity_center, organizations, outside
from postroom.directory.organizations import Outside
from postroom.mailflow import estate
from postroom.model import errors
from postroom.model.organizations import Organization, OrganizationStatus
from postroom.policy import identity
from postroom.storage.engine import REGISTRY, Tx


@crossing("CreateOrganization", any_state=True, alone=True)
def create_organization(call: Crossing) -> Answer:
    """Make an organization, Active when this answers (WorkMail API: CreateOrganization)."""
    params = call.params
    directory = _directory(call)
    zones = {domain["DomainName"]: domain["HostedZoneId"] for domain in params.get("Domains", ()) if "HostedZoneId" in domain}
    if zones and call.facilities.aws is None:
        raise errors.InvalidParameter("This server cannot write into hosted zones: AWS is not enabled in its configuration.")
    try:
        made = organizations.create(
            call.store,
            alias=params["Alias"],
            key_arn=params.get("KmsKeyArn"),
            mail_domains=[domain["DomainName"] for domain in params.get("Domains", ())],
            zones=zones,
            trusted=call.mail_domains.trust,
            test_suffix=call.mail_domains.test_suffix,
            directory=directory,
            decided=lambda tx, planned: call.remember(tx, {"OrganizationId": planned.id}),
        )
    except errors.DomainInUse as error:
        raise errors.InvalidParameter(error.text) from error
    return {"OrganizationId": made.id}


def _directory(call: Crossing) -> Outside | None:
    """Find the outside directory that is asked for, and whether it answers, before an organization is made of it."""
    params = call.params
    found = call.facilities.directories.get(params.get("DirectoryId", ""))
    if found is None and "DirectoryId" in params:
        raise errors.DirectoryUnavailable(f"The directory {params['DirectoryId']} is not known to this server.")
    exchange = params.get("EnableInteroperability", False)
    if exchange and (found is None or found.settings.type != "active-directory"):
        raise errors.InvalidParameter("Interoperability needs an AD Connector directory.")
    if found is None:
        return None
    with call.store.transaction(REGISTRY, write=False) as tx:
        organizations.require_free_directory(tx, found.settings.id)
    found.reach()
    return Outside(found.settings.id, outside.TYPES[found.settings.type], exchange)


@crossing("DeleteOrganization", any_state=True, alone=True)
def delete_organization(call: Crossing) -> Answer:
    """Delete an organization with all it holds (WorkMail API: DeleteOrganization)."""
    answer = {"OrganizationId": call.organization.id, "State": OrganizationStatus.DELETED.value}
    application = _application(call) if call.params.get("DeleteIdentityCenterApplication") else None

    def decided(tx: Tx, _: Organization) -> None:
        if application is not None:
            identity_center.delete(tx, application)
        call.remember(tx, answer)

    organizations.delete(
        call.store,
        call.organization,
        force=call.params.get("ForceDelete", False),
        decided=decided,
        settled=estate.settle,
    )
    return answer


def _application(call: Crossing) -> str | None:
    """Find the application that an organization's identity provider configuration names, while it can be read."""
    if call.organization.state != OrganizationStatus.ACTIVE:
        return None
    with call.store.transaction(call.organization.number, write=False) as tx:
        found = identity.find(tx)
    return found.application_arn if found else None


@operation("DescribeOrganization", scope=Scope.REGISTRY, any_state=True)
def describe_organization(call: Call) -> Answer:
    """Describe an organization in any state, Deleted too (WorkMail API: DescribeOrganization)."""
    found = organizations.get(call.tx, call.params["OrganizationId"])
    answer: Answer = {
        "OrganizationId": found.id,
        "Alias": found.alias,
        "State": found.state,
        "DirectoryId": found.directory_id,
        "DirectoryType": found.directory_type,
        "DefaultMailDomain": found.default_domain,
        "ARN": call.caller.organization_arn(found.id),
        "InteroperabilityEnabled": bool(found.interoperability),
    }
    optional = {"CompletedDate": found.completed_at, "ErrorMessage": found.error_message}
    return answer | {name: value for name, value in optional.items() if value is not None}


@operation("ListOrganizations", scope=Scope.REGISTRY, any_state=True)
def list_organizations(call: Call) -> Answer:
    """List all organizations, deleted ones too (WorkMail API: ListOrganizations)."""
    page = call.page
    rows = organizations.page(call.tx, after=page.after[0] if page.after else 0, limit=page.fetch)
    return paging.answer(page, "OrganizationSummaries", rows, key=lambda row: (row.number,), render=_summary)


def _summary(organization: Organization) -> dict[str, Any]:
    summary = {
        "OrganizationId": organization.id,
        "Alias": organization.alias,
        "DefaultMailDomain": organization.default_domain,
        "State": organization.state,
    }
    return summary if organization.error_message is None else summary | {"ErrorMessage": organization.error_message}
