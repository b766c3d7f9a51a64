"""Why a generation failed, for whoever asked for it: what is theirs to mend, and what may go better another time. Pure.

No host of an endpoint is named, and nothing of a key's trouble: that is the operator's.
"""

from trunkline.agent.models.endpoint.errors import EndpointFailed
from trunkline.proto.errors import BadInput, Undecodable
from trunkline.proto.generation import GenerationFailed

REFUSED_STATUSES = frozenset({400, 413, 422})
RATE_LIMIT = "rate_limit_exceeded"
ASKED_IN_VAIN = {  # the endpoint's code, and what of the request it is about
    "context_length_exceeded": "input",
    "content_filter": "input",
    "content_policy_violation": "input",
    "string_above_max_length": "input",
    "model_not_found": "model",
}


def failure_of(error: Exception, *, model_named: bool = True) -> GenerationFailed:
    """model_named: by whoever asks; else which one it is is the operator's."""
    match error:
        case BadInput():
            return GenerationFailed(error.code, str(error), error.param, bad_request=True)
        case Undecodable():
            return GenerationFailed("invalid_value", f"input can't be read: {error}", "input", bad_request=True)
        case EndpointFailed():
            return _of_endpoint(error, model_named)
        case TimeoutError():
            return GenerationFailed("server_error", "the model gave no word in time")
    return GenerationFailed("server_error", "the model failed to answer")


def _of_endpoint(error: EndpointFailed, model_named: bool) -> GenerationFailed:
    if error.code in ASKED_IN_VAIN and (model_named or ASKED_IN_VAIN[error.code] != "model"):
        return GenerationFailed(error.code, error.problem, ASKED_IN_VAIN[error.code], bad_request=True)
    if error.status == 429 and error.code != "insufficient_quota":
        return GenerationFailed(RATE_LIMIT, "the model is asked too much at the moment")
    if error.status in REFUSED_STATUSES:
        return GenerationFailed(error.code or "invalid_value", error.problem, error.param, bad_request=True)
    if error.code == "timeout":
        return GenerationFailed("server_error", "the model gave no word in time")
    return GenerationFailed("server_error", "the model can't be had at the moment")
