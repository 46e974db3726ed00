"""Every SQL statement, as named functions that take the transaction first."""
