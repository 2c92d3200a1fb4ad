"""What may run on this machine: its figures, and who has reserved how much of it."""
