"""What of a queue goes into a journal, and how it comes back; loaded with the first journal."""
