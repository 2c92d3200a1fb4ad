"""What a job displays: html, pictures and text, as cells show them. Standard library only."""
