"""What an operator may set about who may do what."""

import msgspec

from postroom.model.actors import Action


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[policy]` table."""

    other_protocols: Action = Action.EWS
    """The action under which access control rules decide protocols that WorkMail does not have: CalDAV, CardDAV and JMAP."""
