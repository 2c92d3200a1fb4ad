"""What a queue does about jobs that outlive it."""
