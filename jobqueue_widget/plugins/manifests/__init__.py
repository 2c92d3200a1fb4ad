"""Manifests: where plugins are found, what a file says, whom it may belong to."""
