"""Writes queues down in SQLite, and reads them again after a restart."""
