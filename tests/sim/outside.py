"""What the tools of the history that runs now have done in the world: beyond any process, whoever dies."""

from typing import NamedTuple


class Done(NamedTuple):
    """at_s: on the loop's clock. arguments: that it ran with, as JSON; empty where nobody looks."""

    key: str
    number: int
    at_s: float
    repeatable: bool
    arguments: str = ""


done: list[Done] = []
