"""A picture's bytes, scaled for a model: upright, in sRGB, without what a camera wrote beside it. Blocks: on a thread.

Nothing is decoded before its pixels are counted.
"""

import io
from typing import NamedTuple

from PIL import Image, ImageCms

from trunkline.images.detail import Rule, Size
from trunkline.images.pillow import ON_ITS_SIDE, PIXELS_LIMIT

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
LOSSLESS_LIMIT_BYTES = 3 * 1024 * 1024  # of a PNG; a larger one is a photograph, and goes as JPEG
JPEG_QUALITY = 88  # text stays sharp, at an eighth of the lossless size
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {  # by its value
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}  # of what may go as it is, by format
_ABOUT_PIXELS = {"dpi", "gamma", "srgb", "chromaticity", "aspect", "interlace", "transparency"} | {
    *("jfif", "jfif_version", "jfif_unit", "jfif_density"),
    *("adobe", "adobe_transform", "progressive", "progression"),
}  # of what Pillow tells of a picture
_SRGB = ImageCms.createProfile("sRGB")


class Unreadable(Exception):
    """Its message is a sentence's end: "is cut off"."""


class Scaled(NamedTuple):
    """media_type: "image/png" or "image/jpeg"."""

    data: bytes
    media_type: str
    size: Size


def scale(data: bytes, target: Rule) -> Scaled:
    """target: from its upright size to the one it shall have. The first frame alone of one that moves.

    A PNG or a GIF stays lossless unless that is large; what is kept as it is stays byte for byte. Raises Unreadable.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > PIXELS_LIMIT:
                raise Unreadable(f"has more than {PIXELS_LIMIT} pixels")
            return _scaled(image, data, target)
    except Image.DecompressionBombError:
        raise Unreadable(f"has more than {PIXELS_LIMIT} pixels") from None
    except Unreadable:
        raise
    except Exception as error:  # decoders raise all kinds of errors on a stranger's bytes
        raise Unreadable(f"can't be decoded: {error}"[:200]) from None


def _scaled(image: Image.Image, data: bytes, target: Rule) -> Scaled:
    exif, profile = image.getexif(), image.info.get("icc_profile")
    orientation = exif.get(_ORIENTATION, 1)
    turns = orientation in ON_ITS_SIDE
    upright = Size(*(image.size[::-1] if turns else image.size))
    wanted = target(upright)
    if wanted == upright and image.format in _ENDS and not exif and not profile and _is_small(data):
        image.load()  # the proof that it can be decoded
        if _is_bare(image, data):
            return Scaled(data, f"image/{image.format.lower()}", upright)
    share = wanted.width * wanted.height / (upright.width * upright.height)  # of its bytes, at least
    is_photograph = len(data) * share > LOSSLESS_LIMIT_BYTES
    stored = (wanted.height, wanted.width) if turns else (wanted.width, wanted.height)
    image.draft(image.mode, stored)  # a JPEG is decoded no larger than it takes
    picture = _plain(image)
    if picture.size != stored:
        picture = picture.resize(stored, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if profile:
        picture = _in_srgb(picture, profile)
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    lossless = (image.format in ("PNG", "GIF") or picture.mode == "RGBA") and not is_photograph
    return Scaled(*_encoded(picture, lossless=lossless), wanted)


def _is_bare(image: Image.Image, data: bytes) -> bool:
    """Whether there is nothing beside its pixels: no words, no place, no film behind it."""
    return _ABOUT_PIXELS.issuperset(map(str, image.info)) and data.endswith(_ENDS[image.format or ""])


def _is_small(data: bytes) -> bool:
    return len(data) <= LOSSLESS_LIMIT_BYTES


def _plain(image: Image.Image) -> Image.Image:
    """In grey, in RGB or CMYK, or in RGBA where something shines through. No copy where it is so already."""
    if image.mode.startswith("I"):  # 16 bits of grey
        return image.point(lambda value: value * (1 / 256)).convert("L")
    mode = "RGBA" if image.has_transparency_data else {"1": "L", "L": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    return image if image.mode == mode else image.convert(mode)


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Its colours as they were meant; as they are, where the profile is of no use."""
    mode = "RGB" if picture.mode == "CMYK" else picture.mode
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(picture, source, _SRGB, outputMode=mode) or picture
    except (ImageCms.PyCMSError, OSError):
        return picture


def _encoded(picture: Image.Image, *, lossless: bool) -> tuple[bytes, str]:
    if lossless:
        png = io.BytesIO()
        picture.convert("RGB" if picture.mode == "CMYK" else picture.mode).save(png, "PNG", compress_level=4)
        if _is_small(png.getvalue()):
            return png.getvalue(), "image/png"
    jpeg = io.BytesIO()
    _on_white(picture).save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return jpeg.getvalue(), "image/jpeg"


def _on_white(picture: Image.Image) -> Image.Image:
    """JPEG knows nothing that shines through."""
    if picture.mode != "RGBA":
        return picture if picture.mode == "L" else picture.convert("RGB")
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white
