"""A worker that has much to do is slow to requests, and not mute."""

from typing import Any, cast

from trunkline.gateway.audibility import MUTE_S, Audibility
from trunkline.gateway.placing import Placement
from trunkline.gateway.reciting import Recital
from trunkline.proto.placement import Accepted


class Taken:
    """A placement that was just taken."""

    worker = "tts-1"

    @property
    def link(self) -> Any:
        return self

    def bind_audio(self, handle: int, hear: object) -> None: ...

    def send(self, message: object, headers: object = None) -> None: ...


def test_a_worker_that_never_spoke_is_given_its_time_from_when_it_took_the_request() -> None:
    now_s = [1_000_000.0]
    audibility = Audibility(lambda: now_s[0])
    recital = Recital(audibility)

    recital.taken(cast(Placement, Taken()), Accepted())

    now_s[0] += MUTE_S - 1
    assert not audibility.mute("tts-1")
    now_s[0] += 2
    assert audibility.mute("tts-1")
