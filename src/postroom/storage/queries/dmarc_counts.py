"""What letters came to by DMARC, counted by day, domain and kind."""

from postroom.storage.engine import Tx


def add(tx: Tx, day: int, domain: str, digest: str) -> bool:
    """Count a letter of a kind that is known; False when it is not."""
    return bool(
        tx.run(
            "UPDATE dmarc_rows SET count = count + 1 WHERE organization = :organization AND day = :day AND domain = :domain"
            " AND digest = :digest",
            day=day,
            domain=domain,
            digest=digest,
        )
    )


def insert(tx: Tx, day: int, domain: str, *, digest: str, facts: str) -> None:
    """Count the first letter of a kind."""
    tx.run(
        "INSERT INTO dmarc_rows (organization, day, domain, digest, facts, count)"
        " VALUES (:organization, :day, :domain, :digest, :facts, 1)",
        day=day,
        domain=domain,
        digest=digest,
        facts=facts,
    )


def has_domain(tx: Tx, day: int, domain: str) -> bool:
    """Say whether a domain has letters of a day."""
    sql = "SELECT 1 FROM dmarc_domains WHERE organization = :organization AND day = :day AND domain = :domain"
    return tx.one(sql, day=day, domain=domain) is not None


def count_domains(tx: Tx, day: int) -> int:
    """Count the domains of a day."""
    row = tx.one("SELECT COUNT(*) FROM dmarc_domains WHERE organization = :organization AND day = :day", day=day)
    return int(row[0]) if row else 0


def take_room(tx: Tx, day: int, domain: str, *, record: str, addresses: str, most: int) -> bool:
    """Make room for one more kind of a domain, whose record is noted as it is now; False when it has `most` of them."""
    return bool(
        tx.all(
            "INSERT INTO dmarc_domains (organization, day, domain, record, addresses, kinds)"
            " VALUES (:organization, :day, :domain, :record, :addresses, 1) ON CONFLICT (organization, day, domain)"
            " DO UPDATE SET kinds = dmarc_domains.kinds + 1, record = excluded.record, addresses = excluded.addresses"
            " WHERE dmarc_domains.kinds < :most RETURNING kinds",
            day=day,
            domain=domain,
            record=record,
            addresses=addresses,
            most=most,
        )
    )


def page(tx: Tx, *, before: int, after: tuple[int, str], limit: int) -> list[tuple[int, str, str, str]]:
    """List (day, domain, record, addresses) of the days before one, behind a day and domain."""
    rows = tx.all(
        "SELECT day, domain, record, addresses FROM dmarc_domains WHERE organization = :organization AND day < :before"
        " AND (day > :day OR (day = :day AND domain > :domain)) ORDER BY day, domain LIMIT :limit",
        before=before,
        day=after[0],
        domain=after[1],
        limit=limit,
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def rows(tx: Tx, day: int, domain: str, limit: int) -> list[tuple[str, int]]:
    """List (facts, count) of a domain's day, most first."""
    found = tx.all(
        "SELECT facts, count FROM dmarc_rows WHERE organization = :organization AND day = :day AND domain = :domain"
        " ORDER BY count DESC, digest LIMIT :limit",
        day=day,
        domain=domain,
        limit=limit,
    )
    return [(row[0], row[1]) for row in found]


def delete(tx: Tx, day: int, domain: str) -> bool:
    """Forget a domain's day; False when it is not known."""
    values = {"day": day, "domain": domain}
    tx.run("DELETE FROM dmarc_rows WHERE organization = :organization AND day = :day AND domain = :domain", **values)
    return bool(tx.run("DELETE FROM dmarc_domains WHERE organization = :organization AND day = :day AND domain = :domain", **values))
