"""What engines over several machines have in common: leases, attempts, agents."""
