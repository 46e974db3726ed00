"""One table from the domain's errors to IMAP's response codes (RFC 3501 §7.1, RFC 5530, RFC 9208, RFC 7889)."""

from postroom.model import errors
from postroom.model.errors import PostroomError
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.answers import Done

CODES: dict[type[PostroomError], bytes] = {
    errors.FolderNotFound: b"NONEXISTENT",
    errors.FolderExists: b"ALREADYEXISTS",
    errors.FolderProtected: b"CANNOT",
    errors.BadFolderName: b"CANNOT",
    errors.ItemNotFound: b"EXPUNGEISSUED",
    errors.OverQuota: b"OVERQUOTA",
    errors.MessageTooLarge: b"TOOBIG",
    errors.MalformedMessage: b"CANNOT",
    errors.TooManyKeywords: b"LIMIT",
    errors.LimitExceeded: b"LIMIT",
    errors.TooManyTags: b"LIMIT",
    errors.TooManyRecipients: b"LIMIT",
    errors.NotPermitted: b"NOPERM",
    errors.SenderNotAllowed: b"NOPERM",
    errors.SignInFailed: b"AUTHENTICATIONFAILED",
    errors.InvalidPassword: b"AUTHENTICATIONFAILED",
    errors.EntityNotFound: b"AUTHORIZATIONFAILED",
    errors.EntityState: b"AUTHORIZATIONFAILED",
    errors.DeleteConflict: b"INUSE",
    errors.OrganizationNotFound: b"UNAVAILABLE",
    errors.OrganizationState: b"UNAVAILABLE",
    errors.DirectoryInUse: b"INUSE",
    errors.DirectoryUnavailable: b"UNAVAILABLE",
    errors.TryLater: b"UNAVAILABLE",
    errors.ResourceNotFound: b"NONEXISTENT",
    errors.DomainNotFound: b"NONEXISTENT",
    errors.AlreadyRegistered: b"ALREADYEXISTS",
    errors.AddressInUse: b"ALREADYEXISTS",
    errors.NameTaken: b"ALREADYEXISTS",
    errors.NameReserved: b"CANNOT",
    errors.DomainInUse: b"INUSE",
    errors.DomainState: b"CANNOT",
    errors.InvalidConfiguration: b"CANNOT",
    errors.InvalidParameter: b"CANNOT",
    errors.MalformedPolicy: b"CANNOT",
    errors.Unsupported: b"CANNOT",
    errors.MailLoop: b"CANNOT",
    errors.LetterRefused: b"CANNOT",
    errors.MalformedScript: b"CANNOT",
    errors.TooManyScripts: b"LIMIT",
}


def answer(error: PostroomError) -> Done:
    """Answer a refusal of the domain; one without a code of its own is only NO."""
    code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), b"")
    return answers.no(answers.plain(error.text), code)


def try_create(error: errors.FolderNotFound) -> Done:
    """Answer that the target folder is not there but could be (RFC 3501 §6.3.11 and §6.4.7)."""
    return answers.no(answers.plain(error.text), b"TRYCREATE")
