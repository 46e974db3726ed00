"""Postroom, a mail server that is administered through the Amazon WorkMail API."""

__version__ = "0.1.0"
