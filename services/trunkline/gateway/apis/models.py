"""GET /v1/models: the names that clients may ask for, and which of them mean the model itself.

An agent has a name of its own, and answers on calls alone: it is never what a request of the Responses API means.
"""

from collections.abc import Collection, Mapping

import msgspec
from aiohttp import web

from trunkline.gateway.auth import Keys, answer
from trunkline.gateway.http import guarded
from trunkline.gateway.model_names import CALL_MODELS, SPEECH_MODELS, TEXT_MODELS, TRANSCRIPTION_MODELS, is_text_model
from trunkline.placement.roster import Roster
from trunkline.proto.errors import BadInput

OWNER, AGENTS_OWNER = "trunkline", "trunkline.agents"  # by the second a client knows what it may call
EXAMPLE = "gpt-5.5"
ELSEWHERE = {
    **dict.fromkeys(TRANSCRIPTION_MODELS, "transcriptions (/v1/audio/transcriptions)"),
    **dict.fromkeys(SPEECH_MODELS, "speech (/v1/audio/speech)"),
    **dict.fromkeys(CALL_MODELS, "calls (/v1/realtime)"),
}


class Model(msgspec.Struct, frozen=True):
    """The vendor's shape. created: seconds since 1970, of this gateway's start: names have no date."""

    id: str
    created: int
    object: str = "model"
    owned_by: str = OWNER


class ModelList(msgspec.Struct, frozen=True):
    data: list[Model]
    object: str = "list"


class TextModels:
    """aliases: name of a model or voice -> of an agent, a voice or a model at the engine's endpoint; empty for the
    default. own: the engine's own name for its model, empty where it isn't known here."""

    def __init__(self, aliases: Mapping[str, str], own: str, roster: Roster) -> None:
        self._aliases = aliases
        self._own = own
        self._roster = roster

    @property
    def names(self) -> tuple[str, ...]:
        """That mean the engine, whatever an operator has made of them."""
        return (*TEXT_MODELS, self._own) if self._own else TEXT_MODELS

    def resolve(self, name: str) -> str:
        """As the engine is to be asked: empty for its own. Raises BadInput."""
        agents = self._roster.agents()
        if name in agents:
            raise _is_agent(name)
        target = self._aliases.get(name)
        if is_text_model(name) or (self._own and name == self._own):
            return "" if target in (None, self._own) or target in agents else target or ""
        if not name or target is None or name in CALL_MODELS:
            raise _elsewhere(name) if name in ELSEWHERE else _unknown(name)
        if target in agents:
            raise _is_agent(name)
        return "" if target == self._own else target


def _unknown(name: str) -> BadInput:
    return BadInput("model", f"the model {name[:80]!r} does not exist", "see /v1/models", code="model_not_found")


def _is_agent(name: str) -> BadInput:
    allowed = f"a model, such as {EXAMPLE}"
    return BadInput("model", f"{name[:80]!r} is an agent, and agents answer on calls (/v1/realtime)", allowed)


def _elsewhere(name: str) -> BadInput:
    return BadInput("model", f"{name!r} is for {ELSEWHERE[name]}", f"a model, such as {EXAMPLE}")


class ModelsEndpoint:
    """aliases: as of TextModels. names: that mean an engine, whatever its API. created: see Model."""

    def __init__(
        self, keys: Keys, roster: Roster, aliases: Mapping[str, str], names: Collection[str], created: int
    ) -> None:
        self._keys = keys
        self._roster = roster
        self._aliases = aliases
        self._names = names
        self._created = created

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v1/models", guarded(self._keys, self._list))
        app.router.add_get("/v1/models/{model:.+}", guarded(self._keys, self._one))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        agents = self._roster.agents()
        return answer(ModelList([self._model(name, agents) for name in self._all(agents)]))

    async def _one(self, request: web.Request) -> web.StreamResponse:
        name, agents = request.match_info["model"], self._roster.agents()
        if name not in self._all(agents) and not is_text_model(name):
            raise _unknown(name)
        return answer(self._model(name, agents))

    def _all(self, agents: Collection[str]) -> list[str]:
        """The agents first, each name once. An alias of what is no agent may be a voice's."""
        aliases = [name for name, target in self._aliases.items() if name and (not target or target in agents)]
        return list(dict.fromkeys((*sorted(agents), *self._names, *aliases)))

    def _model(self, name: str, agents: Collection[str]) -> Model:
        return Model(name, self._created, owned_by=AGENTS_OWNER if name in agents else OWNER)
