"""Cuts texts that are shown, hides secrets in them, and describes how jobs end and fail."""
