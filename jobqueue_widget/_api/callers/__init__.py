"""What calls jobs in the ways that other code expects: futures, executors, decorated functions."""
