"""AWS Identity and Access Management, as far as users, keys, roles and inline policies of this server go."""
