"""IMAP4: reading and arranging mail."""
