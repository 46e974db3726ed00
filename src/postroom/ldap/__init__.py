"""Directories of others, over LDAP: the protocol, a conversation, and what is read of users and groups."""
