"""Files that go out while they are written, read again by libsndfile and by FFmpeg."""

import io
from collections.abc import Sequence

import av
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # ships no types

from trunkline.audio import encoding, wav
from trunkline.audio.encoding import Format, open_encoder
from trunkline.audio.pcm import Samples, from_bytes, to_bytes
from trunkline.proto.audio import SPEECH_RATE_HZ as RATE_HZ

FILES: Sequence[Format] = ("wav", "flac", "mp3", "opus")
ENCODER_EDGE_SAMPLES = 3 * 1152  # that MP3 and Opus add at their ends, at most
PIECE_SAMPLES = RATE_HZ // 5


def melody(seconds: float) -> Samples:
    """Another tone every tenth of a second, so that whatever is lost or repeated shows."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones_hz = 300 + 100 * (np.floor(t * 10) % 7)
    return (9000 * np.sin(2 * np.pi * tones_hz * t)).astype(np.int16)


def pieces_of(form: Format, samples: Samples) -> list[bytes]:
    encoder = open_encoder(form, RATE_HZ)
    parts = [samples[at : at + PIECE_SAMPLES] for at in range(0, len(samples), PIECE_SAMPLES)]
    return [*(encoder.feed(to_bytes(part)) for part in parts), encoder.finish()]


def by_ffmpeg(data: bytes) -> Samples:
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        frames = [one for frame in container.decode(audio=0) for one in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


def by_libsndfile(data: bytes) -> Samples:
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate_hz == RATE_HZ
    return np.asarray(samples, dtype=np.int16)


def likeness(meant: Samples, heard: Samples) -> float:
    """1.0 for the same sound, whatever the encoder put before and after it."""
    assert len(meant) - 1 <= len(heard) <= len(meant) + ENCODER_EDGE_SAMPLES
    product = np.fft.irfft(np.fft.rfft(heard, 2**20) * np.conj(np.fft.rfft(meant, 2**20)))
    return float(product.max() / (np.linalg.norm(meant.astype(float)) * np.linalg.norm(heard.astype(float))))


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("read", [by_ffmpeg, by_libsndfile])
@pytest.mark.parametrize("seconds", [0.05, 4.03])
def test_the_pieces_together_are_a_file_that_players_read(form: Format, read: object, seconds: float) -> None:
    samples = melody(seconds)

    data = b"".join(pieces_of(form, samples))

    assert callable(read)
    heard = read(data)
    assert likeness(samples, heard) > (0.9999 if form in ("wav", "flac") else 0.97)


@pytest.mark.parametrize("form", ["wav", "mp3", "opus"])
def test_every_piece_but_the_first_gives_bytes_at_once(form: Format) -> None:
    pieces = pieces_of(form, melody(4.0))

    assert [len(piece) for piece in pieces[1:-1] if not piece] == []


@pytest.mark.parametrize("form", ["wav", "mp3", "opus"])
def test_what_has_gone_out_is_enough_to_hear_it(form: Format) -> None:
    samples = melody(30.0)
    pieces = pieces_of(form, samples)

    half = by_ffmpeg(b"".join(pieces[: len(pieces) // 2]))

    assert len(half) > 0.4 * len(samples)


def test_a_short_flac_file_says_how_long_it_is() -> None:
    assert soundfile.info(io.BytesIO(b"".join(pieces_of("flac", melody(4.0))))).frames == 4 * RATE_HZ


def test_a_long_flac_file_goes_out_before_its_end_and_says_that_its_length_is_unknown() -> None:
    rng = np.random.default_rng(5)
    samples = rng.integers(-9000, 9000, 12 * RATE_HZ, dtype=np.int16)

    pieces = pieces_of("flac", samples)

    assert sum(len(piece) for piece in pieces[: len(pieces) // 2]) > encoding.FLAC_HELD_BYTES
    total = int.from_bytes(b"".join(pieces)[18:26], "big") & 0xF_FFFF_FFFF  # STREAMINFO; RFC 9639, 8.2
    assert total == 0
    assert by_ffmpeg(b"".join(pieces)).tolist() == samples.tolist()


def test_pcm_is_nothing_but_its_samples() -> None:
    samples = melody(1.03)

    assert from_bytes(b"".join(pieces_of("pcm", samples))).tolist() == samples.tolist()


def test_our_own_reader_takes_a_wav_file_without_a_length() -> None:
    samples = melody(1.03)

    clip = wav.read_bytes(b"".join(pieces_of("wav", samples)), "file")

    assert (clip.rate_hz, clip.samples.tolist()) == (RATE_HZ, samples.tolist())


@pytest.mark.parametrize("form", FILES)
def test_a_file_without_a_sound_is_a_file(form: Format) -> None:
    assert len(by_libsndfile(b"".join(pieces_of(form, melody(0.0))))) <= ENCODER_EDGE_SAMPLES


def test_mp3_has_a_constant_rate_so_that_players_know_its_length() -> None:
    seconds = 20.0

    with av.open(io.BytesIO(b"".join(pieces_of("mp3", melody(seconds))))) as container:
        assert container.duration is not None
        assert abs(container.duration / 1e6 - seconds) < 0.3
        assert container.bit_rate == pytest.approx(64_000, rel=0.02)
