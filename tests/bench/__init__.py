"""`make bench`: figures of this machine, for docs/performance.md. Not tests: nothing here passes or fails."""
