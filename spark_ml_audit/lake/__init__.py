"""Delta tables: where they are, which version is read, one transaction at a time."""
