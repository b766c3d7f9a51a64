"""What Pillow is told in a process that decodes strangers' pictures, before it decodes the first."""

import warnings

from PIL import _imaging

BLOCK_BYTES = 64 * 1024 * 1024  # blocks of that size go back to the system, smaller ones stay with the process


def tame() -> None:
    """Once is enough. Without it a process keeps the memory of the largest pictures, and each odd tag in a picture is a
    line in its log."""
    _imaging.set_block_size(BLOCK_BYTES)
    warnings.filterwarnings("ignore", module=r"PIL\.")
