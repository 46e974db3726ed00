"""What goes on behind mail domains: keys are made, DNS is asked, hosted zones are written, soon after a change and every minute."""

from collections.abc import Callable

from postroom.aws.clients import Aws
from postroom.directory.domains import Targets
from postroom.jobs import dkim
from postroom.server.dns import hosted_zones, second_signatures, verification
from postroom.server.dns.lookups import Lookups
from postroom.storage.engine import Store


def work(*, lookups: Lookups | None, targets: Targets, aws: Aws | None) -> Callable[[Store, int], int]:
    """Give the work on one organization's domains, which counts what it has done; no `lookups` where DNS proves nothing."""

    def run(store: Store, scope: int) -> int:
        done = dkim.make_keys(store, scope)
        if aws is not None:
            done += hosted_zones.write_due(store, scope, aws, targets)
        if lookups is not None:
            done += verification.verify(store, scope, lookups, targets)
        second_signatures.look(store, scope, lookups)
        return done

    return run
