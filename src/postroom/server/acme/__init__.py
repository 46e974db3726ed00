"""Certificates from an authority that speaks ACME (RFC 8555): an account, orders, answers to challenges, renewal while the server runs.

All of it stands in files below `data/acme`, which every server of an installation shares: so any of them answers a challenge that another
one, or `postroom certificates renew`, has been given, and all of them show what was issued. One process orders at a time, under a lease in
the registry. Nothing here is imported before `[tls.acme]` is enabled, but for `folder`, `names` and `pacing`.
"""
