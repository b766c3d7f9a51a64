"""Where pictures stand in a message whose words were replaced: redacted, rewritten, or cut. Pure.

Each stays behind the words that it stood behind, as far as those are left, and never outside the text.
"""

import msgspec

from trunkline.proto.image import ShownImage


def moved(images: tuple[ShownImage, ...], before: str, after: str) -> tuple[ShownImage, ...]:
    """images: of a message that had the words `before`, and has `after` instead."""
    if not images or before == after:
        return images
    head = _shared(before, after)
    tail = _shared(before[head:][::-1], after[head:][::-1])
    changed_to = len(after) - tail

    def place(at: int) -> int:
        if at <= head:
            return max(0, at)
        return min(max(changed_to, at + len(after) - len(before)), len(after))

    return tuple(msgspec.structs.replace(image, at=place(image.at)) for image in images)


def _shared(one: str, other: str) -> int:
    """Characters with which both begin."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
