"""Values that nobody may keep or speak: which kinds there are."""

from typing import Literal

Kind = Literal["card", "phone", "email"]
KINDS: tuple[Kind, ...] = ("card", "phone", "email")
