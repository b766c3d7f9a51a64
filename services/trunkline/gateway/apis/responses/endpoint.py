"""The endpoints of the Responses API: a response is asked for, read back, deleted, and its input listed.

A response is kept before its client is told that it is completed, so that whatever follows it finds it at any gateway.
Where it can't be kept the client still gets it, and reads there that it isn't (`store`); where that is clear before
the model is asked, since the store is full, the client is told so instead.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from aiohttp import web

from trunkline.gateway.apis.bodies import Bodies
from trunkline.gateway.apis.models import TextModels
from trunkline.gateway.apis.pages import page_of, read_page
from trunkline.gateway.apis.presence import ClientGone, while_present
from trunkline.gateway.apis.responses.answer import Answer
from trunkline.gateway.apis.responses.asked import Asked, read_asked
from trunkline.gateway.apis.responses.events import sent
from trunkline.gateway.apis.responses.generation import Generation
from trunkline.gateway.apis.responses.items import FunctionCall
from trunkline.gateway.apis.responses.items_in import ItemsIn, TakesPictures
from trunkline.gateway.apis.responses.kept import Kept, References, Shelf
from trunkline.gateway.apis.responses.prompt import encoded_prompt, paired
from trunkline.gateway.apis.responses.response import ErrorCode, Response, new_response
from trunkline.gateway.apis.responses.tools import choice_of, tools_of
from trunkline.gateway.apis.streaming import StreamedAnswer
from trunkline.gateway.auth import Keys, answer, refuse
from trunkline.gateway.http import guarded
from trunkline.gateway.requests import Requests
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.generation import Generated, GenerationFailed
from trunkline.proto.ids import new_response_id
from trunkline.record import StoreUnavailable
from trunkline.telemetry import logs

PATH = "/v1/responses"
BODY_LIMIT_BYTES = 32 * 1024 * 1024  # with pictures in it
BODIES_LIMIT_BYTES = 4 * BODY_LIMIT_BYTES
PAGE_ITEMS, PAGE_ITEMS_LIMIT = 20, 100
KEEP_LIMIT_S = 2.0  # that an answer waits to be kept


log = logs.get(__name__)


class Prepared(NamedTuple):
    """What a client asked for, read and checked. kept: with the response in progress. calls: ids of tool calls so
    far."""

    asked: Asked
    kept: Kept
    prompt: bytes
    calls: frozenset[str]


class ResponsesEndpoint:
    """wall_s: seconds since 1970. now_s: monotonic."""

    def __init__(
        self,
        keys: Keys,
        requests: Requests,
        models: TextModels,
        shelf: Shelf,
        pictures: TakesPictures,
        *,
        wall_s: Callable[[], float],
        now_s: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._requests = requests
        self._models = models
        self._shelf = shelf
        self._pictures = pictures
        self._wall_s = wall_s
        self._now_s = now_s
        self._bodies = Bodies(BODY_LIMIT_BYTES, BODIES_LIMIT_BYTES)

    def add_routes(self, app: web.Application) -> None:
        router = app.router
        router.add_post(PATH, guarded(self._keys, self._create, counted=True))
        router.add_post(f"{PATH}/{{what:compact|input_tokens}}", guarded(self._keys, self._not_there))
        router.add_post(f"{PATH}/{{response}}/{{what:cancel}}", guarded(self._keys, self._not_there))
        router.add_get(f"{PATH}/{{response}}", guarded(self._keys, self._get))
        router.add_delete(f"{PATH}/{{response}}", guarded(self._keys, self._delete))
        router.add_get(f"{PATH}/{{response}}/input_items", guarded(self._keys, self._input_items))

    # asked for

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            problem = f"the content type is {request.content_type[:80]!r}; allowed: application/json"
            return refuse(415, "unsupported_content_type", problem)
        self._requests.require_place("agent")
        return await while_present(request, self._respond(request))

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        async with self._bodies.read(request) as body:
            prepared = await self._prepare(body)
        generation = Generation(prepared.prompt, self._now_s)
        return await (self._streamed if prepared.asked.stream else self._whole)(request, prepared, generation)

    async def _prepare(self, body: bytes) -> Prepared:
        """Raises BadInput, StoreUnavailable."""
        asked = read_asked(body)
        model = self._models.resolve(asked.model)
        tools = tools_of(asked.tools or [])
        choice = choice_of(asked.tool_choice, tools)
        name = new_response_id()
        before = await self._shelf.before(asked.previous_response_id)
        given = ItemsIn(name, self._pictures, References(self._shelf).find)
        own = await given.read([] if asked.input is None else asked.input)
        kept = Kept(new_response(name, asked, tools, choice, int(self._wall_s())), own, tuple(given.images.values()))
        if kept.response.store:
            await self._shelf.require_room(kept)
        items = paired([item for earlier in (*before, kept) for item in earlier.items])
        images = {image.file: image for earlier in (*before, kept) for image in earlier.images}
        prompt = encoded_prompt(asked, model, items, images, tools, choice)
        calls = frozenset(item.call_id for item in items if isinstance(item, FunctionCall))
        return Prepared(asked, kept, prompt, calls)

    # answered

    async def _whole(self, _: web.Request, prepared: Prepared, generation: Generation) -> web.StreamResponse:
        reply = Answer(prepared.kept.response, prepared.calls)
        async with self._requests.open("agent", "responses", generation.of) as placed:
            said = await placed.wait(generation.whole())
        for one in said:
            list(reply.take(one))
        match said[-1]:
            case GenerationFailed() as failure:
                return _refused(failure)
            case Generated() as generated:
                return answer(await self._keep(prepared.kept, reply.completed(generated, int(self._wall_s()))))
        raise AssertionError("a generation has an end")

    async def _streamed(self, request: web.Request, prepared: Prepared, generation: Generation) -> web.StreamResponse:
        reply, stream = Answer(prepared.kept.response, prepared.calls), StreamedAnswer(request)
        async with self._requests.open("agent", "responses", generation.of) as placed:
            await stream.write(sent(reply.begin()))
            try:
                while not reply.over:
                    said = await placed.wait(generation.news())
                    if news := sent(event for one in said for event in reply.take(one)):
                        await stream.write(news)
            except ClientGone:
                raise
            except Exception as error:  # a rim: the stream has begun, so its client is told within it
                reason = error.reason if isinstance(error, StageUnavailable) else "a fault of the gateway"
                said = [GenerationFailed("server_error", f"the answer broke off: {reason}")]
        match said[-1]:
            case GenerationFailed(code=code, message=message) as failure:
                log.warning("response failed", response=prepared.kept.response.id, code=code, error=message)
                ended = await self._keep(prepared.kept, reply.failed(_code(failure), message))
            case Generated() as generated:
                ended = await self._keep(prepared.kept, reply.completed(generated, int(self._wall_s())))
            case _:
                raise AssertionError("a generation has an end")
        await stream.write(sent([reply.last(ended)]))
        return await stream.end()

    async def _keep(self, kept: Kept, response: Response) -> Response:
        """As it stands in the end."""
        if not response.store:
            return response
        try:
            async with asyncio.timeout(KEEP_LIMIT_S):
                if await self._shelf.put(msgspec.structs.replace(kept, response=response)):
                    return response
            problem = "too large"
        except (StoreUnavailable, TimeoutError) as error:
            problem = repr(error)
        log.error("response not kept", response=response.id, error=problem)
        return msgspec.structs.replace(response, store=False)

    # read back

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("stream", "false") != "false":
            raise BadInput("stream", "a kept response isn't streamed again", "false", code="not_supported")
        kept = await self._shelf.get(request.match_info["response"])
        return answer(kept.response) if kept is not None else _not_found(request)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["response"]
        if not await self._shelf.delete(name):
            return _not_found(request)
        return answer({"id": name, "object": "response", "deleted": True})

    async def _input_items(self, request: web.Request) -> web.StreamResponse:
        kept = await self._shelf.get(request.match_info["response"])
        if kept is None:
            return _not_found(request)
        for name in ("include", "include[]"):
            if name in request.query:
                problem = f"{request.query[name][:80]!r} is not supported"
                raise BadInput("include", problem, "leave it out", code="not_supported")
        return answer(page_of(kept.input, read_page(request.query, PAGE_ITEMS, PAGE_ITEMS_LIMIT)))

    async def _not_there(self, request: web.Request) -> web.StreamResponse:
        what = request.match_info["what"]
        allowed = "create, read, delete and list the input of a response"
        return refuse(501, "not_supported", f"{PATH}/…/{what} is not supported; allowed: {allowed}")


def _not_found(request: web.Request) -> web.Response:
    name = request.match_info["response"]
    return refuse(404, "response_not_found", f"Response with id {name[:80]!r} not found.", param="response_id")


def _code(failure: GenerationFailed) -> ErrorCode:
    """The nearest that the vendor's clients know."""
    if failure.code == "rate_limit_exceeded":
        return "rate_limit_exceeded"
    return "invalid_prompt" if failure.bad_request else "server_error"


def _refused(failure: GenerationFailed) -> web.Response:
    """A client asks again by itself what got a status from 500 on, or 429."""
    if failure.bad_request:
        status = 404 if failure.code == "model_not_found" else 400
        return refuse(status, failure.code, failure.message, param=failure.param or None)
    status = 429 if failure.code == "rate_limit_exceeded" else 500
    return refuse(status, failure.code, failure.message, param=failure.param or None)
