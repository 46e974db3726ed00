"""Identifiers in the forms that scripts written for WorkMail expect."""

import secrets
import uuid


def new_organization_id() -> str:
    """Make `m-` and 32 hex digits (WorkMail API: CreateOrganization)."""
    return f"m-{secrets.token_hex(16)}"


def new_user_id() -> str:
    """Make a UUID, the id of a user or a group (WorkMail API: CreateUser, CreateGroup)."""
    return str(uuid.uuid4())


def new_resource_id() -> str:
    """Make `r-` and 32 hex digits (WorkMail API: CreateResource)."""
    return f"r-{secrets.token_hex(16)}"


def new_directory_id() -> str:
    """Make `d-` and 10 hex digits (WorkMail API: DescribeOrganization, DirectoryId)."""
    return f"d-{secrets.token_hex(5)}"


def new_device_rule_id() -> str:
    """Make 32 hex digits (WorkMail API: CreateMobileDeviceAccessRule)."""
    return secrets.token_hex(16)


def new_impersonation_role_id() -> str:
    """Make 32 hex digits, which no other role ever had (WorkMail API: CreateImpersonationRole)."""
    return secrets.token_hex(16)


def new_identity_application_id() -> str:
    """Make `apl-` and 16 hex digits (WorkMail API: CreateIdentityCenterApplication)."""
    return f"apl-{secrets.token_hex(8)}"


def new_access_token_id() -> str:
    """Make 32 hex digits (WorkMail API: GetPersonalAccessTokenMetadata)."""
    return secrets.token_hex(16)
