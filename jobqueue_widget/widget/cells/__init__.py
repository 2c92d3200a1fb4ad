"""Outputs of the notebook that are drawn anew as things go: of groups, and of what jobs display."""
