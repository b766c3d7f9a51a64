"""When each worker was last heard by any request: one that has much to do is slow to each of them, and not mute."""

from collections.abc import Callable

MUTE_S = 15.0  # where calls leave little time, a job that takes a second takes many
WORKERS = 256  # remembered


class Audibility:
    """now_s: monotonic."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self._heard_s: dict[str, float] = {}

    def heard(self, worker: str) -> None:
        self._heard_s.pop(worker, None)
        self._heard_s[worker] = self.now_s()
        if len(self._heard_s) > WORKERS:
            del self._heard_s[next(iter(self._heard_s))]  # the one that is silent for longest

    def mute(self, worker: str) -> bool:
        return self.now_s() - self._heard_s.get(worker, 0.0) > MUTE_S
