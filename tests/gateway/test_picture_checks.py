"""A picture is what its bytes say, whole, still and of bounded size; whatever else is given is refused by name."""

import asyncio
import struct
import threading
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pictures import animated, black, picture, png
from trunkline.gateway.picture_checks import MOST_PIXELS_WEBP, PictureChecks, Seen, look
from trunkline.gateway.picture_header import MOST_SCANS, Header, Refusal, read_header
from trunkline.images.pillow import PIXELS_LIMIT

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
BOMB = zlib.compress(bytes(50_000_000))
KINDS: dict[str, bytes] = {
    **{format: picture(format) for format in FORMATS},
    "progressive JPEG": picture("JPEG", progressive=True),
    "grey JPEG": picture("JPEG", mode="L"),
    "CMYK JPEG": picture("JPEG", mode="CMYK"),
    "lossless WEBP": picture("WEBP", lossless=True),
    "interlaced GIF": picture("GIF", interlace=1),
    "transparent PNG": picture("PNG", mode="RGBA"),
    "PNG with a palette": picture("PNG", mode="P"),
}


def refused(data: bytes) -> str:
    """The code."""
    found = look(data)
    assert isinstance(found, Refusal), found
    assert found.problem
    return found.code


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_is_known_by_its_bytes(kind: str) -> None:
    media_type = next(FORMATS[word] for word in kind.split() if word in FORMATS)

    assert look(KINDS[kind]) == Seen(media_type, 40, 30)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))])
def test_sizes_are_of_the_picture_as_it_is_looked_at(format: str, orientation: int, size: tuple[int, int]) -> None:
    assert look(picture(format, orientation=orientation)) == Seen(FORMATS[format], *size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_picture_that_is_cut_is_refused(kind: str, share: float) -> None:
    data = KINDS[kind]

    assert refused(data[: int(len(data) * share)]) == "image_parse_error"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_what_moves_is_refused(format: str) -> None:
    found = look(animated(format))

    assert isinstance(found, Refusal)
    assert (found.problem, found.code) == ("is animated", "invalid_image_format")


def gif(width: int, height: int, left: int = 0) -> bytes:
    """A screen of 1x1, on which a picture of that size stands."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
    return screen + b"," + struct.pack("<HHHHB", left, 0, width, height, 0) + b"\x02\x01\x00\x00;"


BOMBS: dict[str, bytes] = {
    "a PNG that says it is large": png(60_000, 60_000),
    "a whole PNG of few bytes": black(8_000, 8_000),
    "a JPEG": b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xda\x00\x02",
    "a GIF that is larger than its screen": gif(60_000, 60_000),
    "a GIF that stands out of its screen": gif(2_000, 30_000, left=63_000),
    "a WebP": b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0" + bytes(8),
    "a lossless WebP": b"RIFF\x20\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f" + bytes(12),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(what: str) -> None:
    tracemalloc.start()
    found = look(BOMBS[what])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(found, Refusal)
    assert found.code == "image_too_large"
    assert found.allowed in (f"up to {PIXELS_LIMIT} pixels", f"up to {MOST_PIXELS_WEBP} pixels")
    assert peak_bytes < 1_000_000


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_what_swells_beside_the_pixels_is_refused(kind: bytes) -> None:
    body = b"a\0\x01\0\0\0" + BOMB if kind == b"iTXt" else b"a\0\0" + BOMB

    assert refused(png(1, 1, (kind, body))) == "image_parse_error"


def of_scans(extra: int) -> bytes:
    """A progressive JPEG whose last scan comes that many times more: a few bytes each, and all pixels to go over."""
    whole = picture("JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * extra + whole[-2:]


def test_a_jpeg_that_is_gone_over_again_and_again_is_refused_before_it_is_decoded() -> None:
    found = look(of_scans(2 * MOST_SCANS))

    assert isinstance(found, Refusal)
    assert (found.problem, found.code) == (f"has more than {MOST_SCANS} scans", "image_parse_error")
    assert look(of_scans(MOST_SCANS // 2)) == Seen("image/jpeg", 40, 30)


ODD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty_image_file"),
    "a text": (b"hello", "invalid_image_format"),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "invalid_image_format"),
    "a page": (b"<!doctype html><script>1</script>", "invalid_image_format"),
    "a BMP": (picture("BMP"), "invalid_image_format"),
    "a TIFF": (picture("TIFF"), "invalid_image_format"),
    "no pixels": (png(0, 5), "image_parse_error"),
    "a PNG without pixels": (png(40, 30, data=b""), "image_parse_error"),
    "a palette PNG without a palette": (
        png(40, 30, depth_and_kind=b"\x08\x03", data=bytes(41 * 30)),
        "image_parse_error",
    ),
    "a JPEG without a size": (b"\xff\xd8\xff\xda\x00\x02", "image_parse_error"),
    "a JPEG of fill bytes": (b"\xff\xd8" + b"\xff" * 1_000_000, "image_parse_error"),
    "a GIF of nothing but blocks": (gif(1, 1)[:13] + b"!\xfe" + b"\x01a" * 500_000, "image_parse_error"),
    "a WebP of rubbish": (b"RIFF\x20\0\0\0WEBPVP8 " + bytes(20), "image_parse_error"),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_no_picture_is_refused(what: str) -> None:
    data, code = ODD[what]

    assert refused(data) == code


def test_a_size_hidden_behind_a_marker_without_length_is_not_believed() -> None:
    hidden = b"\xff\xd8\xff\x01" + picture("JPEG")[2:]

    assert refused(hidden) == "image_parse_error"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_rubbish_never_does_more_than_be_refused(kind: str, data: st.DataObject) -> None:
    changed = bytearray(KINDS[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    header = read_header(bytes(changed))

    assert isinstance(header, Header | Refusal)
    assert isinstance(look(bytes(changed)), Seen | Refusal)


def test_more_bytes_than_are_taken_are_refused_unseen() -> None:
    checks = PictureChecks(limit_bytes=100)
    found = asyncio.run(checks.look(picture()))

    assert isinstance(found, Refusal)
    assert (found.code, found.allowed) == ("image_file_too_large", "up to 100 bytes")


def test_one_is_decoded_at_a_time_also_if_its_client_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most = 0, 0
    begun, may_end = threading.Event(), threading.Event()

    def slow(data: bytes) -> Seen:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        begun.set()
        may_end.wait(5.0)
        at_once -= 1
        return Seen("image/png", 1, 1)

    async def main() -> None:
        checks = PictureChecks(limit_bytes=1_000_000)
        gone = asyncio.create_task(checks.look(b"x"))
        await asyncio.to_thread(begun.wait)
        gone.cancel()
        others = [asyncio.create_task(checks.look(b"x")) for _ in range(3)]
        await asyncio.wait(others, timeout=0.1)
        may_end.set()
        await asyncio.gather(*others)

    monkeypatch.setattr("trunkline.gateway.picture_checks.look", slow)
    asyncio.run(main())

    assert most == 1
