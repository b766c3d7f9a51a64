"""A text and the pictures that stand in it, as parts in their order. Pure."""

from collections.abc import Sequence

from trunkline.agent.models.pictures import Picture, Shown
from trunkline.proto.image import ShownImage


def parts_of(text: str, images: Sequence[ShownImage], shown: Shown) -> list[str | Picture]:
    """Each picture, or the words for it, at its place; no part is empty."""
    parts: list[str | Picture] = []
    begin = 0
    for image in sorted(images, key=lambda image: image.at):
        end = max(begin, min(image.at, len(text)))  # policy may have shortened the text
        parts += [text[begin:end], shown[image]]
        begin = end
    return [part for part in (*parts, text[begin:]) if part]
