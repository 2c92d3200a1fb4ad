"""Kinds of places where jobs run, one per file; each knows only `protocols.py`."""
