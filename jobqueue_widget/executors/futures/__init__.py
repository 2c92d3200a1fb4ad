"""Any executor with the interface of `concurrent.futures`."""
