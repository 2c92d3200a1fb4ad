"""Decides what may run on this machine, from its figures and what jobs have reserved."""
