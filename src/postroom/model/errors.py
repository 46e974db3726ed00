"""Every error of the domain, in the domain's own words.

A room raises what happened; each protocol and the API keep one table from these classes to their own
codes. What is not a `PostroomError` is a bug. "Forbidden" and "absent" read the same from outside, so
texts never tell whether something hidden exists.
"""


class PostroomError(Exception):
    """A refusal with a text that may be shown to the person who asked."""

    def __init__(self, text: str = "") -> None:
        self.text = text or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.text)


# Directory


class EntityNotFound(PostroomError):
    """No such user, group or resource."""


class EntityState(PostroomError):
    """The state of the user, group or resource does not allow this."""


class AlreadyRegistered(PostroomError):
    """The user, group or resource is already registered."""


class AddressInUse(PostroomError):
    """The address belongs to someone else."""


class NameTaken(PostroomError):
    """The name is already in use."""


class NameReserved(PostroomError):
    """The name is reserved."""


class InvalidParameter(PostroomError):
    """A value is not acceptable."""


class InvalidPassword(PostroomError):
    """The password does not meet the rules."""


class InvalidConfiguration(PostroomError):
    """A resource must answer by itself or have a delegate."""


class DomainNotFound(PostroomError):
    """The organization has no such mail domain."""


class DomainState(PostroomError):
    """The mail domain is not verified."""


class DomainInUse(PostroomError):
    """The mail domain is in use."""


class OrganizationNotFound(PostroomError):
    """No such organization."""


class OrganizationState(PostroomError):
    """The state of the organization does not allow this."""


class ResourceNotFound(PostroomError):
    """No such thing."""


class LimitExceeded(PostroomError):
    """A limit is reached."""


class TooManyScripts(LimitExceeded):
    """The mailbox has all the scripts it may have."""


class TooManyTags(PostroomError):
    """The organization has all the tags it may have."""


class Unsupported(PostroomError):
    """This directory does not allow this."""


class DirectoryInUse(PostroomError):
    """The directory belongs to another organization."""


class DirectoryUnavailable(PostroomError):
    """The directory does not answer."""


# Permission and sign-in


class MalformedPolicy(InvalidParameter):
    """The policy document is malformed."""


class MalformedScript(InvalidParameter):
    """The script is malformed."""


class DeleteConflict(EntityState):
    """Something that belongs to it has to be deleted first."""


class NotPermitted(PostroomError):
    """Not permitted."""


class SignInFailed(PostroomError):
    """The name or the password is wrong."""


class TryLater(PostroomError):
    """The server cannot do this now; try again later."""


# Mailbox


class OverQuota(PostroomError):
    """The mailbox is full."""


class FolderNotFound(PostroomError):
    """No such folder."""


class FolderExists(PostroomError):
    """The folder exists already."""


class FolderProtected(PostroomError):
    """This folder cannot be deleted or renamed."""


class BadFolderName(PostroomError):
    """This is not a possible folder name."""


class ItemNotFound(PostroomError):
    """No such item."""


class TooManyKeywords(PostroomError):
    """The mailbox has all the keywords it may have."""


# Mail in motion


class MessageTooLarge(PostroomError):
    """The message is too large."""


class TooManyRecipients(PostroomError):
    """The message has too many recipients."""


class SenderNotAllowed(PostroomError):
    """The sender address is not yours to use."""


class MailLoop(PostroomError):
    """The message has passed through too many servers."""


class MalformedMessage(PostroomError):
    """The message is malformed."""


class LetterRefused(PostroomError):
    """The recipient does not want this message."""
