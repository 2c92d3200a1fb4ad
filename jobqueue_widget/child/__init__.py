"""What runs in any interpreter: the standard library only, loaded by path."""
