"""Who exists: organizations, users, groups, resources, addresses, domains."""
