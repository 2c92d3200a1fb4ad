"""What a page is sent only when it asks for it: curves, and what has happened."""
