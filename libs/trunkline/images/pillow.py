"""What holds wherever strangers' pictures are decoded: what is taken in at one place must be readable at the other."""

import warnings

from PIL import _imaging

PIXELS_LIMIT = 50_000_000  # of a picture that is decoded: up to 500 MB at its worst, of a PNG that shines through
ON_ITS_SIDE = frozenset({5, 6, 7, 8})  # EXIF orientations: a quarter turn, so width and height change places
BLOCK_BYTES = 64 * 1024 * 1024  # blocks of that size go back to the system, smaller ones stay with the process


def tame() -> None:
    """What Pillow is told before it decodes the first; once is enough. Without it a process keeps the memory of the
    largest pictures, and each odd tag in a picture is a line in its log."""
    _imaging.set_block_size(BLOCK_BYTES)
    warnings.filterwarnings("ignore", module=r"PIL\.")
