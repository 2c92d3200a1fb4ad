"""Where queues are written down, and read again after a restart."""
