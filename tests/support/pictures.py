"""Pictures as clients give them, whole, odd and evil."""

import base64
import io
import struct
import zlib

from PIL import Image


def picture(
    format: str = "PNG",
    width: int = 40,
    height: int = 30,
    *,
    orientation: int = 0,
    mode: str = "RGB",
    **options: object,
) -> bytes:
    """Noise, so that it has some bytes. orientation: EXIF's, 0 for none."""
    drawn = Image.effect_noise((width, height), 50).convert(mode)
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    written = io.BytesIO()
    drawn.save(written, format, **options)
    return written.getvalue()


def animated(format: str) -> bytes:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    written = io.BytesIO()
    frames[0].save(written, format, save_all=True, append_images=frames[1:])
    return written.getvalue()


def png(
    width: int,
    height: int,
    *chunks: tuple[bytes, bytes],
    data: bytes = b"\0\0\0\0",
    depth_and_kind: bytes = b"\x08\x02",
) -> bytes:
    """8 bit RGB, if not told otherwise. chunks: kind and body, before the pixels. data: the pixels' lines, not
    compressed."""
    head = (b"IHDR", struct.pack(">II", width, height) + depth_and_kind + bytes(3))
    every = [head, *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in every)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def black(width: int, height: int) -> bytes:
    """A whole PNG of few bytes and many pixels."""
    return png(width, height, data=bytes((3 * width + 1) * height))


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
