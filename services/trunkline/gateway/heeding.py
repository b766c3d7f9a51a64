"""What a client's session wishes, and what its call's agent knows of callers: told to each part that it concerns."""

from collections.abc import Callable

import msgspec

from trunkline.gateway.asking import Asking
from trunkline.gateway.casting import Casting
from trunkline.gateway.client_tools import ClientTools
from trunkline.gateway.decisions import Decision
from trunkline.gateway.listening import Listening
from trunkline.gateway.speaking import Speaking
from trunkline.gateway.turns import Turns
from trunkline.gateway.vigil import Vigil
from trunkline.gateway.wishes import Wishes
from trunkline.proto.response import Attached
from trunkline.proto.speech import Tune, TurnRules


class Heeding:
    """carry_out: what the turns decide."""

    def __init__(
        self,
        turns: Turns,
        listening: Listening,
        speaking: Speaking,
        asking: Asking,
        vigil: Vigil,
        client_tools: ClientTools,
        casting: Casting,
        *,
        carry_out: Callable[[list[Decision]], None],
    ) -> None:
        self._turns = turns
        self._listening = listening
        self._speaking = speaking
        self._asking = asking
        self._vigil = vigil
        self._client_tools = client_tools
        self._casting = casting
        self._carry_out = carry_out
        self._wishes = Wishes()
        self._dictations: tuple[str, ...] = ()

    @property
    def rules(self) -> TurnRules:
        """What callers dictate is known by the agent's tools, when to end a turn by the client."""
        return msgspec.structs.replace(self._wishes.rules, dictations=self._dictations)

    def attach(self, attached: Attached) -> None:
        """Each agent of the call, the first and those that follow it."""
        self._casting.attached(attached.agent)
        self._vigil.keep(attached.idle_s)
        before, self._dictations = self.rules, attached.dictations
        self._tune(before)

    def configure(self, wishes: Wishes) -> None:
        before, self._wishes = self.rules, wishes
        self._carry_out(self._turns.follow(wishes.policy, self._listening.ring.end))
        speaking, asking = self._speaking, self._asking
        speaking.voice, speaking.speed, speaking.audible = wishes.voice, wishes.speed, wishes.audible
        asking.instructions, asking.interrupts = wishes.instructions, wishes.policy.interrupt
        self._casting.wish(wishes.agent)
        self._client_tools.equip(wishes.equip)
        self._vigil.wish(wishes.idle_s)
        self._tune(before)

    def _tune(self, before: TurnRules) -> None:
        if self.rules != before:
            self._listening.tell(Tune(self.rules))
