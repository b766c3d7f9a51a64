"""A call in one process, for `trunkline.agents.testing`: the real agent service and the real tool runner over a bus, a
record and claims in memory, and a caller who types. The only place that joins two services; none of them knows it.
"""

from trunkline.rehearsal.stage import Stage, open_backstage

__all__ = ["Stage", "open_backstage"]
