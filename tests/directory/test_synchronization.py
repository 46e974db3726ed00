"""An organization follows its directory: changes only, nobody lost by mistake, on both engines."""

from dataclasses import replace

import pytest

from postroom.directory import addresses, entities, groups, outside, registration, resources, synchronization, users
from postroom.directory.synchronization import KEPT_SECONDS, Limits
from postroom.mailbox import access
from postroom.model import errors
from postroom.model.directories import OutsideGroup, OutsideUser, Snapshot
from postroom.model.entities import Entity, State
from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from postroom.storage.queries import credentials, mailboxes, members, profiles
from tests.conftest import Clock

USUAL = Limits(vanishing_percent=20.0)
FORCED = Limits()


def user(name: str, number: int = 0, **more: object) -> OutsideUser:
    id = f"00000000-0000-4000-8000-{number or sum(map(ord, name)):012d}"
    return replace(OutsideUser(id, f"uid={name},dc=x", name, name.title(), {"city": "Anytown"}), **more)  # type: ignore[arg-type]


def group(name: str, *members: str) -> OutsideGroup:
    return OutsideGroup(f"00000000-0000-4000-9000-{sum(map(ord, name)):012d}", f"cn={name},dc=x", name, members)


ALICE, BOB, CAROL = user("alice"), user("bob"), user("carol")
INNER = group("inner", BOB.dn)
STAFF = group("staff", ALICE.dn.upper(), INNER.dn, "uid=unknown,dc=x")
EVERYBODY = Snapshot((ALICE, BOB, CAROL), (STAFF, INNER))


@pytest.fixture
def scope(store: Store, organization: Organization) -> int:
    with store.transaction(organization.number) as tx:
        outside.attach(tx, "d-0000000001")
    return organization.number


def apply(store: Store, scope: int, snapshot: Snapshot, limits: Limits = USUAL) -> int:
    return synchronization.apply(store, scope, snapshot, limits)


def look(store: Store, scope: int, name: str) -> Entity | None:
    with store.transaction(scope, write=False) as tx:
        return entities.find(tx, name)


def register(store: Store, scope: int, *names: str) -> None:
    with store.transaction(scope) as tx:
        for name in names:
            registration.register(tx, name, f"{name}@example.test")


def test_everybody_comes_disabled_under_the_directorys_id(store: Store, scope: int) -> None:
    assert apply(store, scope, EVERYBODY) == 5
    found = look(store, scope, "alice")
    assert found is not None
    assert (found.id, found.display_name, found.state) == (ALICE.id, "Alice", State.DISABLED)
    with store.transaction(scope, write=False) as tx:
        assert (profiles.find(tx, ALICE.id) or {})["city"] == "Anytown"
        assert members.all_of(tx, STAFF.id) == sorted([ALICE.id, INNER.id])
    assert apply(store, scope, EVERYBODY) == 0, "changes only"


def test_a_group_in_a_group_reaches_its_members(store: Store, scope: int) -> None:
    apply(store, scope, EVERYBODY)
    register(store, scope, "alice", "bob", "carol", "staff", "inner")
    with store.transaction(scope, write=False) as tx:
        assert [one.name for one in groups.expand(tx, STAFF.id)] == ["bob", "alice"]
    apply(store, scope, replace(EVERYBODY, groups=(replace(STAFF, members=(CAROL.dn,)), INNER)))
    with store.transaction(scope, write=False) as tx:
        assert [one.name for one in groups.expand(tx, STAFF.id)] == ["carol"]


def test_a_new_name_leaves_the_mailbox_where_it_is(store: Store, scope: int) -> None:
    apply(store, scope, EVERYBODY)
    register(store, scope, "alice")
    swapped = (replace(ALICE, name="bob", display_name="Alice B"), replace(BOB, name="alice", dn="uid=moved,dc=x"), CAROL)
    apply(store, scope, Snapshot(swapped, (STAFF, INNER)))
    found = look(store, scope, "bob")
    assert found is not None
    assert (found.id, found.display_name, found.email) == (ALICE.id, "Alice B", "alice@example.test")
    assert look(store, scope, "alice") is not None
    with store.transaction(scope, write=False) as tx:
        assert outside.dn_of(tx, BOB.id) == "uid=moved,dc=x"


def test_who_is_gone_is_taken_out_of_mail_and_may_come_back(store: Store, scope: int) -> None:
    apply(store, scope, EVERYBODY)
    register(store, scope, "carol", "staff")
    with store.transaction(scope, write=False) as tx:
        mailbox = access.open_for_delivery(tx, CAROL.id).id
    assert apply(store, scope, Snapshot((ALICE, BOB), (STAFF, INNER))) == 1
    found = look(store, scope, "carol")
    assert found is not None
    assert (found.state, found.email) == (State.DISABLED, None)
    with store.transaction(scope, write=False) as tx:
        assert addresses.resolve(tx, "carol@example.test") is None
        assert credentials.find(tx, CAROL.id) is None
        assert [owner for _, owner in mailboxes.page_parked(tx, before=tx.now + 1, limit=9)] == [CAROL.id]
    with pytest.raises(errors.EntityState):
        register(store, scope, "carol")
    apply(store, scope, EVERYBODY)
    register(store, scope, "carol")
    with store.transaction(scope, write=False) as tx:
        assert access.open_for_delivery(tx, CAROL.id).id == mailbox


def test_who_is_gone_for_long_is_forgotten_and_gives_the_name_to_others_before(store: Store, scope: int, clock: Clock) -> None:
    apply(store, scope, EVERYBODY)
    another = user("bob", 99)
    apply(store, scope, Snapshot((ALICE, another, CAROL), (STAFF, INNER)))
    found = look(store, scope, "bob")
    assert found is not None
    assert found.id == another.id
    assert look(store, scope, BOB.id) is not None
    clock.advance(KEPT_SECONDS)
    apply(store, scope, Snapshot((ALICE, another, CAROL), (STAFF, INNER)))
    assert look(store, scope, BOB.id) is None


@pytest.mark.parametrize("left", [(), (ALICE,)])
def test_too_many_gone_at_once_is_a_mistake(store: Store, scope: int, left: tuple[OutsideUser, ...]) -> None:
    apply(store, scope, EVERYBODY)
    register(store, scope, "alice")
    with pytest.raises(errors.Unsupported, match="of 5 users and groups would go"):
        apply(store, scope, Snapshot(left, ()))
    assert all(look(store, scope, name) for name in ("alice", "bob", "carol", "staff", "inner"))
    apply(store, scope, Snapshot(left, ()), FORCED)
    found = look(store, scope, "bob")
    assert found is not None
    with pytest.raises(errors.EntityState):
        register(store, scope, "bob")


def test_an_empty_answer_wipes_not_even_one(store: Store, scope: int) -> None:
    apply(store, scope, Snapshot((ALICE,), ()))
    with pytest.raises(errors.Unsupported):
        apply(store, scope, Snapshot((), ()))


def test_more_users_than_there_may_be_are_none(store: Store, scope: int) -> None:
    with pytest.raises(errors.LimitExceeded):
        apply(store, scope, EVERYBODY, Limits(users=2))
    assert look(store, scope, "alice") is None


def test_names_that_are_taken_are_left_out_until_they_are_free(store: Store, scope: int) -> None:
    with store.transaction(scope) as tx:
        room = resources.create(tx, name="BOB", type="ROOM", description=None, hidden=False)
    guest, double = user("guest"), user("Alice", 77)
    assert apply(store, scope, Snapshot((ALICE, BOB, guest, double), (INNER,))) == 2
    assert look(store, scope, guest.id) is None
    assert look(store, scope, double.id) is None
    with store.transaction(scope) as tx:
        resources.delete(tx, room.id)
    apply(store, scope, Snapshot((ALICE, BOB, guest, double), (INNER,)))
    with store.transaction(scope, write=False) as tx:
        assert members.all_of(tx, INNER.id) == [BOB.id]


def test_a_new_password_and_a_disabled_user_are_told_to_sessions(store: Store, scope: int) -> None:
    apply(store, scope, EVERYBODY)
    with store.transaction(scope) as tx:
        outside.set_verifier(tx, ALICE.id, "a hash")
        outside.set_verifier(tx, BOB.id, "a hash")
    doubts = store.notifier.doubts
    register(store, scope, "alice", "bob")
    apply(
        store,
        scope,
        replace(EVERYBODY, users=(replace(ALICE, changed="2"), replace(BOB, display_name="Robert"), replace(CAROL, active=False))),
    )
    assert store.notifier.doubts > doubts
    with store.transaction(scope, write=False) as tx:
        assert outside.verifier(tx, ALICE.id, 7) is None
        assert outside.verifier(tx, BOB.id, 7) is not None
        assert credentials.find(tx, CAROL.id) == outside.CLOSED


def test_what_is_the_directorys_is_refused_to_everybody(store: Store, scope: int) -> None:
    apply(store, scope, EVERYBODY)
    with store.transaction(scope) as tx:
        for write in (
            lambda: users.create(tx, name="eve", display_name="Eve"),
            lambda: users.delete(tx, "nobody"),
            lambda: users.update(tx, "alice", display_name="Other"),
            lambda: users.reset_password(tx, "alice", "hash"),
            lambda: groups.create(tx, name="more"),
            lambda: groups.delete(tx, "nobody"),
            lambda: groups.add_member(tx, "staff", "carol"),
            lambda: groups.remove_member(tx, "staff", "alice"),
        ):
            with pytest.raises(errors.Unsupported):
                write()
        users.update(tx, "alice", hidden=True)
    apply(store, scope, replace(EVERYBODY, users=(replace(ALICE, display_name="A"), BOB, CAROL)))
    found = look(store, scope, "alice")
    assert found is not None
    assert (found.hidden, found.display_name) == (True, "A")
