"""What has happened in a queue: which job ran when on which lane, and what ended since when."""
