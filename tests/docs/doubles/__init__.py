"""What training libraries call, and with what: only that, for the pages that tell how to use it."""
