"""A recogniser that holds the GIL, in processes of its own. Like any other from outside."""

from collections.abc import Callable
from functools import partial

import numpy as np

from trunkline.audio.pcm import Floats
from trunkline.runtime.apart import Answer, Several
from trunkline.stt.engines.seam import Recogniser

NUMBER_BYTES = 4


class RecogniserApart:
    """make: importable, see `runtime.apart`. processes: recognitions at a time; each loads a model of its own."""

    def __init__(self, like: Recogniser, make: Callable[[], Recogniser], processes: int) -> None:
        """like: says what it is called and knows; nothing else is asked of it."""
        self.name = like.name
        self.languages: tuple[str, ...] = tuple(getattr(like, "languages", ()))
        self._processes = Several(like.name, partial(answering, make), processes)

    def warm(self) -> None:
        self._processes.load()

    def recognise(self, pcm: Floats, utterance: int) -> str:
        """Raises EngineFailed, EngineDied."""
        question = utterance.to_bytes(NUMBER_BYTES, "little") + pcm.astype("<f4", copy=False).tobytes()
        return self._processes.least_busy().ask(question).decode()

    def cpu_s(self) -> float:
        return self._processes.cpu_s()

    def close(self) -> None:
        self._processes.close()


def answering(make: Callable[[], Recogniser]) -> Answer:
    """In the process."""
    recogniser = make()
    recogniser.warm()

    def answer(question: bytes) -> bytes:
        pcm = np.frombuffer(question, dtype="<f4", offset=NUMBER_BYTES)
        return recogniser.recognise(pcm, int.from_bytes(question[:NUMBER_BYTES], "little")).encode()

    return answer
