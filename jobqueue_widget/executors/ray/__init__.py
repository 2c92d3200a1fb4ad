"""A Ray cluster that its user has connected to."""
