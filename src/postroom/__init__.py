"""Postroom, a mail and calendar server that speaks the Amazon WorkMail administration API."""

__version__ = "0.1.0"
