"""Which certificate stands for which name: the files that the settings name, and what has been issued beside them."""

from collections.abc import Mapping
from pathlib import Path

from postroom.model.addresses import domain_key
from postroom.server import certificates
from postroom.server.acme.folder import Folder
from postroom.server.certificates import Files
from postroom.server.endpoints import parse
from postroom.server.presented import Choice, PairFolder
from postroom.server.settings import Settings


class Chosen:
    """Chooses the certificate of every name; called again and again, it remembers what it has read.

    Where the local authority's certificate is the default, it is issued when it is missing, unless somebody only looks (`issue`).
    """

    def __init__(self, settings: Settings, *, issue: bool = True) -> None:
        self._settings = settings
        self._issue = issue
        self._live = Folder(Path(settings.data)).live if settings.tls.acme.enabled else None
        self._ordered = PairFolder(self._live) if self._live else None
        self._folder = PairFolder(Path(settings.tls.folder)) if settings.tls.folder else None

    def __call__(self) -> Choice:
        """Choose; a table of its own goes before the folder, and that before what was ordered by ACME. Raises Unreadable."""
        ordered = dict(self._ordered.pairs()) if self._ordered and self._live and self._live.exists() else {}
        named = ordered | (dict(self._folder.pairs()) if self._folder else {})
        named |= {name: Files(Path(pair.certificate), Path(pair.key)) for name, pair in self._settings.tls.domains.items()}
        return Choice(self._default(ordered), named)

    def skipped(self) -> list[tuple[Path, str]]:
        """List the folders whose pair could not be used when it was chosen last, and why."""
        return [pair for folder in (self._ordered, self._folder) if folder for pair in folder.skipped]

    def _default(self, ordered: Mapping[str, Files]) -> Files:
        """Give the configured certificate, or the one ordered for this host, or the local authority's."""
        part = self._settings.tls
        if part.certificate:
            return Files(Path(part.certificate), Path(part.key))
        found = ordered.get(domain_key(self._settings.mail.hostname))
        return found or (issued_here(self._settings) if self._issue else certificates.issued(_local(self._settings)))


def issued_here(settings: Settings) -> Files:
    """Give a certificate from the local authority for every name this server is reached by."""
    hosts = [
        parse(text).host
        for table in (settings.api, settings.web, settings.smtp, settings.submission, settings.imap, settings.managesieve)
        for text in (*table.listen, *getattr(table, "listen_tls", ()))
    ]
    names = [settings.mail.hostname, "localhost", "127.0.0.1", "::1", *(host for host in hosts if host)]
    return certificates.local(_local(settings), list(dict.fromkeys(name for name in names if name not in ("0.0.0.0", "::"))))  # noqa: S104


def _local(settings: Settings) -> Path:
    return Path(settings.data) / "tls"
