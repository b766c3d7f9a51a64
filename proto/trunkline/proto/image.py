"""A picture in a message: where its bytes are kept, and how closely it is to be looked at. No bytes travel here."""

from typing import Literal

import msgspec

Detail = Literal["auto", "low", "high", "original"]
"""How closely a model looks: what each means in pixels is the model's (`trunkline.images`)."""


class ShownImage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """file: its id in the file store. at: characters of the message's text that stand before it.

    media_type: "image/png", "image/jpeg", "image/webp" or "image/gif". width, height: pixels, upright. size: bytes.
    """

    file: str
    at: int
    detail: Detail
    media_type: str
    width: int
    height: int
    size: int
