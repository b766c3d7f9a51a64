"""Pictures as a model's endpoint is to have them: read from the file store, scaled, and kept for the next round.

What can't be shown is told to the model in words, and counted; no picture ever keeps a round from going on.
"""

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
from prometheus_client import Counter

from trunkline.agent.models.seam import MessageItem, ModelRequest, ToolOutputItem
from trunkline.images.detail import Family, Level
from trunkline.images.pillow import tame
from trunkline.images.scaling import Unreadable, scale
from trunkline.proto.image import Detail, ShownImage
from trunkline.record import FileStore
from trunkline.telemetry import logs

SCALED_AT_ONCE = 1  # it holds the pixels of a whole picture, up to 500 MB at its worst
HELD_AT_ONCE = 2  # files: one is read while another is scaled
KEPT_BYTES = 64 * 1024 * 1024  # of pictures that are ready, for the rounds to come
ROUND_PICTURES = 50  # of one request, the newest
ROUND_BYTES = 24 * 1024 * 1024  # of one request's pictures, as they are sent
PREPARING_S = 10.0  # for all pictures of a round

GONE = "(A picture was shown here; it is no longer kept.)"
UNREADABLE = "(A picture was shown here; it can't be read.)"
LATE = "(A picture was shown here; it can't be had at the moment.)"
LEFT_OUT = "(A picture was shown here; it is left out, since later ones take its room.)"
UNSEEN = "(A picture was shown here; you can't see pictures.)"
_OUTCOMES = {GONE: "gone", UNREADABLE: "unreadable", LATE: "late", LEFT_OUT: "left_out", UNSEEN: "unseen"}

log = logs.get(__name__)
_pictures = Counter(
    "trunkline_agent_pictures_total", "Pictures in the requests of models, by what became of them", ["outcome"]
)


class Picture(msgspec.Struct, frozen=True, gc=False):
    """url: a data URL. detail: as the endpoint is to be told."""

    url: str
    detail: Detail


Key = tuple[str, str, Level]  # of what is kept: file, family, level
Shown = Mapping[ShownImage, Picture | str]  # a text stands in the picture's place


def pictures_of(request: ModelRequest) -> list[ShownImage]:
    """Oldest first."""
    return [image for item in request.items if isinstance(item, MessageItem | ToolOutputItem) for image in item.images]


def unseen(images: Iterable[ShownImage]) -> Shown:
    """For a model that has no eyes."""
    return {image: _counted(UNSEEN) for image in images}


class Pictures:
    """files: None where there are none to be had."""

    def __init__(self, files: FileStore | None) -> None:
        tame()
        self._files = files
        self._threads = ThreadPoolExecutor(SCALED_AT_ONCE, thread_name_prefix="picture")
        self._kept: OrderedDict[Key, str] = OrderedDict()  # data URLs
        self._held = asyncio.Semaphore(HELD_AT_ONCE)
        self._preparing: dict[Key, asyncio.Task[str]] = {}
        self._kept_bytes = 0

    def close(self) -> None:
        for task in self._preparing.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def prepare(
        self, images: Iterable[ShownImage], family: Family, asked: Callable[[Detail], Detail] = lambda detail: detail
    ) -> Shown:
        """The newest first, since they matter most. family: of the model. asked: the detail that its endpoint is asked
        for where a client asks for this one."""
        shown: dict[ShownImage, Picture | str] = {}
        room_bytes, until_s = ROUND_BYTES, _now_s() + PREPARING_S
        for image in reversed(list(images)):
            if image in shown:
                continue
            if len(shown) >= ROUND_PICTURES or room_bytes <= 0:
                shown[image] = _counted(LEFT_OUT)
                continue
            detail = asked(image.detail)
            url = await self._ready(image, family, family.level(detail), until_s)
            room_bytes -= len(url)
            if url in _OUTCOMES:
                shown[image] = _counted(url)
            elif room_bytes < 0:
                shown[image] = _counted(LEFT_OUT)
            else:
                _pictures.labels("shown").inc()
                known = detail != "original" or family.original is not None
                shown[image] = Picture(url, detail if known else "high")
        return shown

    async def _ready(self, image: ShownImage, family: Family, level: Level, until_s: float) -> str:
        """Its data URL, or what the model is told instead."""
        key = (image.file, family.name, level)
        if (url := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return url
        try:
            async with asyncio.timeout_at(until_s):
                task = self._preparing.get(key) or self._begin(key, family)
                return await asyncio.shield(task)  # it goes on for the next round where it takes too long
        except Unreadable as error:
            log.warning("a picture is not shown", file=image.file, error=str(error))
            return UNREADABLE
        except Exception as error:  # a rim: whatever is wrong with a store or a picture, the conversation goes on
            log.warning("a picture is not shown", file=image.file, error=repr(error))
            return LATE

    def _begin(self, key: Key, family: Family) -> asyncio.Task[str]:
        def over(done: asyncio.Task[str]) -> None:
            del self._preparing[key]
            if not done.cancelled():
                done.exception()  # who waits for it is told; it may be nobody

        task = self._preparing[key] = asyncio.create_task(self._prepare(key, family))
        task.add_done_callback(over)
        return task

    async def _prepare(self, key: Key, family: Family) -> str:
        """Its data URL, or that it is gone. Raises Unreadable, StoreUnavailable."""
        file, _, level = key
        async with self._held:
            data = await self._files.get(file) if self._files is not None else None
            if data is None:
                return GONE
            loop = asyncio.get_running_loop()
            url = await loop.run_in_executor(self._threads, _prepared, data, family, level)
        self._keep(key, url)
        return url

    def _keep(self, key: Key, url: str) -> None:
        self._kept_bytes += len(url) - len(self._kept.pop(key, ""))
        self._kept[key] = url
        while self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest)


def _prepared(data: bytes, family: Family, level: Level) -> str:
    """Raises Unreadable."""
    scaled = scale(data, lambda size: family.target(size, level))
    return f"data:{scaled.media_type};base64,{base64.b64encode(scaled.data).decode()}"


def _counted(words: str) -> str:
    _pictures.labels(_OUTCOMES[words]).inc()
    return words


def _now_s() -> float:
    return asyncio.get_running_loop().time()
