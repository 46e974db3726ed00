"""Files of JSON lines: every call of the API, and what happens to mail."""
