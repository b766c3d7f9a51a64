"""A process that decodes strangers' pictures: no memory stays with it, and no word of them."""

import struct
import warnings

from PIL import _imaging

from support.pictures import png
from trunkline.agent.models.pictures import Pictures
from trunkline.gateway.picture_checks import PictureChecks, Seen, look
from trunkline.images.detail import within_square
from trunkline.images.pillow import BLOCK_BYTES, tame
from trunkline.images.scaling import scale

TAGS = 50


def with_odd_tags() -> bytes:
    """Each says that it has more than there is."""
    tags = b"".join(struct.pack("<HHII", 1_000 + tag, 7, 1_000_000, 8) for tag in range(TAGS))
    return png(1, 1, (b"eXIf", b"II*\0" + struct.pack("<IH", 8, TAGS) + tags))


def test_whoever_decodes_gives_large_blocks_back_to_the_system() -> None:
    for decoder in (lambda: PictureChecks(1_000), lambda: Pictures(None)):
        _imaging.set_block_size(16 * 1024 * 1024)
        decoder()

        assert _imaging.get_block_size() == BLOCK_BYTES


def test_what_is_odd_in_a_picture_is_no_line_of_the_log() -> None:
    for decode in (look, lambda data: scale(data, lambda size: within_square(size, 512))):
        with warnings.catch_warnings(record=True) as told:
            decode(with_odd_tags())
        assert len(told) > TAGS // 2
        with warnings.catch_warnings(record=True) as told:
            tame()
            decode(with_odd_tags())
            assert look(with_odd_tags()) == Seen("image/png", 1, 1)

        assert told == []
