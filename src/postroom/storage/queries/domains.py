"""Mail domains of an organization as rows."""

from postroom.model.entities import MailDomain
from postroom.storage.engine import Tx

_COLUMNS = "domain, test, ownership, dkim, ownership_token, dkim_tokens, registered_at, verified_at"


def _domain(row: tuple[object, ...]) -> MailDomain:
    domain, test, ownership, dkim, token, tokens, registered_at, verified_at = row
    return MailDomain(domain, bool(test), ownership, dkim, token, tuple(str(tokens).split()), registered_at, verified_at)  # type: ignore[arg-type]


def find(tx: Tx, domain: str) -> MailDomain | None:
    """Find by the A-label form."""
    row = tx.one(f"SELECT {_COLUMNS} FROM domains WHERE organization = :organization AND domain = :domain", domain=domain)
    return _domain(row) if row else None


def insert(tx: Tx, new: MailDomain) -> None:
    """Add a mail domain."""
    tx.run(
        f"INSERT INTO domains (organization, {_COLUMNS}) VALUES (:organization, :domain, :test, :ownership, :dkim, :token, :tokens, "
        ":registered_at, :verified_at)",
        domain=new.domain,
        test=int(new.test),
        ownership=new.ownership,
        dkim=new.dkim,
        token=new.ownership_token,
        tokens=" ".join(new.dkim_tokens),
        registered_at=new.registered_at,
        verified_at=new.verified_at,
    )


def update_status(tx: Tx, domain: str, *, ownership: str, dkim: str, verified_at: float | None) -> int:
    """Set both statuses; counts rows."""
    return tx.run(
        "UPDATE domains SET ownership = :ownership, dkim = :dkim, verified_at = :verified_at "
        "WHERE organization = :organization AND domain = :domain",
        domain=domain,
        ownership=ownership,
        dkim=dkim,
        verified_at=verified_at,
    )


def restart(tx: Tx, domain: str) -> None:
    """Set what has FAILED to PENDING, as of now; the tokens stay."""
    tx.run(
        "UPDATE domains SET ownership = CASE ownership WHEN 'FAILED' THEN 'PENDING' ELSE ownership END, "
        "dkim = CASE dkim WHEN 'FAILED' THEN 'PENDING' ELSE dkim END, registered_at = :now "
        "WHERE organization = :organization AND domain = :domain",
        domain=domain,
        now=tx.now,
    )


def delete(tx: Tx, domain: str) -> int:
    """Remove a mail domain; counts rows."""
    return tx.run("DELETE FROM domains WHERE organization = :organization AND domain = :domain", domain=domain)


def count(tx: Tx) -> int:
    """Count the mail domains."""
    row = tx.one("SELECT COUNT(*) FROM domains WHERE organization = :organization")
    return int(row[0]) if row else 0


def page_without_keys(tx: Tx, *, pairs: int, limit: int) -> list[MailDomain]:
    """List domains that have fewer DKIM keys than so many for each of their three tokens."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM domains d WHERE d.organization = :organization AND d.dkim_tokens <> '' AND "
        "(SELECT COUNT(*) FROM dkim_keys k WHERE k.organization = :organization AND k.domain = d.domain) < 3 * :pairs "
        "ORDER BY d.domain LIMIT :limit",
        pairs=pairs,
        limit=limit,
    )
    return [_domain(row) for row in rows]


def pending(tx: Tx) -> list[MailDomain]:
    """List the domains that wait for something to be proved."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM domains WHERE organization = :organization AND (ownership = 'PENDING' OR dkim = 'PENDING') ORDER BY domain"
    )
    return [_domain(row) for row in rows]


def page(tx: Tx, *, after: str, limit: int) -> list[str]:
    """List domains behind one, in order of name."""
    rows = tx.all(
        "SELECT domain FROM domains WHERE organization = :organization AND domain > :after ORDER BY domain LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [row[0] for row in rows]
