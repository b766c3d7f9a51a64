"""What goes wrong at a model's endpoint: one error that says where, what, and whether asking again may help.

No key is ever in it: whatever an endpoint answers passes through here before it is shown.
"""

import msgspec

from trunkline.agent.models.endpoint.options import Endpoint
from trunkline.proto.errors import TrunklineError

PROBLEM_CHARACTERS = 300
AGAIN_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
ELSEWHERE_STATUSES = AGAIN_STATUSES | {401, 402, 403, 404}  # another endpoint may know the key, or the model
AGAIN_CODES = frozenset(
    {"server_error", "rate_limit_exceeded", "rate_limit_error", "overloaded_error", "internal_server_error"}
)
ELSEWHERE_CODES = AGAIN_CODES | {"insufficient_quota", "model_not_found"}


class EndpointFailed(TrunklineError):
    """status: of HTTP, 0 where there was none. code, param: the endpoint's own, "" for none.

    retryable: the same endpoint may do better. elsewhere: another one may. retry_after_s: by the endpoint's own word.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        problem: str,
        *,
        status: int = 0,
        code: str = "",
        param: str = "",
        retryable: bool = False,
        elsewhere: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        self.endpoint = endpoint.label
        self.status = status
        self.code = _without(endpoint.key, code)[:80]
        self.param = _without(endpoint.key, param)[:80]
        self.problem = _without(endpoint.key, " ".join(problem.split()))[:PROBLEM_CHARACTERS]
        self.retryable = retryable
        self.elsewhere = elsewhere or retryable
        self.retry_after_s = retry_after_s
        facts = " ".join(filter(None, (str(status or ""), self.code)))
        super().__init__(f"{self.endpoint}: {facts + ': ' if facts else ''}{self.problem}")


def fault(
    endpoint: Endpoint, error: object, *, status: int = 0, retry_after_s: float | None = None, hint: str = ""
) -> EndpointFailed:
    """From an error as endpoints send it: {"message", "code", "type", "param"}, or a text."""
    message, code = _words(error)
    number = int(code) if code.isdecimal() else 0
    status = status or (number if 400 <= number < 600 else 0)
    out_of_quota = code == "insufficient_quota"  # a 429, yet no waiting helps
    return EndpointFailed(
        endpoint,
        f"{message or 'gave no reason'}{hint}",
        status=status,
        code="" if number and number == status else code,
        param=_param(error),
        retryable=not out_of_quota and (status in AGAIN_STATUSES or code in AGAIN_CODES),
        elsewhere=status in ELSEWHERE_STATUSES or code in ELSEWHERE_CODES,
        retry_after_s=retry_after_s,
    )


def _words(error: object) -> tuple[str, str]:
    """Message and code."""
    if not isinstance(error, dict):
        return (error if isinstance(error, str) else ""), ""
    message, code = error.get("message") or error.get("detail"), error.get("code") or error.get("type")
    if message is not None and not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    return message or "", "" if code is None else str(code)


def _param(error: object) -> str:
    param = error.get("param") if isinstance(error, dict) else None
    return param if isinstance(param, str) else ""


def _without(key: str, text: str) -> str:
    return text.replace(key, "[key]") if key else text
