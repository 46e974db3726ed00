"""A directory of others: is this the password of that user, and who is there at all.

While none of its servers answers it is left alone for some seconds, and then one at a time tries it, while all others who ask about a
password hear so at once: who waits for a silent server keeps a thread from others.
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from postroom.ldap import filters, names
from postroom.ldap.entries import Meaning, ranged
from postroom.ldap.link import Attributes, Link, Place, Silent, linked
from postroom.ldap.settings import FILTERS, Settings
from postroom.model import errors
from postroom.model.directories import Snapshot

PAUSE_SECONDS = 5.0
ANY = filters.parse("(objectClass=*)")
MOST_PARTS = 1000
"""Parts in which the members of one group may come."""

T = TypeVar("T")


class Directory:
    """One directory, for all threads. `clock` is any steady clock in seconds."""

    def __init__(self, name: str, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.settings = settings
        self._clock = clock
        self._places = [Place.of(url) for url in settings.urls]
        self._first = 0
        self._silent_until: float | None = None
        self._trying = threading.Lock()
        self._meaning = Meaning(settings)
        users, groups = FILTERS[settings.type]
        self._users = filters.parse(settings.users_filter or users)
        self._groups = filters.parse(settings.groups_filter or groups)
        self._context = ssl.create_default_context(cafile=settings.ca or None)

    @property
    def nobody(self) -> str:
        """A DN that nobody has, to ask for those who are not there."""
        return f"cn={names.escape('nobody, really')},{self.settings.users_base or self.settings.base}"

    def check(self, dn: str, password: str, user: str = "") -> bool:
        """Say whether this is the password of the user with this DN, and with this id where one is given; raises `DirectoryUnavailable`."""
        if not password or not _sendable(password):
            return False

        def opens(link: Link) -> bool:
            return link.bind(dn, password) and (not user or self._stands_at(link, dn, user))

        silent_until = self._silent_until
        if silent_until is None:
            return self._ask(opens)
        if self._clock() < silent_until or not self._trying.acquire(blocking=False):
            raise Silent(f"The directory {self.name} does not answer.")
        try:
            return self._ask(opens)
        finally:
            self._trying.release()

    def read(self) -> Snapshot:
        """Read all users and groups; raises `DirectoryUnavailable` unless it has been all of them."""
        return self._ask(self._read)

    def reach(self) -> None:
        """Sign in as whoever reads, and read nothing; raises `DirectoryUnavailable`."""
        self._ask(self._sign_in)

    def _stands_at(self, link: Link, dn: str, user: str) -> bool:
        """Say whether a DN is still that of the user who had it at the last reading, and nobody else's; yes where that cannot be read.

        Asked as the user, who has just come in, and as whoever reads where users may not see themselves.
        """
        return (self._id_at(link, dn) or self._id_at(link, dn, reader=True)) in (None, user)

    def _id_at(self, link: Link, dn: str, *, reader: bool = False) -> str | None:
        try:
            if reader:
                self._sign_in(link)
            return self._meaning.id(link.one(dn, ANY, self._meaning.of_ids))
        except errors.DirectoryUnavailable:
            return None

    def _sign_in(self, link: Link) -> None:
        if not link.bind(self.settings.bind_dn, self._secret()):
            raise errors.DirectoryUnavailable(f"The directory {self.name} does not let {self.settings.bind_dn} in.")

    def _secret(self) -> str:
        path = self.settings.bind_password_file
        try:
            lines = Path(path).read_text().splitlines() if path else []
        except (OSError, ValueError) as error:
            raise errors.DirectoryUnavailable(f"The password of the directory {self.name} cannot be read: {error}") from error
        return lines[0] if lines else self.settings.bind_password

    def _read(self, link: Link) -> Snapshot:
        self._sign_in(link)
        link.linger()
        base = self.settings.base
        users = link.search(self.settings.users_base or base, self._users, self._meaning.of_users)
        people = [self._meaning.user(dn, found) for dn, found in self._bounded(users)]
        groups = link.search(self.settings.groups_base or base, self._groups, self._meaning.of_groups)
        partial = list(self._bounded(groups))
        whole = [self._meaning.group(dn, self._completed(link, dn, found)) for dn, found in partial]
        return Snapshot(tuple(one for one in people if one), tuple(one for one in whole if one))

    def _bounded(self, found: Iterator[tuple[str, Attributes]]) -> Iterator[tuple[str, Attributes]]:
        for number, entry in enumerate(found):
            if number >= self.settings.entries:
                raise errors.DirectoryUnavailable(f"The directory {self.name} has more than {self.settings.entries} entries of one kind.")
            yield entry

    def _completed(self, link: Link, dn: str, found: Attributes) -> Attributes:
        """Ask for the rest of the members where a server gives them in parts."""
        name = self._meaning.members
        values, after = ranged(found, name)
        for _ in range(MOST_PARTS):
            if after is None:
                return {**found, name: values}
            part, after = ranged(link.one(dn, ANY, [f"{name};range={after}-*"]), name)
            if not part:
                raise errors.DirectoryUnavailable(f"The directory {self.name} does not give all members of {dn}.")
            values += part
        raise errors.DirectoryUnavailable(f"The directory {self.name} has a group without end: {dn}.")

    def _ask(self, question: Callable[[Link], T]) -> T:
        """Ask one server after the other until one answers."""
        failed: errors.DirectoryUnavailable = Silent(f"The directory {self.name} has no server.")
        for number in range(len(self._places)):
            at = (self._first + number) % len(self._places)
            try:
                with self._linked(self._places[at]) as link:
                    answer = question(link)
                self._first, self._silent_until = at, None
                return answer
            except errors.DirectoryUnavailable as error:
                failed = error
        if isinstance(failed, Silent):
            self._silent_until = self._clock() + PAUSE_SECONDS
        raise failed

    def _linked(self, place: Place) -> AbstractContextManager[Link]:
        secure = place.tls or self.settings.starttls
        return linked(self.settings, place, self._context if secure else None)


def _sendable(text: str) -> bool:
    """Say whether a text can be written in UTF-8, as a password must be (RFC 4513 §5.1.3)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
