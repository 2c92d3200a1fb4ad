"""Memory, processors and who holds them, as plain values: what fits, what is unloaded for it."""
