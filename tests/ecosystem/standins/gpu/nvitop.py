"""Is not there, so that the author's monitor asks nvidia-smi."""

raise ImportError("no nvitop on this simulated machine")
