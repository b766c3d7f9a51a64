"""Pictures for tests: drawn, and encoded as people's programs and phones do."""

import io

from PIL import Image, ImageCms

from trunkline.proto.image import Detail, ShownImage
from trunkline.record.files import FileFacts


def drawn(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Red in its left upper quarter, blue elsewhere; in grey, light and dark."""
    light, dark = {"L": (200, 40), "RGBA": ((255, 0, 0, 255), (0, 0, 255, 0))}.get(mode, ("red", "blue"))
    picture = Image.new(mode, (width, height), dark)  # type: ignore[arg-type]  # as its mode wants it
    picture.paste(light, (0, 0, max(1, width // 2), max(1, height // 2)))  # type: ignore[arg-type]
    return picture


def encoded(picture: Image.Image, format: str = "PNG", *, orientation: int = 0, profile: bytes = b"") -> bytes:
    """orientation: EXIF's, 0 for none. profile: ICC's."""
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    written = io.BytesIO()
    picture.save(
        written, format, **({"exif": exif} if orientation else {}), **({"icc_profile": profile} if profile else {})
    )
    return written.getvalue()


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def shown(
    file: str, width: int, height: int, detail: Detail = "auto", *, at: int = 0, media_type: str = "image/png"
) -> ShownImage:
    return ShownImage(file, at, detail, media_type, width, height, 1000)


def facts_of(image: ShownImage, data: bytes) -> FileFacts:
    return FileFacts(image.file, "picture", "vision", image.media_type, len(data), 1, 0, image.width, image.height)
