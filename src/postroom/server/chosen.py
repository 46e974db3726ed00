"""Which certificate stands for which name: the files that the settings name, and what has been issued beside them."""

from pathlib import Path

from postroom.server import certificates
from postroom.server.certificates import Files
from postroom.server.endpoints import parse
from postroom.server.presented import Choice, PairFolder
from postroom.server.settings import Settings


class Chosen:
    """Chooses the certificate of every name; called again and again, it remembers what it has read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = PairFolder(Path(settings.tls.folder)) if settings.tls.folder else None

    def __call__(self) -> Choice:
        """Choose; a table of its own goes before the folder. Raises Unreadable."""
        named = dict(self._folder.pairs()) if self._folder else {}
        named |= {name: Files(Path(pair.certificate), Path(pair.key)) for name, pair in self._settings.tls.domains.items()}
        return Choice(default(self._settings), named)


def default(settings: Settings) -> Files:
    """Give the configured certificate, or one from the local authority for every name this server is reached by."""
    if settings.tls.certificate:
        return Files(Path(settings.tls.certificate), Path(settings.tls.key))
    hosts = [
        parse(text).host
        for table in (settings.api, settings.web, settings.smtp, settings.submission, settings.imap, settings.managesieve)
        for text in (*table.listen, *getattr(table, "listen_tls", ()))
    ]
    names = [settings.mail.hostname, "localhost", "127.0.0.1", "::1", *(host for host in hosts if host)]
    return certificates.local(Path(settings.data) / "tls", list(dict.fromkeys(name for name in names if name not in ("0.0.0.0", "::"))))  # noqa: S104
