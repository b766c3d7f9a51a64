"""What a client asks of one response: its options are checked as those of a session are, and travel to the agent.

Rule: each response.create is answered: by response.created, or by an error that bears its event_id.
"""

from collections.abc import Callable, Collection
from typing import Literal, NamedTuple

import msgspec

from trunkline.gateway.call import Call
from trunkline.gateway.dialects.realtime.events_in import NewItem
from trunkline.gateway.dialects.realtime.images_in import NO_IMAGES, Images
from trunkline.gateway.dialects.realtime.new_items import read_item
from trunkline.gateway.dialects.realtime.open_response import Manner, manner_of
from trunkline.gateway.dialects.realtime.projection import Projection
from trunkline.gateway.dialects.realtime.session import INSTRUCTIONS_LIMIT_BYTES, Session, SessionPatch
from trunkline.gateway.dialects.realtime.session_audio import AudioPatch
from trunkline.gateway.script import Style
from trunkline.gateway.validation import explain_validation, require_metadata, require_size
from trunkline.gateway.wanted import Wanted
from trunkline.gateway.wishes import Wishes
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import new_response_id
from trunkline.proto.response import Asked, Inserted

INPUT_LIMIT = 256  # items
INPUT_LIMIT_BYTES = 512 * 1024  # of their texts together: with the instructions they are one message to the agent
TOKENS_LIMIT = 4096  # what "inf" means for a response of a session that has a limit
NULL = b"null"
AS_IN_SESSION = frozenset(
    (
        "output_modalities",
        "tools",
        "tool_choice",
        "max_output_tokens",
        "parallel_tool_calls",
        "reasoning",
        "prompt",
        "audio",
    )
)


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Those that no session has."""

    instructions: str | None = None
    conversation: Literal["auto", "none"] | None = None
    metadata: dict[str, str] | None = None
    input: list[NewItem] | None = None


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_options = msgspec.json.Decoder(Options)
_patches = msgspec.json.Decoder(SessionPatch)


class Sessions(NamedTuple):
    """current: as it stands. merge, wishes: as a session's update is read."""

    current: Callable[[], Session]
    merge: Callable[[Session, SessionPatch], Session]
    wishes: Callable[[Session], Wishes]


class ResponseWords:
    """unanswered: event ids, by response, of what is asked for and hasn't opened."""

    def __init__(self, call: Call, projection: Projection, sessions: Sessions) -> None:
        self._call = call
        self._projection = projection
        self._sessions = sessions
        self.unanswered: dict[str, str | None] = {}

    def create(self, raw: bytes, event_id: str | None, response: str = "", images: Images = NO_IMAGES) -> None:
        """raw: the options, as JSON. response: the id that it shall have. images: all that its input shows.

        Raises BadInput."""
        response = response or new_response_id()
        try:
            wanted, manner = self._read(raw, response, images)
        except msgspec.DecodeError as error:
            raise _of_response(explain_validation(error)) from error
        self._projection.expect(response, manner)
        self.unanswered[response] = event_id
        try:
            self._call.respond(wanted)
        except BadInput:
            self.opened(response)
            self._projection.forget(response)
            raise

    def opened(self, response: str) -> None:
        self.unanswered.pop(response, None)

    def _read(self, raw: bytes, response: str, images: Images) -> tuple[Wanted, Manner]:
        """Raises BadInput, msgspec.DecodeError."""
        given = {name: value for name, value in (_fields.decode(raw) or {}).items() if bytes(value) != NULL}
        if not given:  # nearly always
            return Wanted("", response), manner_of(self._sessions.current())
        own = {name: value for name, value in given.items() if name not in AS_IN_SESSION}
        options = _options.decode(msgspec.json.encode(own))
        require_metadata("response.metadata", options.metadata or {})
        require_size("response.instructions", options.instructions or "", INSTRUCTIONS_LIMIT_BYTES)
        session = self._sessions.current()
        alone = self._alone(session, {name: value for name, value in given.items() if name in AS_IN_SESSION})
        wishes = self._sessions.wishes(alone)
        context = None if options.input is None else self._context(options.input, images)
        asked = self._asked(context, options, given.keys(), wishes, self._sessions.wishes(session))
        manner = msgspec.structs.replace(manner_of(alone), metadata=options.metadata, aside=asked.aside)
        if asked.max_output_tokens:
            manner = msgspec.structs.replace(manner, max_output_tokens=asked.max_output_tokens)
        speaks = "audio" in given or "output_modalities" in given
        style = Style(wishes.voice, wishes.speed, wishes.audible) if speaks else None
        return Wanted(options.instructions or "", response, asked if asked != Asked() else None, style), manner

    def _alone(self, session: Session, given: dict[str, msgspec.Raw]) -> Session:
        """The session as it is for this response alone."""
        patch = _patches.decode(msgspec.json.encode(given | {"type": session.type}))
        if isinstance(patch.audio, AudioPatch) and patch.audio.input not in (msgspec.UNSET, None):
            raise BadInput("response.audio.input", "is unknown or not supported yet", "", code="unknown_parameter")
        try:
            return self._sessions.merge(session, patch)
        except BadInput as error:
            raise _of_response(error) from error

    def _asked(
        self,
        context: tuple[Inserted, ...] | None,
        options: Options,
        given: Collection[str],
        alone: Wishes,
        session: Wishes,
    ) -> Asked:
        equip = alone.equip
        for name, told, usual in (
            ("parallel_tool_calls", equip.parallel, session.equip.parallel),
            ("reasoning", equip.effort, session.equip.effort),
        ):
            if told != usual:
                raise BadInput(f"response.{name}", "is not supported yet", "that of the session", code="not_supported")
        tokens = 0
        if "max_output_tokens" in given and equip.max_output_tokens != session.equip.max_output_tokens:
            tokens = equip.max_output_tokens or TOKENS_LIMIT
        return Asked(
            tools=equip.tools if "tools" in given else None,
            tool_choice=(equip.tool_choice or "auto") if "tool_choice" in given else "",
            max_output_tokens=tokens,
            context=context,
            aside=options.conversation == "none",
        )

    def _context(self, items: list[NewItem], images: Images) -> tuple[Inserted, ...]:
        if len(items) > INPUT_LIMIT:
            raise BadInput("response.input", f"has {len(items)} items", f"up to {INPUT_LIMIT}")
        given = tuple(self._given(item, f"response.input[{at}]", images) for at, item in enumerate(items))
        require_size("response.input", "".join(one.text for one in given), INPUT_LIMIT_BYTES)
        return given

    def _given(self, item: NewItem, param: str, images: Images) -> Inserted:
        if item.type != "item_reference":
            return read_item(item, param, images).told
        if item.id is None or item.id not in self._projection.items:
            problem = f"there is no item {(item.id or '')[:80]!r}"
            raise BadInput(f"{param}.id", problem, "an item of the conversation", code="item_not_found")
        return Inserted("reference", item.id)


def _of_response(error: BadInput) -> BadInput:
    """As the client spells it: what is read like a session's is a response's."""
    place = error.param.removeprefix("session").removeprefix(".")
    return BadInput(f"response.{place}".rstrip("."), error.problem, error.allowed, code=error.code)
