"""What there is for a client's session to choose among: agents, voices, languages, and what its call's agent has. Pure.

Rule: a name that is known to mean nothing here is refused, never taken for something else.
"""

from collections.abc import Mapping

import msgspec

from trunkline.gateway.transcribing import require_language
from trunkline.proto.binary_dialect import INPUT_RATES_HZ
from trunkline.proto.errors import BadInput
from trunkline.proto.response import Attached

VENDOR_VOICES = frozenset(
    ("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar")
)
"""Names that stock clients send; they mean the agent's own voice."""
VOICE = "session.audio.output.voice"


class Offer(msgspec.Struct, frozen=True):
    """agent, instructions, voice, tools: of the call's own agent, as Attached has them. agents: of the file.

    aliases: what clients' names of models and voices mean here, empty for the call's own; None if any name may be one.
    voices: of the TTS engine, languages: of the STT engine (ISO 639-1), each empty if it doesn't tell.
    input_rates_hz: of audio/pcm, the default first.
    """

    agent: str = ""
    instructions: str = ""
    voice: str = ""
    tools: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    aliases: Mapping[str, str] | None = None
    voices: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    input_rates_hz: tuple[int, ...] = INPUT_RATES_HZ[:1]

    def agent_of(self, model: str) -> str:
        """The agent that a model's name means, empty for the call's own."""
        agent = model if self.aliases is None else self.aliases.get(model, model)
        return agent if agent in (self.agent, *self.agents) else ""

    def require_model(self, model: str) -> None:
        """Raises BadInput."""
        known = (self.agent, *self.agents)
        if self.aliases is None or model in known:
            return
        if model not in self.aliases or (self.aliases[model] and self.aliases[model] not in known):
            allowed = f"an agent ({', '.join(dict.fromkeys(filter(None, known)))}) or an alias of one"
            raise BadInput("session.model", f"the model {model[:80]!r} does not exist", allowed, code="model_not_found")

    def voice_of(self, voice: str) -> str:
        """The engine's voice that a name means, empty for the agent's own."""
        if self.aliases is not None and voice in self.aliases:
            voice = self.aliases[voice]
        return "" if voice == self.voice or voice in VENDOR_VOICES else voice

    def require_voice(self, voice: str, param: str = VOICE) -> None:
        """Raises BadInput."""
        wanted = self.voice_of(voice)
        if wanted and self.voices and wanted not in self.voices:
            allowed = f"{', '.join(self.voices)}, or one of the vendor's names for the default voice"
            raise BadInput(param, f"there is no voice {voice[:80]!r}", allowed)

    def require_language(self, param: str, language: str) -> None:
        """Raises BadInput."""
        require_language(param, language, self.languages)

    @classmethod
    def of(
        cls,
        attached: Attached,
        aliases: Mapping[str, str] | None,
        voices: tuple[str, ...] = (),
        languages: tuple[str, ...] = (),
        *,
        bound: bool = False,
        input_rates_hz: tuple[int, ...] = INPUT_RATES_HZ[:1],
    ) -> "Offer":
        """bound: to the call's own agent; there is no other to choose."""
        own = attached.agent, attached.instructions, attached.voice, attached.tools
        return cls(*own, () if bound else attached.agents, aliases, voices, languages, input_rates_hz)


ANYTHING = Offer()
"""Where what there is isn't known: every name is taken."""
