"""A deterministic stand-in for a language model: picks a tool by the words it shares with what was said.

It is no language model: it understands nothing, it counts shared words. What it says comes from tools and templates.
"""

from trunkline.agent.models.local.model import LocalModel

__all__ = ["LocalModel"]
