"""When a certificate is ordered: at two thirds of its life, ever later after failures, and never more often than authorities bear.

The bounds are below those of Let's Encrypt, so that a server that loses its way is not shut out for a week: 300 orders of an account in
three hours, 50 new names of a registered domain and 5 certificates of one name in seven days, 5 failures of a name in an hour.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from postroom.server.acme import folder

HOUR, DAY = 3600.0, 86_400.0
WEEK = 7 * DAY
LIFE = 2 / 3
FIRST_PAUSE = 900.0
LONGEST_PAUSE = 12 * HOUR
SPREAD = 0.25
"""How much longer than it must be a pause may be."""
ORDERS, ORDERS_SECONDS = 100, 3 * HOUR
NEW_NAMES = 40
SAME_NAME = 4
FAILURES = 4
ERROR_CHARACTERS = 1000


class Record(msgspec.Struct, kw_only=True):
    """What is remembered of a name; times are epoch seconds."""

    failures: int = 0
    """In a row."""
    not_before: float = 0.0
    """When it may be tried again."""
    error: str = ""
    renew_at: float = 0.0
    """When the authority wants it to be renewed (RFC 9773), 0 where it does not say."""
    ask_at: float = 0.0
    """When the authority is to be asked for that again."""

    def stale(self, now: float) -> bool:
        """Tell whether nobody has cared for the name for a week."""
        return max(self.not_before, self.ask_at) + WEEK < now


class Order(msgspec.Struct, array_like=True):
    """An order of the last seven days."""

    at: float
    name: str
    new: bool
    issued: bool = False


class Ledger(msgspec.Struct, kw_only=True):
    """What is remembered of all names, and all orders."""

    names: dict[str, Record] = {}
    orders: list[Order] = []

    def of(self, name: str) -> Record:
        """Give the record of a name."""
        return self.names.setdefault(name, Record())

    def began(self, name: str, now: float, *, new: bool) -> None:
        """Note an order that is about to be made; what is older than a week is forgotten, and names that are not tried any more."""
        self.names = {one: record for one, record in self.names.items() if not record.stale(now)}
        self.orders = [order for order in self.orders if now - WEEK < order.at <= now]
        self.orders.append(Order(now, name, new))

    def succeeded(self, name: str) -> None:
        """Note that the last order of a name has brought a certificate."""
        for order in reversed(self.orders):
            if order.name == name:
                order.issued = True
                break
        self.names[name] = Record()

    def failed(self, name: str, now: float, reason: str, *, pause: float, spread: float) -> None:
        """Note a failure; the next try is twice as far away as the last one, and `pause` seconds at least. `spread` is from 0 to 1."""
        record = self.of(name)
        record.failures += 1
        record.error = reason[:ERROR_CHARACTERS]
        wait = min(FIRST_PAUSE * 2.0 ** min(record.failures - 1, 20), LONGEST_PAUSE)
        record.not_before = now + max(wait, min(pause, WEEK)) * (1 + SPREAD * spread)

    def allowed_at(self, name: str, now: float, registered: Callable[[str], str]) -> float:
        """Give when the bounds let an order be made, `now` where they do; `registered` gives the registered domain of a name."""
        orders = [order for order in self.orders if order.at <= now]
        lately = [order.at for order in orders if now - order.at < ORDERS_SECONDS]
        same = [order.at for order in orders if order.name == name and order.issued and now - order.at < WEEK]
        failed = [order.at for order in orders if order.name == name and not order.issued and now - order.at < HOUR]
        waits = [_free_at(lately, ORDERS, ORDERS_SECONDS), _free_at(same, SAME_NAME, WEEK), _free_at(failed, FAILURES, HOUR)]
        if not any(order.name == name and order.issued for order in orders):
            domain = registered(name)
            others = [order.at for order in orders if order.new and order.issued and registered(order.name) == domain]
            waits.append(_free_at([at for at in others if now - at < WEEK], NEW_NAMES, WEEK))
        return max(now, *waits)


def due_at(record: Record, starts: float, ends: float) -> float:
    """Give when a certificate is to be renewed: when its authority says, or at two thirds of its life, whichever is first."""
    usual = starts + (ends - starts) * LIFE
    return min(record.renew_at, usual) if record.renew_at else usual


def load(path: Path) -> Ledger:
    """Read the ledger; one that is not there or cannot be read is new."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ledger)
    except (FileNotFoundError, msgspec.DecodeError, ValueError):
        return Ledger()


def save(path: Path, ledger: Ledger) -> None:
    """Write the ledger durably."""
    folder.replace(path, msgspec.json.encode(ledger))


def _free_at(times: list[float], most: int, seconds: float) -> float:
    """Give when one more fits among those of the last `seconds`."""
    return sorted(times)[len(times) - most] + seconds if len(times) >= most else 0.0
