"""Plugin managers of the reference system, as they are."""
