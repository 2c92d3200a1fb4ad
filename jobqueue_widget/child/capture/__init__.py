"""Turns what a job prints or draws (streams, tqdm bars) into its log and progress."""
