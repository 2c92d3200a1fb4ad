"""Pure values and rules of the queue: no event loop, no thread, no clock, no I/O."""
