"""What workers need of the operating system, one module for each kind of it."""
