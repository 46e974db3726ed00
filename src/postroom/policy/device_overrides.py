"""Mobile device access overrides: what is decided about one device of one user, whatever the rules say.

Device ids have no case; they are shown as they were last given. An override goes with its user.
"""

from dataclasses import dataclass

from postroom.directory import entities, users
from postroom.model import errors
from postroom.policy.access_rules import Effect
from postroom.storage.engine import Tx
from postroom.storage.queries import device_overrides

LONGEST_ID = 32
"""Characters of a device id (WorkMail API: DeviceId)."""


@dataclass(frozen=True, slots=True)
class Override:
    """One override; times are epoch seconds."""

    user_id: str
    device_id: str
    effect: Effect
    description: str | None
    created_at: float
    modified_at: float


def put(tx: Tx, user: str, device_id: str, effect: Effect, description: str | None = None) -> None:
    """Add an override, or replace the one there; raises `EntityNotFound`, `EntityState` (WorkMail API: PutMobileDeviceAccessOverride)."""
    entity = entities.get(tx, user, users.KINDS)
    entities.require_enabled(entity)
    device_overrides.insert(tx, entity.id, key_of(device_id), spelling=device_id, effect=effect.value, description=description)


def get(tx: Tx, user: str, device_id: str) -> Override:
    """Get an override; raises `EntityNotFound` for the user, `ResourceNotFound` (WorkMail API: GetMobileDeviceAccessOverride)."""
    found = find(tx, entities.get(tx, user, users.KINDS).id, device_id)
    if found is None:
        raise errors.ResourceNotFound(f"There is no mobile device access override for the device {device_id} of {user}.")
    return found


def find(tx: Tx, user_id: str, device_id: str) -> Override | None:
    """Find the override for a device of the user with an id; a device may call itself anything, and only a proper id has one."""
    if not (device_id.isascii() and device_id.isalnum() and len(device_id) <= LONGEST_ID):
        return None
    row = device_overrides.find(tx, user_id, key_of(device_id))
    return _override(row) if row else None


def page(tx: Tx, *, user: str | None, device_id: str | None, after: tuple[str, str], limit: int) -> list[Override]:
    """List overrides behind a key, of one user or for one device where that is given.

    Raises `EntityNotFound` for the user (WorkMail API: ListMobileDeviceAccessOverrides).
    """
    entity = entities.get(tx, user, users.KINDS).id if user is not None else None
    device = key_of(device_id) if device_id is not None else None
    return [_override(row) for row in device_overrides.page(tx, entity=entity, device=device, after=after, limit=limit)]


def delete(tx: Tx, user: str, device_id: str) -> None:
    """Remove an override, which need not be there.

    Raises `EntityNotFound` for the user (WorkMail API: DeleteMobileDeviceAccessOverride).
    """
    device_overrides.delete(tx, entities.get(tx, user, users.KINDS).id, key_of(device_id))


def key_of(device_id: str) -> str:
    """Give a device id in the form in which ids are compared."""
    return device_id.lower()


def _override(row: tuple[object, ...]) -> Override:
    user_id, device_id, effect, description, created_at, modified_at, _ = row
    return Override(user_id, device_id, Effect(effect), description, created_at, modified_at)  # type: ignore[arg-type]
