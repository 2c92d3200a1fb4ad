"""Plugins: tools with environments of their own, each in a worker process of its own."""
