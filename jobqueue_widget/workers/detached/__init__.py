"""The kernel's side of jobs that outlive it: their folders, and what follows their processes."""
