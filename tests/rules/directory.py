"""What WorkMail's directory operations mean, said again in memory and as plainly as possible: half of the oracle of `test_random`.

Each method is an operation in boto3's spelling. It answers what the server must answer, or raises `Fault` with the code that the server
must refuse with. What the server makes up (ids) is taken from its answer; times are compared as being there (`TIME`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

Answer = dict[str, Any]
TIME = "a time"
RESERVED = {"administrator", "amazonjournaling", "anonymous", "everyone", "guest", "krbtgt", "public", "system"}
PROFILE = ("FirstName", "LastName", "Initials", "Telephone", "Street", "JobTitle", "City", "Company", "ZipCode", "Department", "Country", "Office")  # fmt: skip
ANY = ("USER", "GROUP", "RESOURCE")
MEMBERS = ("USER", "GROUP")


class Fault(Exception):
    """A refusal, by its code without `Exception`."""


@dataclass
class Entity:
    """A user, group or resource."""

    id: str
    kind: str
    name: str
    display: str
    role: str = ""
    hidden: bool = False
    email: str | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    """Every address, the primary one too, by its key."""
    times: set[str] = field(default_factory=set)
    profile: dict[str, str] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    delegates: set[str] = field(default_factory=set)
    type: str = ""
    description: str = ""
    booking: dict[str, bool] = field(default_factory=dict)
    quota: int = 51200

    @property
    def enabled(self) -> bool:
        return self.email is not None

    @property
    def state(self) -> str:
        return "ENABLED" if self.enabled else "DISABLED"

    @property
    def dates(self) -> Answer:
        return {name: TIME for name in sorted(self.times) if name in ("EnabledDate", "DisabledDate")}


class Directory:
    """One organization: who is in it, under which names and addresses."""

    def __init__(self, default_domain: str, verified: Collection[str], test_domain: str) -> None:
        self.entities: dict[str, Entity] = {}
        self.domains: dict[str, bool] = dict.fromkeys(verified, True)
        self.default_domain, self.test_domain = default_domain, test_domain
        self.tags: dict[str, str] = {}

    # Finding

    def find(self, reference: str, kinds: Collection[str] = ANY) -> Entity | None:
        """An id, a name or an address, in that order."""
        folded = reference.casefold()
        ways: list[Iterator[Entity]] = [
            (one for one in self.entities.values() if one.id == reference),
            (one for one in self.entities.values() if one.name.casefold() == folded),
            (one for one in self.entities.values() if folded in one.aliases),
        ]
        return next((one for way in ways for one in way if one.kind in kinds), None)

    def get(self, reference: str, *kinds: str) -> Entity:
        found = self.find(reference, kinds or ANY)
        if found is None:
            raise Fault("EntityNotFound")
        return found

    def require_name(self, name: str) -> None:
        if name.casefold() in RESERVED:
            raise Fault("ReservedName")
        if any(one.name.casefold() == name.casefold() for one in self.entities.values()):
            raise Fault("NameAvailability")

    def is_free(self, address: str, entity: Entity) -> bool:
        key = address.casefold()
        if key in entity.aliases:
            return False
        domain = key.rpartition("@")[2]
        if domain not in self.domains:
            raise Fault("MailDomainNotFound")
        if not self.domains[domain]:
            raise Fault("MailDomainState")
        if any(key in one.aliases for one in self.entities.values()):
            raise Fault("EmailAddressInUse")
        return True

    # Users

    def create_user(self, made: Answer, Name: str, DisplayName: str, Role: str = "USER", **given: Any) -> Answer:
        if Role not in ("USER", "REMOTE_USER"):
            raise Fault("InvalidParameter")
        self.require_name(Name)
        user = Entity(made.get("UserId", ""), "USER", Name, DisplayName, Role, given.get("HiddenFromGlobalAddressList", False))
        user.profile = {name: given[name] for name in PROFILE if given.get(name)}
        self.entities[user.id] = user
        return {"UserId": user.id}

    def update_user(self, made: Answer, UserId: str, **given: Any) -> Answer:
        user = self.get(UserId, "USER")
        role = given.get("Role", user.role)
        if role != user.role:
            if role not in ("USER", "REMOTE_USER"):
                raise Fault("InvalidParameter")
            if user.enabled:
                raise Fault("EntityState")
        user.role = role
        user.display = given.get("DisplayName", user.display)
        user.hidden = given.get("HiddenFromGlobalAddressList", user.hidden)
        profile = user.profile | {name: given[name] for name in PROFILE if name in given}
        user.profile = {name: value for name, value in profile.items() if value}
        return {}

    def describe_user(self, made: Answer, UserId: str) -> Answer:
        user = self.get(UserId, "USER")
        shown = {
            "UserId": user.id,
            "Name": user.name,
            "DisplayName": user.display,
            "State": user.state,
            "UserRole": user.role,
            "HiddenFromGlobalAddressList": user.hidden,
        }
        return shown | self._mail(user) | dict.fromkeys(user.times, TIME) | user.profile

    def list_users(self, made: Answer, Filters: dict[str, str] | None = None) -> Answer:
        columns = {"UsernamePrefix": "name", "DisplayNamePrefix": "display", "PrimaryEmailPrefix": "email", "State": "state"}
        return {"Users": [self._row(one, DisplayName=one.display, UserRole=one.role) for one in self._picked("USER", Filters, columns)]}

    def delete_user(self, made: Answer, UserId: str) -> Answer:
        return self._delete(UserId, "USER")

    # Groups

    def create_group(self, made: Answer, Name: str, HiddenFromGlobalAddressList: bool = False) -> Answer:
        self.require_name(Name)
        group = Entity(made.get("GroupId", ""), "GROUP", Name, Name, hidden=HiddenFromGlobalAddressList)
        self.entities[group.id] = group
        return {"GroupId": group.id}

    def update_group(self, made: Answer, GroupId: str, **given: Any) -> Answer:
        group = self.get(GroupId, "GROUP")
        group.hidden = given.get("HiddenFromGlobalAddressList", group.hidden)
        return {}

    def describe_group(self, made: Answer, GroupId: str) -> Answer:
        group = self.get(GroupId, "GROUP")
        shown = {"GroupId": group.id, "Name": group.name, "State": group.state, "HiddenFromGlobalAddressList": group.hidden}
        return shown | self._mail(group) | group.dates

    def list_groups(self, made: Answer, Filters: dict[str, str] | None = None) -> Answer:
        columns = {"NamePrefix": "name", "PrimaryEmailPrefix": "email", "State": "state"}
        return {"Groups": [self._row(one) for one in self._picked("GROUP", Filters, columns)]}

    def delete_group(self, made: Answer, GroupId: str) -> Answer:
        return self._delete(GroupId, "GROUP")

    def associate_member_to_group(self, made: Answer, GroupId: str, MemberId: str) -> Answer:
        group, member = self.get(GroupId, "GROUP"), self.get(MemberId)
        if member.kind not in MEMBERS or member is group:
            raise Fault("InvalidParameter")
        group.members.add(member.id)
        return {}

    def disassociate_member_from_group(self, made: Answer, GroupId: str, MemberId: str) -> Answer:
        self.get(GroupId, "GROUP").members.discard(self.get(MemberId, *MEMBERS).id)
        return {}

    def list_group_members(self, made: Answer, GroupId: str) -> Answer:
        members = [self.entities[one] for one in self.get(GroupId, "GROUP").members]
        return {"Members": [{"Id": one.id, "Name": one.name, "Type": one.kind, "State": one.state} | one.dates for one in members]}

    def list_groups_for_entity(self, made: Answer, EntityId: str, Filters: dict[str, str] | None = None) -> Answer:
        member, prefix = self.get(EntityId), (Filters or {}).get("GroupNamePrefix", "").casefold()
        groups = [one for one in self.entities.values() if member.id in one.members and one.name.casefold().startswith(prefix)]
        return {"Groups": [{"GroupId": one.id, "GroupName": one.name} for one in groups]}

    # Resources

    def create_resource(self, made: Answer, Name: str, Type: str, **given: Any) -> Answer:
        self.require_name(Name)
        room = Entity(made.get("ResourceId", ""), "RESOURCE", Name, Name, hidden=given.get("HiddenFromGlobalAddressList", False))
        room.type, room.description = Type, given.get("Description", "")
        room.booking = {"AutoAcceptRequests": True, "AutoDeclineRecurringRequests": False, "AutoDeclineConflictingRequests": True}
        self.entities[room.id] = room
        return {"ResourceId": room.id}

    def update_resource(self, made: Answer, ResourceId: str, **given: Any) -> Answer:
        room = self.get(ResourceId, "RESOURCE")
        booking = room.booking | given.get("BookingOptions", {})
        if room.booking["AutoAcceptRequests"] and not booking["AutoAcceptRequests"] and not room.delegates:
            raise Fault("InvalidConfiguration")
        name = given.get("Name", room.name)
        if name.casefold() != room.name.casefold():
            if name.casefold() in RESERVED:
                raise Fault("InvalidParameter")
            self.require_name(name)
        room.name, room.booking = name, booking
        room.type = given.get("Type", room.type)
        room.description = given.get("Description", room.description)
        room.hidden = given.get("HiddenFromGlobalAddressList", room.hidden)
        return {}

    def describe_resource(self, made: Answer, ResourceId: str) -> Answer:
        room = self.get(ResourceId, "RESOURCE")
        shown = {
            "ResourceId": room.id,
            "Name": room.name,
            "Type": room.type,
            "BookingOptions": room.booking,
            "State": room.state,
            "HiddenFromGlobalAddressList": room.hidden,
        }
        return shown | self._mail(room) | room.dates | ({"Description": room.description} if room.description else {})

    def list_resources(self, made: Answer, Filters: dict[str, str] | None = None) -> Answer:
        columns = {"NamePrefix": "name", "PrimaryEmailPrefix": "email", "State": "state"}
        rooms = self._picked("RESOURCE", Filters, columns)
        described = [{"Description": one.description} if one.description else {} for one in rooms]
        return {"Resources": [self._row(one, Type=one.type) | more for one, more in zip(rooms, described, strict=True)]}

    def delete_resource(self, made: Answer, ResourceId: str) -> Answer:
        return self._delete(ResourceId, "RESOURCE")

    def associate_delegate_to_resource(self, made: Answer, ResourceId: str, EntityId: str) -> Answer:
        room, delegate = self.get(ResourceId, "RESOURCE"), self.get(EntityId)
        if delegate.kind not in MEMBERS:
            raise Fault("InvalidParameter")
        room.delegates.add(delegate.id)
        return {}

    def disassociate_delegate_from_resource(self, made: Answer, ResourceId: str, EntityId: str) -> Answer:
        room = self.get(ResourceId, "RESOURCE")
        delegate = self.get(EntityId, *MEMBERS)
        if room.delegates == {delegate.id} and not room.booking["AutoAcceptRequests"]:
            raise Fault("EntityState")
        room.delegates.discard(delegate.id)
        return {}

    def list_resource_delegates(self, made: Answer, ResourceId: str) -> Answer:
        room = self.get(ResourceId, "RESOURCE")
        return {"Delegates": [{"Id": one, "Type": self.entities[one].kind} for one in room.delegates]}

    # Registration and addresses

    def register_to_work_mail(self, made: Answer, EntityId: str, Email: str) -> Answer:
        entity = self.get(EntityId)
        if entity.email is not None:
            if entity.email.casefold() != Email.casefold():
                raise Fault("EntityAlreadyRegistered")
            return {}
        self.is_free(Email, entity)
        entity.email, entity.aliases = Email, {Email.casefold(): Email}
        entity.times.add("EnabledDate")
        if entity.kind != "GROUP" and entity.role != "REMOTE_USER":
            entity.times.add("MailboxProvisionedDate")
        else:
            entity.times.discard("MailboxProvisionedDate")
        return {}

    def deregister_from_work_mail(self, made: Answer, EntityId: str) -> Answer:
        entity = self.get(EntityId)
        if entity.enabled:
            entity.email, entity.aliases = None, {}
            entity.times.add("DisabledDate")
            if "MailboxProvisionedDate" in entity.times:
                entity.times.add("MailboxDeprovisionedDate")
            else:
                entity.times.discard("MailboxDeprovisionedDate")
        return {}

    def describe_entity(self, made: Answer, Email: str) -> Answer:
        found = next((one for one in self.entities.values() if Email.casefold() in one.aliases), None)
        if found is None:
            raise Fault("EntityNotFound")
        return {"EntityId": found.id, "Name": found.name, "Type": found.kind}

    def create_alias(self, made: Answer, EntityId: str, Alias: str) -> Answer:
        entity = self.get(EntityId)
        if not entity.enabled:
            raise Fault("EntityState")
        if self.is_free(Alias, entity):
            if len(entity.aliases) > 100:
                raise Fault("LimitExceeded")
            entity.aliases[Alias.casefold()] = Alias
        return {}

    def delete_alias(self, made: Answer, EntityId: str, Alias: str) -> Answer:
        entity = self.get(EntityId)
        if entity.email is not None and entity.email.casefold() == Alias.casefold():
            raise Fault("InvalidParameter")
        entity.aliases.pop(Alias.casefold(), None)
        return {}

    def list_aliases(self, made: Answer, EntityId: str) -> Answer:
        return {"Aliases": list(self.get(EntityId).aliases.values())}

    def update_primary_email_address(self, made: Answer, EntityId: str, Email: str) -> Answer:
        entity = self.get(EntityId)
        if not entity.enabled:
            raise Fault("EntityState")
        self.is_free(Email, entity)
        entity.email = entity.aliases[Email.casefold()] = Email
        return {}

    # Domains and tags

    def register_mail_domain(self, made: Answer, DomainName: str) -> Answer:
        if f".{DomainName.casefold()}".endswith(".postroom.test") and DomainName.casefold() not in self.domains:
            raise Fault("MailDomainInUse")
        self.domains.setdefault(DomainName.casefold(), False)
        return {}

    def deregister_mail_domain(self, made: Answer, DomainName: str) -> Answer:
        domain = DomainName.casefold()
        if domain in self.domains:
            if domain in (self.test_domain, self.default_domain):
                raise Fault("InvalidParameter")
            if any(key.endswith(f"@{domain}") for one in self.entities.values() for key in one.aliases):
                raise Fault("MailDomainInUse")
            del self.domains[domain]
        return {}

    def list_mail_domains(self, made: Answer) -> Answer:
        return {"MailDomains": [{"DomainName": one, "DefaultDomain": one == self.default_domain} for one in self.domains]}

    def update_default_mail_domain(self, made: Answer, DomainName: str) -> Answer:
        domain = DomainName.casefold()
        if domain not in self.domains:
            raise Fault("MailDomainNotFound")
        if not self.domains[domain]:
            raise Fault("MailDomainState")
        self.default_domain = domain
        return {}

    def tag_resource(self, made: Answer, Tags: list[dict[str, str]]) -> Answer:
        names = [tag["Key"] for tag in Tags]
        if len(set(names)) < len(names) or any(name.lower().startswith("aws:") for name in names):
            raise Fault("InvalidParameter")
        new = self.tags | {tag["Key"]: tag["Value"] for tag in Tags}
        if len(new) > 50:
            raise Fault("TooManyTags")
        self.tags = new
        return {}

    def untag_resource(self, made: Answer, TagKeys: list[str]) -> Answer:
        self.tags = {name: value for name, value in self.tags.items() if name not in TagKeys}
        return {}

    def list_tags_for_resource(self, made: Answer) -> Answer:
        return {"Tags": [{"Key": name, "Value": value} for name, value in self.tags.items()]}

    # Mailboxes

    def update_mailbox_quota(self, made: Answer, UserId: str, MailboxQuota: int) -> Answer:
        owner = self.get(UserId, "USER", "RESOURCE")
        if not self._has_mailbox(owner):
            raise Fault("EntityState")
        owner.quota = MailboxQuota
        return {}

    def get_mailbox_details(self, made: Answer, UserId: str) -> Answer:
        owner = self.get(UserId, "USER", "RESOURCE")
        if not self._has_mailbox(owner):
            raise Fault("EntityNotFound")
        return {"MailboxQuota": owner.quota, "MailboxSize": 0.0}

    # What is shared

    def _delete(self, reference: str, kind: str) -> Answer:
        found = self.find(reference)
        if found is None:
            return {}
        if found.kind != kind:
            raise Fault("InvalidParameter")
        if found.enabled:
            raise Fault("EntityState")
        rooms = [one for one in self.entities.values() if one.kind == "RESOURCE" and one.delegates == {found.id}]
        if any(not room.booking["AutoAcceptRequests"] for room in rooms):
            raise Fault("EntityState")
        del self.entities[found.id]
        for one in self.entities.values():
            one.members.discard(found.id)
            one.delegates.discard(found.id)
        self._deleted(found)
        return {}

    def _deleted(self, entity: Entity) -> None:
        """Forget what else refers to an entity."""

    def _has_mailbox(self, one: Entity) -> bool:
        return one.enabled and one.kind != "GROUP" and one.role != "REMOTE_USER"

    def _mail(self, one: Entity) -> Answer:
        return {"Email": one.email} if one.email is not None else {}

    def _row(self, one: Entity, **more: Any) -> Answer:
        return {"Id": one.id, "Name": one.name, "State": one.state} | self._mail(one) | one.dates | more

    def _picked(self, kind: str, filters: dict[str, str] | None, columns: dict[str, str]) -> list[Entity]:
        if len(filters or {}) > 1:
            raise Fault("InvalidParameter")
        rows = [one for one in self.entities.values() if one.kind == kind]
        for name, wanted in (filters or {}).items():
            rows = [one for one in rows if (getattr(one, columns[name]) or "").casefold().startswith(wanted.casefold())]
            if columns[name] == "email":
                rows = [one for one in rows if one.email is not None]
        return rows
