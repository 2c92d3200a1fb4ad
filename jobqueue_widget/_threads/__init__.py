"""Threads, loops, locks and timers: what knows nothing of queues and jobs."""
