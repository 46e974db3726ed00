"""Reports between mail servers: what is counted for them, to whom they go, and the letters they go in (RFC 7489 §7.2, RFC 8460).

Reports of single letters (RFC 6591) are not sent: they would carry what users get to others.
"""
