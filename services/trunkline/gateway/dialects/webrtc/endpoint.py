"""POST /v1/realtime/calls: an SDP offer in, its answer out, and a call that waits for its caller to connect.

Whatever can be refused is refused before a stage is placed. Needs the extra `webrtc`: only webrtc_main imports this.
"""

import asyncio

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDictProxy

from trunkline.gateway.apis.bodies import SMALL_LIMIT_S, in_time, small
from trunkline.gateway.auth import Keys, refuse
from trunkline.gateway.calls import Calls
from trunkline.gateway.dialects.realtime.images_in import Pictures
from trunkline.gateway.dialects.realtime.limits import Limits
from trunkline.gateway.dialects.realtime.opening import Opened, Opening, not_opened
from trunkline.gateway.dialects.realtime.session import SessionPatch, read_patch
from trunkline.gateway.dialects.webrtc.addresses import reach_of
from trunkline.gateway.dialects.webrtc.line import Line
from trunkline.gateway.dialects.webrtc.offer import PATH, Offer, read_offer
from trunkline.gateway.resume_token import ResumeTokens
from trunkline.gateway.settings import GatewaySettings, keys_of
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.telemetry import logs

SDP, FORM = "application/sdp", "multipart/form-data"
CLOSE_LIMIT_S = 2.0  # for connections to say goodbye, when the gateway stops

log = logs.get(__name__)


class WebrtcEndpoint:
    """Owns the lines that it opens."""

    def __init__(
        self, calls: Calls, keys: Keys, opening: Opening, pictures: Pictures, settings: GatewaySettings
    ) -> None:
        """Raises BadSettings."""
        self._calls = calls
        self._keys = keys
        self._opening = opening
        self._pictures = pictures
        self._limits = Limits(settings.message_limit_bytes, settings.picture_event_limit_bytes)
        self._tokens = ResumeTokens(settings.resume_secret, keys_of(settings))
        self._lines: set[asyncio.Task[None]] = set()
        host = settings.webrtc_host or settings.host
        self._reach = reach_of(host, settings.webrtc_public_ips, settings.webrtc_ports)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(PATH, self._call)
        app.on_shutdown.append(self._close)

    async def _close(self, app: web.Application) -> None:
        """Every connection that is left."""
        for line in self._lines:
            line.cancel()
        if self._lines:
            await asyncio.wait(self._lines, timeout=CLOSE_LIMIT_S)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        try:
            admitted = await self._keys.admit(request, self._calls.require_places)
            self._calls.require_places(admitted.key)
        except StageUnavailable as error:
            return not_opened(error)
        if request.content_type not in (SDP, FORM):
            problem = f"the content type is {request.content_type[:80]!r}; allowed: {SDP}, {FORM}"
            return refuse(415, "unsupported_content_type", problem)
        try:
            offer, asked = await _read(request)
            self._calls.require_places()
            line, answer = await self._answer(offer)
        except (StageUnavailable, BadInput) as error:
            return not_opened(error)
        try:
            opened = await self._opening.open(admitted, request.query.get("model", ""), asked, "webrtc")
        except BaseException as error:
            await line.close()
            if isinstance(error, StageUnavailable | BadInput):
                return not_opened(error)
            raise
        self._serve(line, opened)
        headers = {hdrs.LOCATION: f"{PATH}/{opened.call.call_id}"}
        return web.Response(status=201, text=answer, content_type=SDP, headers=headers)

    async def _answer(self, offer: Offer) -> tuple[Line, str]:
        line = Line(offer)
        return line, await line.answer(self._reach)

    def _serve(self, line: Line, opened: Opened) -> None:
        async def serve() -> None:
            try:
                token = self._tokens.issue(opened.call.call_id)
                await line.serve(opened, self._pictures, self._limits, token, self._calls.wait_for_client)
            except Exception as error:  # the rim of a call: others of this process don't notice
                opened.call.fail(error)
                await line.close()

        task = asyncio.create_task(serve(), name=f"webrtc {opened.call.call_id}")
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)


async def _read(request: web.Request) -> tuple[Offer, SessionPatch | None]:
    """Raises BadInput."""
    if request.content_type == SDP:
        return read_offer(await small(request)), None
    try:
        async with in_time(SMALL_LIMIT_S):
            form = await request.post()
    except (ValueError, AssertionError, LookupError, HttpProcessingError) as error:  # aiohttp's, of a form that is torn
        raise BadInput("", "the form can't be read", "multipart/form-data with `sdp` and `session`") from error
    sdp, session = _field(form, "sdp"), _field(form, "session")
    if sdp is None:
        raise BadInput("sdp", "is missing", "an SDP offer", code="missing_required_parameter")
    return read_offer(sdp), None if session is None else read_patch(session)


def _field(form: "MultiDictProxy[str | bytes | bytearray | web.FileField]", name: str) -> bytes | None:
    value = form.get(name)
    if isinstance(value, web.FileField):
        return value.file.read()
    return value.encode() if isinstance(value, str) else None if value is None else bytes(value)
