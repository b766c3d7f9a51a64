"""Whether what a tool raised says that what it needs can't be reached, or fails by itself. Pure.

Rule: in doubt it doesn't: a tool that refuses a caller's wrong number again and again must not be left alone.
"""

import errno
import socket

UNREACHABLE = frozenset(
    {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ECONNREFUSED}
)
CAUSES_LIMIT = 8


def is_outage(error: BaseException) -> bool:
    """Also by its cause: clients of HTTP wrap what their sockets raise."""
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen and len(seen) < CAUSES_LIMIT:
        if isinstance(one, ConnectionError | TimeoutError | socket.gaierror | socket.herror):
            return True
        if isinstance(one, OSError) and one.errno in UNREACHABLE:
            return True
        if _status_of(one) >= 500:
            return True
        seen.append(one)
        one = one.__cause__ or one.__context__
    return False


def _status_of(error: BaseException) -> int:
    """Of HTTP, as aiohttp and urllib (status), httpx and requests (response.status_code) tell it; else 0."""
    if not isinstance(error, Exception):
        return 0
    try:
        response = getattr(error, "response", None)
        told = [getattr(error, "status", None), getattr(response, "status_code", None)]
    except Exception:  # a rim: the exception is anybody's code
        return 0
    statuses = (one for one in told if isinstance(one, int) and not isinstance(one, bool) and 400 <= one < 600)
    return next(statuses, 0)
