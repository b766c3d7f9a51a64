"""Whether bytes are a picture that may be shown. Nothing is decoded before its size is known to be bounded.

What a picture is, its bytes say; what its giver calls it is only a hint. One is decoded at a time: its pixels take the
memory that calls need too.
"""

import asyncio
import io
from typing import NamedTuple

from PIL import ExifTags
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from trunkline.gateway.picture_header import FORMATS, Header, Refusal, read_header
from trunkline.images.pillow import ON_ITS_SIDE, PIXELS_LIMIT, tame

MOST_PIXELS_WEBP = 20_000_000  # its decoder holds four copies of them
READERS: dict[str, type[ImageFile]] = {  # by name, so that no other format is ever tried on a stranger's bytes
    "image/png": PngImageFile,
    "image/jpeg": JpegImageFile,
    "image/webp": WebPImageFile,
    "image/gif": GifImageFile,
}


class Seen(NamedTuple):
    """width, height: pixels, upright."""

    media_type: str
    width: int
    height: int


class PictureChecks:
    """limit_bytes: of one picture."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        tame()
        self._decoding = asyncio.Semaphore(1)

    async def look(self, data: bytes) -> Seen | Refusal:
        if refusal := self.too_many_bytes(len(data)):
            return refusal
        await self._decoding.acquire()
        looking = asyncio.get_running_loop().run_in_executor(None, look, data)
        looking.add_done_callback(lambda _: self._decoding.release())
        return await asyncio.shield(looking)  # who no longer waits doesn't free the thread

    def too_many_bytes(self, size: int) -> Refusal | None:
        if size <= self.limit_bytes:
            return None
        return Refusal(f"has {size} bytes", f"up to {self.limit_bytes} bytes", "image_file_too_large")


def look(data: bytes) -> Seen | Refusal:
    header = read_header(data)
    if isinstance(header, Refusal):
        return header
    most = MOST_PIXELS_WEBP if header.media_type == "image/webp" else PIXELS_LIMIT
    if header.width * header.height > most:
        return Refusal(f"has {header.width}x{header.height} pixels", f"up to {most} pixels", "image_too_large")
    if not header.width or not header.height:
        return Refusal("has no pixels", "a whole picture", "image_parse_error")
    if header.animated:
        return Refusal("is animated", FORMATS, "invalid_image_format")
    try:
        return _decode(data, header)
    except Exception as error:  # decoders raise all kinds of errors on a stranger's bytes
        problem = f"can't be decoded as {header.media_type} ({str(error)[:100]})"
        return Refusal(problem, "a whole picture", "image_parse_error")


def _decode(data: bytes, header: Header) -> Seen:
    """All of it: only that shows that it is whole. A JPEG is scaled down meanwhile, so the pixels of one that
    isn't progressive take no room."""
    with READERS[header.media_type](io.BytesIO(data)) as picture:
        if picture.size != (header.width, header.height):
            raise ValueError(f"its size is {picture.size}, its header says otherwise")
        if isinstance(picture, JpegImageFile):
            picture.draft("RGB", (1, 1))
        picture.load()
        if picture.mode == "P" and picture.palette is None:
            raise ValueError("it has no palette")
        sideways = picture.getexif().get(ExifTags.Base.Orientation) in ON_ITS_SIDE
    width, height = (header.height, header.width) if sideways else (header.width, header.height)
    return Seen(header.media_type, width, height)
