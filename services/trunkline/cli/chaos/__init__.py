"""`trunkline chaos`: calls under faults, and the checker of what they leave behind (docs/adr/0012-proving-it.md)."""
