"""An organization follows its directory: changes only, nobody lost by mistake, on both engines."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from postroom.directory import addresses, entities, groups, organizations, outside, registration, resources, synchronization, users
from postroom.directory.synchronization import KEPT_SECONDS, Limits
from postroom.ldap.directory import Directory
from postroom.ldap.settings import Settings
from postroom.mailbox import access
from postroom.model import errors
from postroom.model.directories import OutsideGroup, OutsideUser, Snapshot
from postroom.model.entities import Entity, State
from postroom.model.organizations import Organization
from postroom.storage.engine import REGISTRY, Store, Tx
from postroom.storage.queries import credentials, mailboxes, members, profiles
from postroom.storage.queries import outside as outside_rows
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
    returned = replace(BOB, dn="uid=back,dc=x")
    assert apply(store, scope, Snapshot((ALICE, another, CAROL, returned), (STAFF, INNER))) == 0, "the name is somebody else's now"
    with pytest.raises(errors.EntityState):
        register(store, scope, BOB.id)
    clock.advance(KEPT_SECONDS - 1)
    apply(store, scope, Snapshot((ALICE, another, CAROL), (STAFF, INNER)))
    assert look(store, scope, BOB.id) is not None
    clock.advance(1)
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


def test_whose_new_name_is_taken_keeps_the_old_one_and_nothing_else(store: Store, scope: int) -> None:
    apply(store, scope, replace(EVERYBODY, groups=()))
    with store.transaction(scope) as tx:
        resources.create(tx, name="room", type="ROOM", description=None, hidden=False)
    renamed = replace(ALICE, name="Room", dn="uid=room,dc=x", active=False)
    changed = Snapshot((renamed, BOB, CAROL), ())
    assert apply(store, scope, changed) == 0
    with store.transaction(scope, write=False) as tx:
        assert credentials.find(tx, ALICE.id) == outside.CLOSED, "she is disabled all the same"
        assert outside.dn_of(tx, ALICE.id) == "uid=room,dc=x"
    found = look(store, scope, ALICE.id)
    assert found is not None
    assert found.name == "alice"
    with store.transaction(scope) as tx:
        resources.delete(tx, "room")
    assert apply(store, scope, changed) == 1
    found = look(store, scope, ALICE.id)
    assert found is not None
    assert found.name == "Room"


def test_a_group_that_was_left_half_done_goes_with_its_directory(store: Store, scope: int, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(store, scope, Snapshot((ALICE,), ()))
    monkeypatch.setattr(synchronization, "BATCH", 1)
    turns = iter([None])

    def keep(tx: Tx) -> None:
        if next(turns, "killed"):
            raise errors.TryLater("killed")

    with pytest.raises(errors.TryLater):
        synchronization.apply(store, scope, Snapshot((ALICE,), (STAFF,)), USUAL, keep)
    assert look(store, scope, "staff") is not None
    apply(store, scope, Snapshot((ALICE,), ()))
    with store.transaction(scope, write=False) as tx:
        gone = outside_rows.find(tx, STAFF.id)
    assert gone is not None
    assert gone.gone_at is not None


class Ready(Directory):
    """A directory whose answer is here, after something else has happened."""

    def __init__(self, snapshot: Snapshot, meanwhile: Callable[[], object] = lambda: None, **settings: Any) -> None:
        super().__init__("office", Settings(id="d-0000000001", urls=("ldap://127.0.0.1:1",), base="dc=x", **settings))
        self._snapshot, self._meanwhile = snapshot, meanwhile

    def read(self) -> Snapshot:
        self._meanwhile()
        return self._snapshot


def test_what_was_read_too_slowly_is_not_applied_over_what_is_newer(store: Store, scope: int, clock: Clock) -> None:
    newer = Snapshot((ALICE, BOB, replace(CAROL, active=False)), ())

    def meanwhile() -> None:
        clock.advance(synchronization.LEASE_SECONDS + 1)
        thread = threading.Thread(target=synchronization.synchronize, args=(store, scope, Ready(newer), FORCED))
        thread.start()
        thread.join()

    with pytest.raises(errors.TryLater):
        synchronization.synchronize(store, scope, Ready(EVERYBODY, meanwhile), FORCED)
    with store.transaction(scope, write=False) as tx:
        assert credentials.find(tx, CAROL.id) == outside.CLOSED


def test_a_clock_that_was_ahead_stops_no_synchronization(store: Store, scope: int, clock: Clock) -> None:
    ready = {"d-0000000001": Ready(EVERYBODY)}
    assert synchronization.due(store, scope, ready, 10) == 5
    ready = {"d-0000000001": Ready(replace(EVERYBODY, users=(replace(ALICE, display_name="A"), BOB, CAROL)))}
    assert synchronization.due(store, scope, ready, 10) == 0, "not yet"
    clock.advance(-86_400.0)
    assert synchronization.due(store, scope, ready, 10) == 1


def test_hashes_go_when_their_time_is_over(store: Store, scope: int, clock: Clock) -> None:
    apply(store, scope, EVERYBODY)
    for name in (ALICE, BOB):
        clock.advance(2 * 86_400.0)
        with store.transaction(scope) as tx:
            outside.set_verifier(tx, name.id, "a hash")
    clock.advance(6 * 86_400.0)
    synchronization.synchronize(store, scope, Ready(EVERYBODY, offline_days=7.0), USUAL)
    with store.transaction(scope, write=False) as tx:
        assert [outside.verifier(tx, one.id, 1000) is None for one in (ALICE, BOB)] == [True, False]
    clock.advance(-30 * 86_400.0)
    with store.transaction(scope, write=False) as tx:
        assert outside.verifier(tx, BOB.id, 7) is None, "confirmed in a year that has not come"


def test_a_large_group_holds_no_transaction_for_long(store: Store, scope: int, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = tuple(user(f"u{number}", number + 1) for number in range(120))
    asked: list[str] = []
    insert = members.insert
    most = 0

    def counted(tx: Tx, *, group: str, member: str) -> None:
        asked.append(member)
        insert(tx, group=group, member=member)

    def keep(tx: Tx) -> None:
        nonlocal most
        most = max(most, len(asked))
        asked.clear()

    monkeypatch.setattr(members, "insert", counted)
    monkeypatch.setattr(synchronization, "BATCH", 2)
    synchronization.apply(store, scope, Snapshot(crowd, (group("all", *(one.dn for one in crowd)),)), FORCED, keep)
    with store.transaction(scope, write=False) as tx:
        assert len(members.all_of(tx, group("all").id)) == 120
    assert most <= 40


def test_an_organization_that_is_deleted_while_it_is_read_leaves_nothing(store: Store, organization: Organization, scope: int) -> None:
    ready = Ready(EVERYBODY, lambda: organizations.delete(store, organization, force=True))
    assert synchronization.due(store, scope, {"d-0000000001": ready}, 10) == 0
    with pytest.raises(errors.OrganizationNotFound), store.transaction(scope):
        pass
    if store.engine == "postgresql":
        with store.transaction(REGISTRY, write=False) as tx:
            assert tx.all("SELECT entity FROM outside_entries") == []
            assert tx.all("SELECT id FROM entities") == []


def test_groups_in_a_circle_reach_everybody_once(store: Store, scope: int) -> None:
    circle = (group("one", "cn=two,dc=x", ALICE.dn), group("two", "cn=one,dc=x", "cn=two,dc=x", BOB.dn))
    apply(store, scope, Snapshot((ALICE, BOB), circle))
    register(store, scope, "alice", "bob", "one", "two")
    with store.transaction(scope, write=False) as tx:
        assert sorted(one.name for one in groups.expand(tx, circle[0].id)) == ["alice", "bob"]
        assert members.all_of(tx, circle[1].id) == sorted([BOB.id, circle[0].id])
    assert apply(store, scope, Snapshot((ALICE, BOB), circle)) == 0
