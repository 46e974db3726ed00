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
    """Remove the keys of a domain."""
    tx.run("DELETE FROM dkim_keys WHERE organization = :organization AND domain = :domain", domain=domain)
