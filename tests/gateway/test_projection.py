"""The call's events in the words of the protocol."""

from itertools import count

import pytest

from trunkline.gateway import call_events as call
from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.open_response import Manner
from trunkline.gateway.dialects.realtime.projection import Projection
from trunkline.gateway.dialects.realtime.session_audio import Format
from trunkline.proto.response import ResponseStatus


def new_projection() -> Projection:
    numbers = count()
    manner = Manner(out.ResponseOutput(Format("audio/pcm", 24_000)))
    return Projection(lambda: f"event_{next(numbers)}", "conv_a", manner)


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        ("cancelled", "turn_detected", "turn_detected"),
        ("cancelled", "client_cancelled", "client_cancelled"),
        ("cancelled", "superseded", None),
        ("incomplete", "no answer after 8 rounds of tools", None),
    ],
)
def test_only_the_vendor_s_reasons_are_told(status: ResponseStatus, reason: str, told: str | None) -> None:
    projection = new_projection()
    projection.translate(call.ResponseOpened("resp_a", True))

    [done] = projection.translate(call.ResponseEnded("resp_a", status, reason))

    assert isinstance(done, out.ResponseDone)
    assert done.response.status_details == out.Reason(status, reason=told)
