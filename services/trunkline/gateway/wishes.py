"""What a client's session asks of its call, whatever the dialect."""

import msgspec

from trunkline.gateway.turns import Policy
from trunkline.proto.response import Equip
from trunkline.proto.speech import TurnRules


class Wishes(msgspec.Struct, frozen=True):
    """instructions and voice: empty for the agent's own. equip: the tools that the client carries out itself."""

    rules: TurnRules = TurnRules()
    policy: Policy = Policy()
    instructions: str = ""
    voice: str = ""
    speed: float = 1.0
    audible: bool = True
    equip: Equip = Equip()
