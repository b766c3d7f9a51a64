"""Verdicts: what a guardrail says of words or of a tool call, before either has any effect."""

from typing import Literal

Point = Literal["input", "segment", "answer", "tool_arguments", "tool_result"]
"""What is looked at: a caller's turn before the model has it; a segment before it is spoken or shown; a whole answer
likewise; a tool call's arguments before it runs; its result before the model has it."""

Action = Literal["allow", "rewrite", "block", "hand_off", "end"]
