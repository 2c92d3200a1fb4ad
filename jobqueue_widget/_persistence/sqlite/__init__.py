"""Writes queues to SQLite files, and reads them again after a restart."""
