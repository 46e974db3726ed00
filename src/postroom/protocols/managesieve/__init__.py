"""ManageSieve: how users put their own rules (RFC 5804)."""
