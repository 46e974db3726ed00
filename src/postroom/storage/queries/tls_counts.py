"""How connections to other servers came out, counted by day, domain and kind (registry), and which reports of it have been queued."""

from postroom.storage.engine import Tx


def add(tx: Tx, day: int, domain: str, digest: str, count: int) -> bool:
    """Count outcomes of a kind that is known; False when it is not. Registry."""
    return bool(
        tx.run(
            "UPDATE tls_outcomes SET count = count + :count WHERE organization = :organization AND day = :day AND domain = :domain"
            " AND digest = :digest",
            day=day,
            domain=domain,
            digest=digest,
            count=count,
        )
    )


def insert(tx: Tx, day: int, domain: str, *, digest: str, facts: str, count: int) -> None:
    """Count the first outcomes of a kind. Registry."""
    tx.run(
        "INSERT INTO tls_outcomes (organization, day, domain, digest, facts, count)"
        " VALUES (:organization, :day, :domain, :digest, :facts, :count)",
        day=day,
        domain=domain,
        digest=digest,
        facts=facts,
        count=count,
    )


def kinds(tx: Tx, day: int, domain: str) -> int:
    """Count the kinds of a domain's day. Registry."""
    sql = "SELECT COUNT(*) FROM tls_outcomes WHERE organization = :organization AND day = :day AND domain = :domain"
    row = tx.one(sql, day=day, domain=domain)
    return int(row[0]) if row else 0


def page(tx: Tx, *, before: int, after: tuple[int, str], limit: int) -> list[tuple[int, str]]:
    """List (day, domain) of the days before one, behind a day and domain. Registry."""
    rows = tx.all(
        "SELECT DISTINCT day, domain FROM tls_outcomes WHERE organization = :organization AND day < :before"
        " AND (day > :day OR (day = :day AND domain > :domain)) ORDER BY day, domain LIMIT :limit",
        before=before,
        day=after[0],
        domain=after[1],
        limit=limit,
    )
    return [(row[0], row[1]) for row in rows]


def rows(tx: Tx, day: int, domain: str, limit: int) -> list[tuple[str, int]]:
    """List (facts, count) of a domain's day, most first. Registry."""
    found = tx.all(
        "SELECT facts, count FROM tls_outcomes WHERE organization = :organization AND day = :day AND domain = :domain"
        " ORDER BY count DESC, digest LIMIT :limit",
        day=day,
        domain=domain,
        limit=limit,
    )
    return [(row[0], row[1]) for row in found]


def delete(tx: Tx, day: int, domain: str) -> None:
    """Forget a domain's day. Registry."""
    sql = "DELETE FROM tls_outcomes WHERE organization = :organization AND day = :day AND domain = :domain"
    tx.run(sql, day=day, domain=domain)


def delete_before(tx: Tx, day: int) -> int:
    """Forget the days before one; counts the kinds. Registry."""
    return tx.run("DELETE FROM tls_outcomes WHERE organization = :organization AND day < :day", day=day)


def note_sent(tx: Tx, day: int, domain: str) -> bool:
    """Note that the report of a domain's day has been queued in this organization; False when it had been."""
    return bool(
        tx.run(
            "INSERT INTO tls_reports_sent (organization, day, domain) VALUES (:organization, :day, :domain)"
            " ON CONFLICT (organization, day, domain) DO NOTHING",
            day=day,
            domain=domain,
        )
    )


def is_sent(tx: Tx, day: int, domain: str) -> bool:
    """Say whether the report of a domain's day has been queued in this organization."""
    sql = "SELECT 1 FROM tls_reports_sent WHERE organization = :organization AND day = :day AND domain = :domain"
    return tx.one(sql, day=day, domain=domain) is not None


def forget_sent(tx: Tx, *, before: int) -> int:
    """Forget which reports of the days before one have been queued."""
    return tx.run("DELETE FROM tls_reports_sent WHERE organization = :organization AND day < :before", before=before)
