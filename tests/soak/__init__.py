"""A soak: random kills and random edits, of which only the specified state may remain."""
