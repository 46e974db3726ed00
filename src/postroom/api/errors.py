"""One table from the errors of the domain to the codes of the AWS API.

`Refusal` is an answer that never reached the domain: a bad signature, a denied or malformed request; it carries its AWS code.  Every
`PostroomError` has its row in `CODES`.  All are client errors with status 400, as WorkMail answers them, but for those that say
"too large" (413), "not now" (503) and "our fault" (500).  The body is `{"__type": code, "Message": text}`.

WorkMail API: "Common Errors"
"""

from __future__ import annotations

import msgspec

from postroom.model import errors

CODES: dict[type[errors.PostroomError], str] = {
    errors.EntityNotFound: "EntityNotFoundException",
    errors.EntityState: "EntityStateException",
    errors.AlreadyRegistered: "EntityAlreadyRegisteredException",
    errors.AddressInUse: "EmailAddressInUseException",
    errors.NameTaken: "NameAvailabilityException",
    errors.NameReserved: "ReservedNameException",
    errors.InvalidParameter: "InvalidParameterException",
    errors.InvalidPassword: "InvalidPasswordException",
    errors.InvalidConfiguration: "InvalidConfigurationException",
    errors.DomainNotFound: "MailDomainNotFoundException",
    errors.DomainState: "MailDomainStateException",
    errors.DomainInUse: "MailDomainInUseException",
    errors.OrganizationNotFound: "OrganizationNotFoundException",
    errors.OrganizationState: "OrganizationStateException",
    errors.ResourceNotFound: "ResourceNotFoundException",
    errors.LimitExceeded: "LimitExceededException",
    errors.TooManyTags: "TooManyTagsException",
    errors.Unsupported: "UnsupportedOperationException",
    errors.DirectoryInUse: "DirectoryInUseException",
    errors.DirectoryUnavailable: "DirectoryUnavailableException",
    errors.MalformedPolicy: "InvalidParameterException",
    errors.DeleteConflict: "EntityStateException",
    errors.NotPermitted: "AccessDeniedException",
    errors.SignInFailed: "AccessDeniedException",
    errors.TryLater: "ServiceUnavailableException",
    errors.OverQuota: "LimitExceededException",
    errors.MessageTooLarge: "LimitExceededException",
    errors.TooManyRecipients: "LimitExceededException",
    errors.TooManyKeywords: "LimitExceededException",
    errors.SenderNotAllowed: "AccessDeniedException",
    errors.MailLoop: "InvalidParameterException",
    errors.LetterRefused: "InvalidParameterException",
    errors.MalformedScript: "InvalidParameterException",
    errors.TooManyScripts: "LimitExceededException",
    errors.MalformedMessage: "InvalidParameterException",
    errors.BadFolderName: "InvalidParameterException",
    errors.FolderNotFound: "ResourceNotFoundException",
    errors.ItemNotFound: "ResourceNotFoundException",
    errors.FolderExists: "NameAvailabilityException",
    errors.FolderProtected: "UnsupportedOperationException",
}

COMMON = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InternalFailure",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "RequestEntityTooLargeException",
        "SerializationException",
        "ServiceUnavailableException",
        "ThrottlingException",
        "UnknownOperationException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)
"""What any operation may answer without declaring it in the model."""

_STATUS = {"InternalFailure": 500, "ServiceUnavailableException": 503, "RequestEntityTooLargeException": 413}


class Refusal(Exception):
    """A request refused before it reached the domain, with AWS's code for it."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def code_of(error: errors.PostroomError) -> str:
    """Find the code of a domain error, by its class or the nearest one above it."""
    return next(CODES[word] for word in type(error).__mro__ if word in CODES)


def status_of(code: str) -> int:
    """Give the HTTP status that goes with a code."""
    return _STATUS.get(code, 400)


def body(code: str, text: str) -> bytes:
    """Write an error as AWS's JSON services do."""
    return msgspec.json.encode({"__type": code, "Message": text})
