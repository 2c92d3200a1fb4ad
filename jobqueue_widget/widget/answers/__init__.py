"""What a page is sent only when it asks for it: results, curves, and what has happened."""
