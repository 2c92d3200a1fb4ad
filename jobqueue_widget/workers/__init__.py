"""The kernel's side of worker processes; what runs inside them is in `child`."""
