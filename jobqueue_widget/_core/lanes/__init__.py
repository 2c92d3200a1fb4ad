"""Which attempt ran when on which lane, as plain values, and bars that stand for many."""
