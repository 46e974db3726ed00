"""One table from the domain's errors to ManageSieve's response codes (RFC 5804 §1.3); '' where there is none that fits."""

from postroom.model import errors
from postroom.model.errors import PostroomError
from postroom.protocols.managesieve.grammar import Done, no

CODES: dict[type[PostroomError], bytes] = {
    errors.MalformedScript: b"",
    errors.TooManyScripts: b"QUOTA/MAXSCRIPTS",
    errors.LimitExceeded: b"QUOTA/MAXSIZE",
    errors.OverQuota: b"QUOTA",
    errors.ResourceNotFound: b"NONEXISTENT",
    errors.NameTaken: b"ALREADYEXISTS",
    errors.EntityState: b"ACTIVE",
    errors.TryLater: b"TRYLATER",
    errors.DirectoryUnavailable: b"TRYLATER",
    errors.OrganizationNotFound: b"",
    errors.OrganizationState: b"",
    errors.SignInFailed: b"",
    errors.NotPermitted: b"",
    errors.EntityNotFound: b"",
    errors.AlreadyRegistered: b"",
    errors.AddressInUse: b"",
    errors.NameReserved: b"",
    errors.InvalidParameter: b"",
    errors.InvalidPassword: b"",
    errors.InvalidConfiguration: b"",
    errors.DomainNotFound: b"",
    errors.DomainState: b"",
    errors.DomainInUse: b"",
    errors.TooManyTags: b"QUOTA",
    errors.Unsupported: b"",
    errors.DirectoryInUse: b"",
    errors.MalformedPolicy: b"",
    errors.DeleteConflict: b"ACTIVE",
    errors.FolderNotFound: b"",
    errors.FolderExists: b"",
    errors.FolderProtected: b"",
    errors.BadFolderName: b"",
    errors.ItemNotFound: b"",
    errors.TooManyKeywords: b"QUOTA",
    errors.MessageTooLarge: b"QUOTA/MAXSIZE",
    errors.TooManyRecipients: b"QUOTA",
    errors.SenderNotAllowed: b"",
    errors.MailLoop: b"",
    errors.MalformedMessage: b"",
    errors.LetterRefused: b"",
}


def answer(error: PostroomError) -> Done:
    """Answer a refusal of the domain, an unlisted subclass as its nearest listed ancestor."""
    code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), b"")
    return no(error.text, code)
