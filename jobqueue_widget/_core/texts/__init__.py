"""Texts as they are shown: cut, hidden, put into words; the kinds of failures."""
