"""Finds what is secret in a job: once, at submit, for everything that shows or writes it."""
