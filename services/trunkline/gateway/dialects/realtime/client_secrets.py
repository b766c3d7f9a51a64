"""POST /v1/realtime/client_secrets: an ephemeral key for a client that must not have an API key, with its session.

The session is checked as `session.update` checks it, but for what only the agent knows: a client's tool that bears the
name of one of the agent's own is refused when the call is placed.
"""

from collections.abc import Collection

import msgspec
from aiohttp import web

from trunkline.gateway.apis.bodies import small
from trunkline.gateway.auth import Keys, answer, refuse
from trunkline.gateway.dialects.realtime.session import Session, merge, new_session, read_patch
from trunkline.gateway.dialects.realtime.transcription_session import (
    TranscriptionSession,
    is_transcription,
    merge_transcription,
    new_transcription_session,
    read_transcription_patch,
)
from trunkline.gateway.ephemeral_keys import LIFE_S, EphemeralKeys
from trunkline.gateway.http import guarded
from trunkline.gateway.validation import read_json
from trunkline.placement.roster import Roster
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import EPHEMERAL_KEY_PREFIX

PATH = "/v1/realtime/client_secrets"
DEFAULT_S = 600


class ExpiresAfter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    anchor: str = "created_at"
    seconds: int = DEFAULT_S


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """session: as the client spelt it, null for none; read apart, as its kind has it."""

    expires_after: ExpiresAfter | None = None
    session: msgspec.Raw = msgspec.Raw(b"null")


class ClientSecret(msgspec.Struct, frozen=True):
    """The answer. expires_at: seconds since 1970. session: as it will be, but for what the agent brings."""

    value: str
    expires_at: int
    session: Session | TranscriptionSession


_asked = msgspec.json.Decoder(Asked)


class ClientSecretsEndpoint:
    """aliases: model name -> agent name, empty for the default. stt_models: names that mean the recogniser."""

    def __init__(
        self,
        keys: Keys,
        ephemeral: EphemeralKeys,
        aliases: dict[str, str],
        roster: Roster,
        stt_models: Collection[str],
    ) -> None:
        self._keys = keys
        self._ephemeral = ephemeral
        self._aliases = aliases
        self._roster = roster
        self._stt_models = stt_models

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(PATH, guarded(self._keys, self._create))

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await small(request)
        if body and request.content_type != "application/json":
            problem = f"the content type is {request.content_type[:80]!r}; allowed: application/json"
            return refuse(415, "unsupported_content_type", problem)
        asked = read(body or b"{}")
        bound = bytes(asked.session)
        session = self._transcription(bound) if is_transcription(bound) else self._speech_to_speech(bound)
        maker = self._keys.require_api_key(request)
        key = await self._ephemeral.mint(bound, _life_s(asked.expires_after or ExpiresAfter()), maker)
        named = msgspec.structs.replace(session, id="sess_" + key.id.removeprefix(EPHEMERAL_KEY_PREFIX))
        return answer(ClientSecret(key.value, key.expires_at, named), headers={"Cache-Control": "no-store"})

    def _speech_to_speech(self, bound: bytes) -> Session:
        """Raises BadInput."""
        patch = read_patch(bound)
        model = (patch.model if patch is not None else None) or ""
        session = new_session("", model, "", "")
        session = session if patch is None else merge(session, patch)
        if not self._is_model(model):
            raise BadInput("session.model", f"the model {model[:80]!r} does not exist", "", code="model_not_found")
        return session

    def _transcription(self, bound: bytes) -> TranscriptionSession:
        """Raises BadInput."""
        return merge_transcription(
            new_transcription_session(""), read_transcription_patch(bound), models=self._stt_models
        )

    def _is_model(self, model: str) -> bool:
        """While no agent says what it serves, the call will tell."""
        agent, known = self._aliases.get(model, model), self._roster.agents()
        return not agent or not known or agent in known


def read(body: bytes) -> Asked:
    """Raises BadInput."""
    return read_json(body, _asked)


def _life_s(wanted: ExpiresAfter) -> int:
    if wanted.anchor != "created_at":
        raise BadInput("expires_after.anchor", f"is {wanted.anchor[:80]!r}", "created_at")
    least_s, most_s = LIFE_S
    if not least_s <= wanted.seconds <= most_s:
        raise BadInput("expires_after.seconds", f"is {wanted.seconds}", f"{least_s} to {most_s}")
    return wanted.seconds
