"""Scaling for models: sizes, formats and colours as they were meant, and bytes that are no picture."""

import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from images.pictures import drawn, encoded, opened, srgb
from trunkline.images import scaling
from trunkline.images.detail import Rule, Size, within_square
from trunkline.images.scaling import Scaled, Unreadable, scale

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def half(size: Size) -> Size:
    return Size(size.width // 2, size.height // 2)


def as_it_is(size: Size) -> Size:
    return size


def pixel(scaled: Scaled, x: float, y: float) -> tuple[int, ...]:
    """At a share of its sides, to the next 32 of each colour."""
    picture = opened(scaled.data).convert("RGB")
    found = picture.getpixel((int(x * picture.width), int(y * picture.height)))
    assert isinstance(found, tuple)
    return tuple(min(255, round(value / 32) * 32) for value in found)


@pytest.mark.parametrize(
    ("format", "media_type"),
    [("PNG", "image/png"), ("GIF", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/jpeg")],
)
def test_a_picture_is_scaled_and_keeps_its_colours(format: str, media_type: str) -> None:
    scaled = scale(encoded(drawn(200, 100), format), half)

    assert (scaled.media_type, scaled.size, opened(scaled.data).size) == (media_type, (100, 50), (100, 50))
    assert (pixel(scaled, 0.1, 0.1), pixel(scaled, 0.9, 0.9)) == (RED, BLUE)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_what_fits_goes_as_it_is(format: str) -> None:
    data = encoded(drawn(64, 32), format)

    assert scale(data, as_it_is) == Scaled(data, f"image/{format.lower()}", Size(64, 32))


XMP = b"<x:xmpmeta><exif:GPSLatitude>52,31N</exif:GPSLatitude></x:xmpmeta>"


def with_words(format: str) -> bytes:
    words = PngInfo()
    words.add_text("XML:com.adobe.xmp", XMP)
    beside = {"PNG": {"pnginfo": words}, "JPEG": {"xmp": XMP}}[format]
    written = io.BytesIO()
    drawn(64, 32).save(written, format, **beside)  # type: ignore[arg-type]  # as each format has it
    return written.getvalue()


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_words_and_films_beside_a_picture_stay_here(format: str) -> None:
    for data in (with_words(format), encoded(drawn(64, 32), format) + XMP):
        assert b"GPSLatitude" in data
        scaled = scale(data, as_it_is)
        assert scaled.size == (64, 32)
        assert b"GPSLatitude" not in scaled.data


@pytest.mark.parametrize(
    ("orientation", "size", "red", "blue"),
    [
        (2, (200, 100), (0.9, 0.1), (0.1, 0.9)),
        (3, (200, 100), (0.9, 0.9), (0.1, 0.1)),
        (4, (200, 100), (0.1, 0.9), (0.9, 0.1)),
        (5, (100, 200), (0.1, 0.1), (0.9, 0.9)),
        (6, (100, 200), (0.9, 0.1), (0.1, 0.9)),
        (7, (100, 200), (0.9, 0.9), (0.1, 0.1)),
        (8, (100, 200), (0.1, 0.9), (0.9, 0.1)),
    ],
)
@pytest.mark.parametrize("side", [1000, 100])
def test_a_photograph_stands_upright(
    orientation: int, size: tuple[int, int], red: tuple[float, float], blue: tuple[float, float], side: int
) -> None:
    data = encoded(drawn(200, 100), "JPEG", orientation=orientation)

    scaled = scale(data, lambda upright: within_square(upright, side))

    assert scaled.size == within_square(Size(*size), side) == opened(scaled.data).size
    assert (pixel(scaled, *red), pixel(scaled, *blue)) == (RED, BLUE)
    assert not opened(scaled.data).getexif()


def test_where_a_photograph_was_taken_is_not_told() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    written = io.BytesIO()
    drawn(20, 10).save(written, "JPEG", exif=exif)
    assert opened(written.getvalue()).getexif()

    scaled = scale(written.getvalue(), as_it_is)

    assert not opened(scaled.data).getexif()


def test_what_shines_through_stays_so() -> None:
    scaled = scale(encoded(drawn(80, 40, "RGBA"), "WEBP"), half)

    picture = opened(scaled.data)
    assert (scaled.media_type, picture.mode) == ("image/png", "RGBA")
    assert picture.getchannel("A").getextrema() == (0, 255)


def test_a_lossless_picture_that_is_large_goes_as_a_photograph_on_white(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "LOSSLESS_LIMIT_BYTES", 50)

    scaled = scale(encoded(drawn(80, 40, "RGBA")), as_it_is)

    assert scaled.media_type == "image/jpeg"
    assert (pixel(scaled, 0.1, 0.1), pixel(scaled, 0.9, 0.9)) == (RED, WHITE)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_a_colour_profile_is_applied_and_not_sent_on(mode: str) -> None:
    data = encoded(drawn(80, 40, mode), "JPEG", profile=srgb())

    scaled = scale(data, as_it_is)

    assert opened(scaled.data).mode == ("L" if mode == "L" else "RGB")
    assert "icc_profile" not in opened(scaled.data).info


def test_sixteen_bits_of_grey_become_eight() -> None:
    grey = Image.new("I;16", (40, 20), 128 * 256)

    scaled = scale(encoded(grey), half)

    assert opened(scaled.data).getpixel((5, 5)) == 128


def test_a_palette_is_resolved() -> None:
    scaled = scale(encoded(drawn(80, 40).convert("P")), half)

    assert (pixel(scaled, 0.1, 0.1), pixel(scaled, 0.9, 0.9)) == (RED, BLUE)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("target", [as_it_is, half])
def test_bytes_that_are_cut_off_are_no_picture(format: str, target: Rule) -> None:
    data = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), format)

    for end in (0, 3, 20, len(data) // 2):
        with pytest.raises(Unreadable):
            scale(data[:end], target)


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"<svg/>", b"\x00" * 1000, encoded(drawn(8, 8), "BMP")])
def test_what_is_no_picture_of_these_formats_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        scale(data, as_it_is)


@pytest.mark.parametrize("limit", [199, 20])
def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    data = encoded(drawn(20, 10), "GIF")
    monkeypatch.setattr(scaling, "PIXELS_LIMIT", limit)
    monkeypatch.setattr(Image.Image, "load", None)

    with pytest.raises(Unreadable, match=f"more than {limit} pixels"):
        scale(data, half)
