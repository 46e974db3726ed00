"""Storage: one interface, its engines, all SQL, the schema, blobs and keys."""
