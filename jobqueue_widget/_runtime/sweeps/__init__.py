"""Accepts jobs that belong together: those with keys."""
