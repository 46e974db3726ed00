"""Sieve, the language of a user's own rules: text to a checked script, and how its tests compare; pure (RFC 5228)."""
