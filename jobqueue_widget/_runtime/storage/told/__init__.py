"""Keeps what jobs tell: logs, outputs and metrics."""
