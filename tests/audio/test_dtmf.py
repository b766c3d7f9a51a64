import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.audio import dtmf, pcm
from trunkline.audio.resample import resample

DIGITS = st.text(alphabet=dtmf.DIGITS, max_size=8)


@given(DIGITS, st.sampled_from([8_000, 16_000, 24_000]), st.integers(0, 2_000))
def test_what_is_keyed_is_read_at_any_rate_and_place(digits: str, rate_hz: int, before: int) -> None:
    keyed = np.concatenate([np.zeros(before, dtype=np.int16), dtmf.tones(digits, rate_hz)])
    heard = resample(keyed, rate_hz, 16_000)

    assert dtmf.read(pcm.to_float(heard), 16_000) == digits


@pytest.mark.parametrize("freq_hz", [300, 697, 1000])
def test_another_sound_is_no_digit(freq_hz: int) -> None:
    at_s = np.arange(16_000) / 16_000

    assert dtmf.read((0.5 * np.sin(2 * np.pi * freq_hz * at_s)).astype(np.float32), 16_000) == ""
    assert dtmf.read(np.random.default_rng(1).normal(0, 0.2, 16_000).astype(np.float32), 16_000) == ""
    assert dtmf.read(np.zeros(16_000, dtype=np.float32), 16_000) == ""


def test_a_lost_piece_changes_what_is_read() -> None:
    keyed = pcm.to_float(dtmf.tones("471290", 16_000))
    digit = len(keyed) // 6

    assert dtmf.read(np.concatenate([keyed[: 2 * digit], keyed[3 * digit :]]), 16_000) == "47290"
    assert dtmf.read(np.concatenate([keyed, keyed[-2 * digit :]]), 16_000) == "47129090"


def test_what_is_no_digit_cannot_be_keyed() -> None:
    with pytest.raises(ValueError):
        dtmf.tones("1x", 16_000)
