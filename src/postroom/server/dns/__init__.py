"""Names and zones: what DNS says of mail domains, and what is written there for them."""
