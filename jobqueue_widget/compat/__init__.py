"""What only foreign packages need."""
