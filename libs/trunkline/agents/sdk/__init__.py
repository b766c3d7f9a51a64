"""OpenAI Agents SDK: its `Agent` objects as agents of Trunkline, as they are; imported only where a file makes one.

What can't be kept on a call is refused when the file loads. Nothing of the SDK's own runner or of its models is used:
the conversation, its policy and its record are Trunkline's, only the file's own functions are called.
"""

from trunkline.agents.sdk.adopt import adopt

__all__ = ["adopt"]
