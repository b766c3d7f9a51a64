"""`trunkline load`: how many calls a stack carries, what each costs, and how long its callers wait (docs/load.md)."""
