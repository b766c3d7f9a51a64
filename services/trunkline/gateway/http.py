"""What operators and tools read over HTTP: calls, their records, the workers. All of it needs a key."""

import contextlib
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from trunkline.gateway import metrics
from trunkline.gateway.auth import Keys, answer, refuse, refuse_input
from trunkline.gateway.key_use import KeyRefused
from trunkline.gateway.rationed_log import RationedLog
from trunkline.placement.roster import Roster
from trunkline.proto.errors import BadInput, StageUnavailable, Undecodable
from trunkline.proto.ids import is_call_id
from trunkline.record import BrokenRecord, RecordStore, StoreFull, StoreUnavailable, read_call, summary_to_json, to_json
from trunkline.telemetry import logs

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

UNCODED = ("", "identity")
TURNED_AWAY = {408: "body_slow", 413: "body_large"}  # status -> why, as it is counted

log = logs.get(__name__)
rationed = RationedLog(log)


def guarded(keys: Keys, handler: Handler, *, counted: bool = False) -> Handler:
    """Nobody without an API key comes in, and what a handler raises is told in the vendor's shape.

    counted: among what the key has going on.
    """

    async def guard(request: web.Request) -> web.StreamResponse:
        key = keys.require_api_key(request)
        try:
            with keys.use.held(key) if counted else contextlib.nullcontext():
                return await handler(request)
        except BadInput as error:
            return refuse_input(error)
        except StoreFull as full:
            return refuse(507, "store_full", str(full))
        except StoreUnavailable as unavailable:
            return refuse(503, "store_unavailable", str(unavailable), retry_after_s=1.0)
        except StageUnavailable as unavailable:
            metrics.requests_refused.labels(unavailable.stage, unavailable.why).inc()
            return refuse(503, "overloaded", str(unavailable), retry_after_s=unavailable.retry_after_s)
        except (Undecodable, BrokenRecord) as error:
            log.error("record can't be read", path=request.path, error=str(error))
            return refuse(500, "record_unreadable", f"{request.path}: the record can't be read: {error}")

    return guard


class Http:
    def __init__(self, keys: Keys, store: RecordStore, roster: Roster) -> None:
        self._keys = keys
        self._store = store
        self._roster = roster

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v1/calls", guarded(self._keys, self._calls))
        app.router.add_get("/v1/calls/{call}", guarded(self._keys, self._call))
        app.router.add_delete("/v1/calls/{call}", guarded(self._keys, self._forget))
        app.router.add_get("/v1/workers", guarded(self._keys, self._workers))

    async def _calls(self, request: web.Request) -> web.StreamResponse:
        return answer([summary_to_json(summary) for summary in await self._store.summaries()])

    async def _call(self, request: web.Request) -> web.StreamResponse:
        call = request.match_info["call"]
        found = await read_call(self._store, call) if is_call_id(call) else None
        if found is None:
            return refuse(404, "call_not_found", f"no call {call[:80]!r}", param="call_id")
        return answer(to_json(*found))

    async def _forget(self, request: web.Request) -> web.StreamResponse:
        """Deletes the record of a call that is over."""
        call = request.match_info["call"]
        found = await read_call(self._store, call) if is_call_id(call) else None
        if found is None:
            return refuse(404, "call_not_found", f"no call {call[:80]!r}", param="call_id")
        if found[0].ended is None:
            return refuse(409, "call_is_live", f"the call {call} goes on; hang up first", param="call_id")
        await self._store.forget(call)
        return answer({"call_id": call, "deleted": True})

    async def _workers(self, request: web.Request) -> web.StreamResponse:
        return answer(
            [
                {
                    "stage": beat.stage,
                    "worker": beat.worker,
                    "pid": beat.pid,
                    "calls": beat.calls,
                    "capacity": beat.capacity,
                    "draining": beat.draining,
                    "version": beat.version,
                    "digest": beat.digest,
                    "admin_port": beat.admin_port,
                }
                for beat in self._roster.workers()
            ]
        )


@web.middleware
async def vendor_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refused keys, encoded bodies, aiohttp's own refusals (unknown path, wrong method, a body that is too large or
    torn), and what nobody foresaw, in the vendor's shape."""
    try:
        coding = request.headers.get("Content-Encoding", "").strip().lower()
        if coding not in UNCODED:
            metrics.turned_away.labels("body_encoded").inc()
            problem = f"the body is encoded ({coding[:80]!r}); allowed: bytes as they are"
            return refuse(415, "unsupported_content_encoding", problem, param="Content-Encoding")
        return await handler(request)
    except KeyRefused as error:
        if error.status in (401, 403):  # who has no key; who has it and must wait is counted as such
            metrics.turned_away.labels("key").inc()
        return refuse(error.status, error.code, str(error), retry_after_s=error.retry_after_s)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        if error.status in TURNED_AWAY:
            metrics.turned_away.labels(TURNED_AWAY[error.status]).inc()
        codes = {404: "not_found", 405: "method_not_allowed", 408: "request_timeout", 413: "too_large"}
        code = codes.get(error.status, "invalid_request")
        return refuse(error.status, code, f"{request.method} {request.path}: {_reason(request, error)}")
    except web.RequestPayloadError as error:
        metrics.turned_away.labels("body_torn").inc()
        rationed.info("body not read", path=request.path[:200], reason=repr(error)[:200])
        return refuse(400, "invalid_request", f"{request.method} {request.path}: the body can't be read")
    except Exception as error:  # the rim of a request: the others are still served
        if isinstance(error, ConnectionError) or request.writer.output_size:
            raise  # the client is gone, or has part of an answer: the server breaks the connection, so that it shows
        log.error("request failed", path=request.path, error=repr(error), exc_info=error)
        return refuse(500, "server_error", f"{request.method} {request.path}: the request failed at the gateway")


def _reason(request: web.Request, error: web.HTTPException) -> str:
    """Who asks at a wrong address is told the right ones: a base URL easily lacks its /v1, or has it twice."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"can't be asked so; allowed: {', '.join(sorted(error.allowed_methods))}"
    if request.match_info.http_exception is not error:
        return error.reason
    addresses = {resource.canonical for resource in request.app.router.resources()}
    known = sorted(address for address in addresses if address.startswith("/v1/") and "{" not in address)
    return f"nothing is there; allowed: {', '.join(known)}"


def server_log() -> logging.Logger:
    """For aiohttp's server, which would log a traceback of whatever isn't HTTP, and of whoever leaves early."""
    found = logging.getLogger("aiohttp.server")
    found.setLevel(logging.DEBUG)  # it says there what isn't HTTP from the first word, and nothing else
    found.addFilter(_of_ours)  # again is no harm
    return found


def _of_ours(record: logging.LogRecord) -> bool:
    """Not of a client's making."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, ConnectionError):
        return False  # it left before it was answered
    if not isinstance(error, HttpProcessingError):
        return record.levelno > logging.DEBUG
    metrics.turned_away.labels("not_http").inc()
    rationed.info("request can't be read", reason=repr(error)[:200])
    return False
