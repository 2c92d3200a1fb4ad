"""What front ends list: parts of the whole list, and what a filter finds."""
