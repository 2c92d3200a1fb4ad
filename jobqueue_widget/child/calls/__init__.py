"""What jobs are called with: the results of other jobs among their arguments."""
