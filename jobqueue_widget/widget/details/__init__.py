"""What a page may ask about one job: its parts, its log, what it measured, showed and returned."""
