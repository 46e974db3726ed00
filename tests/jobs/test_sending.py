"""What users have sent is forgotten when it counts no more, and only then."""

from postroom.jobs import sending
from postroom.model.organizations import Organization
from postroom.policy import spikes
from postroom.policy.spikes import DAY, FOR_GOOD, Settings
from postroom.storage.engine import Store
from postroom.storage.queries import sending as days
from tests.conftest import Clock


def test_hours_days_and_trust_are_forgotten_by_age(store: Store, organization: Organization, clock: Clock) -> None:
    settings = Settings(days=2)
    with store.transaction(1) as tx:
        spikes.trust(tx, "short", clock.now + DAY, "released")
        spikes.trust(tx, "long", FOR_GOOD, "trusted")
        spikes.hold(tx, "held", "by hand")
    for _ in range(5):
        with store.transaction(1) as tx:
            for user in ("alice", "bob"):
                spikes.count(tx, user, 1, settings)
                days.add(tx, user, int(clock.now) // DAY, "external", 1)
        clock.advance(DAY)
    assert sending.purge(settings)(store, 1) == 2 * 3 + 2 + 1  # of five days two are kept by hour, none by day
    assert sending.purge(settings)(store, 1) == 0
    with store.transaction(1, write=False) as tx:
        assert [watch.entity for watch in spikes.page(tx)] == ["held", "long"]
        assert tx.all("SELECT COUNT(*) FROM sending_hours WHERE organization = :organization") == [(4,)]
