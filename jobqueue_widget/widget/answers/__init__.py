"""What a page is sent only when it asks for it: what has happened."""
