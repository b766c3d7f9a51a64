"""A client of ours hears now and then how much of its audio it needn't keep."""

from trunkline.gateway.dialects.realtime.settled import LOOK_BYTES, SETTLED_S, SettledAudio
from trunkline.proto.audio import CALLER_RATE_HZ

FRAME_BYTES = 960


def test_it_is_told_only_news_and_not_too_often() -> None:
    now_s, settled_to = 100.0, 0
    settled = SettledAudio(lambda: settled_to, lambda: now_s)
    told = [settled.news_ms(LOOK_BYTES)]
    settled_to = CALLER_RATE_HZ
    told += [settled.news_ms(LOOK_BYTES)]
    settled_to = 2 * CALLER_RATE_HZ
    told += [settled.news_ms(LOOK_BYTES)]
    now_s += SETTLED_S
    told += [settled.news_ms(LOOK_BYTES)]
    now_s += SETTLED_S
    told += [settled.news_ms(LOOK_BYTES)]

    assert told == [0, 1_000, 0, 2_000, 0]


def test_it_is_looked_at_once_in_many_frames() -> None:
    looks = 0

    def settled_to() -> int:
        nonlocal looks
        looks += 1
        return CALLER_RATE_HZ

    settled = SettledAudio(settled_to, lambda: 100.0)
    told = [settled.news_ms(FRAME_BYTES) for _ in range(2 * LOOK_BYTES // FRAME_BYTES)]

    assert sum(told) == 1_000
    assert looks == 1
