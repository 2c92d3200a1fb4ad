"""Writes queues to journals and restores them; loaded with the first journal."""
