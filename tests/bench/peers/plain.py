"""What a peer's server and its callers say to each other: the `plain` dialect, spoken over one WebSocket per call.

A server's text READY comes first, once it takes audio. Binary messages are audio both ways: 16-bit little-endian mono
samples at RATE_HZ. A caller's text COMMIT right behind a burst's last frame ends its turn; a server's text DONE follows
the last audio of a reply. This file is read by the servers' own environments, so it imports nothing.
"""

RATE_HZ = 16000
READY = "ready"
COMMIT = "commit"
DONE = "done"

SAMPLE_BYTES = 2
REPLY_MS = 2000
REPLY_TEXT = "Here you are."
HEARD_TEXT = "Where is my order?"

_TONE_HZ = 400
_TONE_PERIOD_SAMPLES = RATE_HZ // _TONE_HZ


def tone() -> bytes:
    """A reply: REPLY_MS of a triangle wave, never silent for a whole frame."""
    half = _TONE_PERIOD_SAMPLES // 2
    period = [8000 * (min(at, _TONE_PERIOD_SAMPLES - at) * 2 - half) // half for at in range(_TONE_PERIOD_SAMPLES)]
    wave = b"".join(value.to_bytes(SAMPLE_BYTES, "little", signed=True) for value in period)
    return wave * (RATE_HZ * REPLY_MS // 1000 // _TONE_PERIOD_SAMPLES)
