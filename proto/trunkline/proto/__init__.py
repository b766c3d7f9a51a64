"""The vocabulary of Trunkline: what is said on the bus and written to the record.

Imports msgspec and the standard library only. Fields are appended with defaults, never reordered,
retyped or removed, and a tag is never reused: bytes of an older release decode for ever.
"""

WIRE = 8  # this release's set of these; what it adds to the last two: docs/protocol.md
