"""What runs a job that outlives its kernel; standard library only."""
