"""The worker process: its child side (standard library only) and its parent side."""
