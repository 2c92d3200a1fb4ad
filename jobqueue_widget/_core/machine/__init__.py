"""Decides by plain values what fits into memory and processors, and what is unloaded for it."""
