"""Many jobs as one: groups, keys, and when they will be done."""
