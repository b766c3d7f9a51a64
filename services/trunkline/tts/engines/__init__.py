"""Synthesisers, one file each, behind the seam of `port`. Importing this package loads none of them."""
