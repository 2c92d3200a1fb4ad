"""What stands behind the public names: options, submission, handles, rows, display."""
