"""A soak: many calls one after another, then a long load, and what of a stack's processes grows with them."""
