"""What jobs leave: logs, results, arguments, figures; how much of it stays, and where."""
