"""What a picture's header says of it. Nothing is decoded; the bytes come from strangers, so every walk is bounded.

Formats: PNG (W3C, third edition), JPEG (ITU T.81, annex B), GIF89a, WebP (RFC 9649).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

MOST_BLOCKS = 300_000  # of one file: a GIF of 20 MB in whole blocks has a quarter of that
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
GIF = (b"GIF87a", b"GIF89a")
FORMATS = "PNG, JPEG, WebP or GIF that isn't animated"
_SOS, _EOI = 0xDA, 0xD9
MOST_SCANS = 100  # of one JPEG: each goes over all of its pixels, however few bytes it has; encoders write about ten
_SCAN_ENDS = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # at a marker; others are of the scan
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_ALONE = (0x00, 0x01, *range(0xD0, 0xDA))  # no length follows: read otherwise, they could hide another size
_NOT_SIZES = (0xC4, 0xC8, 0xCC)  # of the markers 0xC0 to 0xCF, which else tell of a frame


class Header(NamedTuple):
    """width, height: pixels as they are stored."""

    media_type: str
    width: int
    height: int
    animated: bool = False


class Refusal(NamedTuple):
    """What BadInput is made of, once it is known what the client called it."""

    problem: str
    allowed: str
    code: str


class _Torn(Exception):
    pass


def read_header(data: bytes) -> Header | Refusal:
    try:
        if data.startswith(PNG):
            return _png(data)
        if data.startswith(JPEG):
            return _jpeg(data)
        if data.startswith(GIF):
            return _gif(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (_Torn, IndexError):
        return Refusal("ends early, or is no valid picture", "a whole picture", "image_parse_error")
    if not data:
        return Refusal("is empty", FORMATS, "empty_image_file")
    return Refusal("is no picture in a format that is read", FORMATS, "invalid_image_format")


def _steps() -> Iterator[int]:
    yield from range(MOST_BLOCKS)
    raise _Torn


def _png(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise _Torn
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    at, animated = len(PNG), False
    for _ in _steps():
        kind = data[at + 4 : at + 8]
        animated = animated or kind == b"acTL"
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if len(kind) < 4 or at > len(data):
            raise _Torn
        if kind == b"IEND":
            break
    return Header("image/png", width, height, animated)


def _jpeg(data: bytes) -> Header | Refusal:
    """All the way to the last scan: what stands before it is walked again by whoever decodes."""
    at, width, height, scans = 2, 0, 0, 0
    all_at_once = 0  # components, where one scan may have them all; 0 where there are always several
    for _ in _steps():
        if data[at] != 0xFF:
            raise _Torn
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _EOI and scans:
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or marker in _ALONE:
            raise _Torn
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_SIZES:
            height, width = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (5, 7))
            all_at_once = 0 if marker in _PROGRESSIVE else data[at + 9]
        components = int.from_bytes(data[at + 4 : at + 5])  # of a scan
        at += 2 + length
        if marker == _SOS:
            scans += 1
            end = None if components == all_at_once else _SCAN_ENDS.search(data, at)
            if end is None:
                break
            at = end.start()
        if scans > MOST_SCANS:
            return Refusal(f"has more than {MOST_SCANS} scans", f"up to {MOST_SCANS} scans", "image_parse_error")
    return Header("image/jpeg", width, height)


def _gif(data: bytes) -> Header:
    """A picture may stand out of the screen, which grows then."""
    width, height = (int.from_bytes(data[i : i + 2], "little") for i in (6, 8))
    at = 13 + _palette_bytes(data[10])
    pictures = 0
    steps = _steps()
    while at < len(data) and data[at] != 0x3B and pictures < 2:
        next(steps)
        if data[at] == 0x21:
            at = _behind_blocks(data, at + 2, steps)
        elif data[at] == 0x2C:
            pictures += 1
            left, top, wide, high = (int.from_bytes(data[at + i : at + i + 2], "little") for i in (1, 3, 5, 7))
            width, height = max(width, left + wide), max(height, top + high)
            at = _behind_blocks(data, at + 11 + _palette_bytes(data[at + 9]), steps)
        else:
            at += 1  # rubbish between blocks, which decoders skip too
    if not pictures:
        raise _Torn
    return Header("image/gif", width, height, pictures > 1)


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind_blocks(data: bytes, at: int, steps: Iterator[int]) -> int:
    while size := data[at]:
        next(steps)
        at += 1 + size
    return at + 1


def _webp(data: bytes) -> Header:
    kind = data[12:16]
    if len(data) < 30:
        raise _Torn
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        return Header("image/webp", width, height, bool(data[20] & 0x02))
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return Header("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (26, 28))
        return Header("image/webp", width, height)
    raise _Torn
