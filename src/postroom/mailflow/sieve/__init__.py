"""Rules of users: what a script makes of a letter, and how that is done in the transaction that delivers it."""
