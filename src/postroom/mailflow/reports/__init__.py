"""Reports between mail servers: what is counted for them, to whom they go, and the letters they go in (RFC 7489 §7.2, RFC 8460)."""
