"""Folders and items of a mailbox: open, append, read, search, change."""
