"""What a client's session asks of its call, whatever the dialect."""

import msgspec

from trunkline.gateway.turns import Policy
from trunkline.proto.response import Equip
from trunkline.proto.speech import TurnRules


class Wishes(msgspec.Struct, frozen=True):
    """instructions, voice and agent: empty for the call's own. equip: for the agent, as it is told.

    idle_s: of silence after an answer, until another is asked for; 0 for the agent's own wish."""

    rules: TurnRules = TurnRules()
    policy: Policy = Policy()
    instructions: str = ""
    voice: str = ""
    speed: float = 1.0
    audible: bool = True
    equip: Equip = Equip()
    agent: str = ""
    idle_s: float = 0.0
