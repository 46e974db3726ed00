"""DKIM keys of mail domains as rows; private keys come and go sealed."""

from postroom.storage.engine import Tx


def insert(tx: Tx, *, domain: str, selector: str, private_key: bytes, public_key: str) -> None:
    """Add a key, unless there is one under that selector."""
    tx.run(
        "INSERT INTO dkim_keys (organization, domain, selector, private_key, public_key, created_at) "
        "VALUES (:organization, :domain, :selector, :private_key, :public_key, :now) "
        "ON CONFLICT (organization, domain, selector) DO NOTHING",
        domain=domain,
        selector=selector,
        private_key=private_key,
        public_key=public_key,
        now=tx.now,
    )


def find_private(tx: Tx, domain: str, selector: str) -> bytes | None:
    """Find the sealed private key under a selector."""
    row = tx.one(
        "SELECT private_key FROM dkim_keys WHERE organization = :organization AND domain = :domain AND selector = :selector",
        domain=domain,
        selector=selector,
    )
    return bytes(row[0]) if row else None


def public(tx: Tx, domain: str) -> dict[str, str]:
    """Give the public keys of a domain by selector."""
    rows = tx.all("SELECT selector, public_key FROM dkim_keys WHERE organization = :organization AND domain = :domain", domain=domain)
    return dict(rows)


def delete_all(tx: Tx, domain: str) -> None:
    """Remove the keys of a domain, and which of them signs."""
    tx.run("DELETE FROM dkim_selectors WHERE organization = :organization AND domain = :domain", domain=domain)
    tx.run("DELETE FROM dkim_keys WHERE organization = :organization AND domain = :domain", domain=domain)


def replace(tx: Tx, *, domain: str, selector: str, private_key: bytes, public_key: str) -> int:
    """Put another key under a selector, whose record nobody has seen yet; counts rows."""
    return tx.run(
        "UPDATE dkim_keys SET private_key = :private_key, public_key = :public_key, created_at = :now, seen = 0, looked_at = 0 "
        "WHERE organization = :organization AND domain = :domain AND selector = :selector",
        domain=domain,
        selector=selector,
        private_key=private_key,
        public_key=public_key,
        now=tx.now,
    )


def states(tx: Tx, domain: str) -> dict[str, str]:
    """Give the states of selectors that have one."""
    rows = tx.all("SELECT selector, state FROM dkim_selectors WHERE organization = :organization AND domain = :domain", domain=domain)
    return dict(rows)


def set_state(tx: Tx, domain: str, selector: str, state: str) -> None:
    """Set the state of a selector, as of now."""
    tx.run(
        "INSERT INTO dkim_selectors (organization, domain, selector, state, since) "
        "VALUES (:organization, :domain, :selector, :state, :now) "
        "ON CONFLICT (organization, domain, selector) DO UPDATE SET state = excluded.state, since = excluded.since",
        domain=domain,
        selector=selector,
        state=state,
        now=tx.now,
    )


def clear_state(tx: Tx, domain: str, selector: str, state: str) -> int:
    """Take a state off a selector, if it has that one; counts rows."""
    return tx.run(
        "DELETE FROM dkim_selectors WHERE organization = :organization AND domain = :domain AND selector = :selector AND state = :state",
        domain=domain,
        selector=selector,
        state=state,
    )


def in_state(tx: Tx, state: str, *, until: float, limit: int) -> list[tuple[str, str]]:
    """List domain and selector of those in a state since then or longer."""
    rows = tx.all(
        "SELECT domain, selector FROM dkim_selectors WHERE organization = :organization AND state = :state AND since <= :until "
        "ORDER BY domain, selector LIMIT :limit",
        state=state,
        until=until,
        limit=limit,
    )
    return [(domain, selector) for domain, selector in rows]


def is_seen(tx: Tx, domain: str, selector: str) -> bool:
    """Say whether DNS has shown the record of a key."""
    row = tx.one(
        "SELECT seen FROM dkim_keys WHERE organization = :organization AND domain = :domain AND selector = :selector",
        domain=domain,
        selector=selector,
    )
    return bool(row and row[0])


def unlooked(tx: Tx, *, ending: str, unseen_before: float, seen_before: float, limit: int) -> list[tuple[str, str, str]]:
    """List domain, selector and public key of keys of verified domains whose records were looked for last before then, longest ago first.

    Only selectors with that ending, which has no wildcards, count.
    """
    rows = tx.all(
        "SELECT k.domain, k.selector, k.public_key FROM dkim_keys k "
        "JOIN domains d ON d.organization = k.organization AND d.domain = k.domain "
        "WHERE k.organization = :organization AND d.organization = :organization AND d.ownership = 'VERIFIED' AND k.selector LIKE :ending "
        "AND k.looked_at <= CASE k.seen WHEN 0 THEN :unseen_before ELSE :seen_before END "
        "ORDER BY k.looked_at, k.domain, k.selector LIMIT :limit",
        ending=f"%{ending}",
        unseen_before=unseen_before,
        seen_before=seen_before,
        limit=limit,
    )
    return [(domain, selector, public) for domain, selector, public in rows]


def note_look(tx: Tx, *, domain: str, selector: str, public_key: str, seen: bool) -> int:
    """Note whether the record of a key, if it is still that one, was there just now; counts rows."""
    return tx.run(
        "UPDATE dkim_keys SET seen = :seen, looked_at = :now "
        "WHERE organization = :organization AND domain = :domain AND selector = :selector AND public_key = :public_key",
        domain=domain,
        selector=selector,
        public_key=public_key,
        seen=int(seen),
        now=tx.now,
    )
