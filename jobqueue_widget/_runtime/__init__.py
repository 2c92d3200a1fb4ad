"""What drives the core: loops, threads, timers, the effects of each transition."""
