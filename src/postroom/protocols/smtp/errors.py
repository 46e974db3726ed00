"""One table from domain errors to SMTP replies (RFC 5321 §4.2.3, RFC 3463)."""

from typing import Final

from postroom.model import errors
from postroom.protocols.smtp.grammar import Reply

TABLE: Final[dict[type[errors.PostroomError], tuple[int, str]]] = {
    errors.EntityNotFound: (550, "5.1.1"),
    errors.EntityState: (550, "5.2.1"),
    errors.DeleteConflict: (550, "5.2.1"),
    errors.AlreadyRegistered: (550, "5.5.0"),
    errors.AddressInUse: (550, "5.5.0"),
    errors.NameTaken: (550, "5.5.0"),
    errors.NameReserved: (550, "5.5.0"),
    errors.InvalidParameter: (501, "5.5.4"),
    errors.MalformedPolicy: (501, "5.5.4"),
    errors.InvalidPassword: (535, "5.7.8"),
    errors.InvalidConfiguration: (550, "5.3.5"),
    errors.DomainNotFound: (550, "5.7.1"),
    errors.DomainState: (550, "5.7.1"),
    errors.DomainInUse: (550, "5.5.0"),
    errors.OrganizationNotFound: (550, "5.2.1"),
    errors.OrganizationState: (550, "5.2.1"),
    errors.ResourceNotFound: (550, "5.1.1"),
    errors.LimitExceeded: (452, "4.7.1"),
    errors.TooManyTags: (550, "5.5.0"),
    errors.Unsupported: (502, "5.5.1"),
    errors.DirectoryInUse: (550, "5.7.0"),
    errors.DirectoryUnavailable: (451, "4.3.0"),
    errors.NotPermitted: (550, "5.7.1"),
    errors.SignInFailed: (535, "5.7.8"),
    errors.TryLater: (451, "4.3.0"),
    errors.OverQuota: (552, "5.2.2"),
    errors.FolderNotFound: (550, "5.2.0"),
    errors.FolderExists: (550, "5.2.0"),
    errors.FolderProtected: (550, "5.2.0"),
    errors.BadFolderName: (550, "5.2.0"),
    errors.ItemNotFound: (550, "5.2.0"),
    errors.TooManyKeywords: (550, "5.2.0"),
    errors.MessageTooLarge: (552, "5.3.4"),
    errors.TooManyRecipients: (452, "4.5.3"),
    errors.SenderNotAllowed: (550, "5.7.1"),
    errors.MailLoop: (554, "5.4.6"),
    errors.LetterRefused: (550, "5.7.1"),
    errors.MalformedScript: (501, "5.5.4"),
    errors.TooManyScripts: (452, "4.7.1"),
    errors.MalformedMessage: (550, "5.6.0"),
}


def reply(error: errors.PostroomError) -> Reply:
    """Answer a domain error, an unlisted subclass as its nearest listed ancestor."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            code, status = TABLE[kind]
            return Reply(code, status, " ".join(error.text.split()))
    return Reply(451, "4.3.0", "Cannot do this now")
