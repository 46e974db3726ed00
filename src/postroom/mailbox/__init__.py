"""Folders and items: open, append, read, search, change."""
