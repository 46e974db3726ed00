"""All SQL: named functions that take the transaction first."""
