"""The pieces of a line over WebRTC, without a network."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.dialects.webrtc.addresses import Reach, reach_of
from trunkline.gateway.dialects.webrtc.arrivals import AHEAD, GAP_LIMIT, RTP_RATE_HZ, Arrivals, Packet
from trunkline.gateway.dialects.webrtc.ear import AHEAD_S, RtpEar
from trunkline.gateway.dialects.webrtc.mouth import FRAME_BYTES, LIMIT_BYTES, Waiting
from trunkline.gateway.dialects.webrtc.offer import read_offer
from trunkline.gateway.dialects.webrtc.sounding import Sign, Sounding
from trunkline.gateway.dialects.webrtc.wire import ChannelWire
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.errors import BadInput, BadSettings

FRAME = 960
FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
ICE = ["a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuv"]
SESSION = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"]
AUDIO = ["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=sendrecv", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2"]
CHANNEL = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:1", "a=sctp-port:5000"]
SECURE = [*ICE, FINGERPRINT, "a=setup:actpass"]
VIDEO = ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:2", "a=rtpmap:96 VP8/90000"]


def spell(*lines: str) -> bytes:
    return ("\r\n".join(lines) + "\r\n").encode()


# offers


def test_an_offer_s_addresses_are_left_out_and_the_rest_stays() -> None:
    addresses = ["a=candidate:1 1 udp 1 192.0.2.7 9 typ host", "a=candidate:2 1 udp 1 x.local 9 typ host"]
    lines = [*SESSION, *AUDIO, *SECURE, *addresses, "a=end-of-candidates", *CHANNEL, *SECURE]
    offer = read_offer(spell(*lines))

    assert offer.sdp.split("\r\n") == [*SESSION, *AUDIO, *SECURE, *CHANNEL, *SECURE, ""]
    assert (offer.channel, offer.message_bytes) == (True, 65_536)


def test_an_offer_may_say_how_large_its_messages_are_and_may_have_no_channel() -> None:
    large = read_offer(spell(*SESSION, *AUDIO, *SECURE, *CHANNEL, *SECURE, "a=max-message-size:262144"))
    none = read_offer(spell(*SESSION, *SECURE, *AUDIO))

    assert large.message_bytes == 262_144
    assert not none.channel


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is not an SDP"),
        (b"garbage", "is not an SDP"),
        (b"\xff\xfe", "is not text"),
        (spell(*SESSION), "0 audio sections"),
        (spell(*SESSION, *CHANNEL, *SECURE), "0 audio sections"),
        (spell(*SESSION, *AUDIO, *SECURE, *AUDIO, *SECURE), "2 audio sections"),
        (spell(*SESSION, *AUDIO, *SECURE, *VIDEO, *SECURE), "'video', which is not supported"),
        (spell(*SESSION, *AUDIO, *ICE, "a=setup:actpass"), "no fingerprint"),
        (spell(*SESSION, *AUDIO, *ICE, "a=fingerprint:md5 AB", "a=setup:actpass"), "no fingerprint"),
        (spell(*SESSION, *AUDIO, FINGERPRINT, "a=setup:actpass", ICE[0]), "no ice-pwd"),
        (spell(*SESSION, *AUDIO, FINGERPRINT, "a=setup:actpass", ICE[1]), "no ice-ufrag"),
        (spell(*SESSION, *AUDIO, *ICE, FINGERPRINT, "a=setup:holdconn"), "no usable a=setup"),
        (spell(*SESSION, *AUDIO[:-1], *SECURE, "a=rtpmap:111 PCMU/8000"), "no Opus"),
        (spell(*SESSION, *AUDIO[:-1], *SECURE, "a=rtpmap:96 opus/48000/2"), "no Opus"),
        (spell(*SESSION, *AUDIO, *SECURE, "a=inactive"), "no audio towards the caller"),
        (spell(*SESSION, *AUDIO, *SECURE, "a=sendonly"), "no audio towards the caller"),
        (spell(*SESSION[:-1], "a=group:BUNDLE 7 0", *AUDIO, *SECURE), "bad a=group:BUNDLE"),
        (spell(*SESSION, *AUDIO, *SECURE, "a=mid:1"), "name of its own"),
        (spell(*SESSION, *AUDIO, *SECURE, *CHANNEL[:-1], "a=mid:0", *SECURE), "name of its own"),
        (spell(*SESSION, *AUDIO, *SECURE, *CHANNEL, *SECURE, "a=max-message-size:-1"), "max-message-size"),
        (spell(*SESSION, *AUDIO, *SECURE, "a=x:" + "y" * 5_000), "too long"),
        (spell(*SESSION, *AUDIO, *SECURE, *[line for _ in range(9) for line in VIDEO]), "10 media sections"),
    ],
)
def test_an_offer_that_can_t_be_answered_is_refused_with_its_reason(body: bytes, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as caught:
        read_offer(body)

    assert caught.value.param == "sdp"


# addresses


def test_a_gateway_is_told_as_it_is_bound_or_as_its_nat_maps_it() -> None:
    assert reach_of("127.0.0.1", "", "") == Reach(("127.0.0.1",))
    mapped = reach_of("127.0.0.1", "203.0.113.5, 2001:db8::5", "50000-50999")
    assert (mapped.public, mapped.ports) == (("203.0.113.5", "2001:db8::5"), (50_000, 50_999))
    assert mapped.told_for("10.0.0.7") == ("203.0.113.5",)
    assert mapped.told_for("fd00::7") == ("2001:db8::5",)
    assert mapped.told_for("127.0.0.1") == ("127.0.0.1",)


def test_bound_to_all_addresses_it_offers_each_with_loopback_last() -> None:
    hosts = reach_of("0.0.0.0", "", "").hosts

    assert hosts[-1] == "127.0.0.1"
    assert all(":" not in host for host in hosts)


@pytest.mark.parametrize(
    ("host", "public", "ports", "variable"),
    [
        ("nowhere.invalid", "", "", "TRUNKLINE_WEBRTC_HOST"),
        ("127.0.0.1", "my.host", "", "TRUNKLINE_WEBRTC_PUBLIC_IPS"),
        ("127.0.0.1", "", "fifty", "TRUNKLINE_WEBRTC_PORTS"),
        ("127.0.0.1", "", "60000-50000", "TRUNKLINE_WEBRTC_PORTS"),
        ("127.0.0.1", "", "80-90", "TRUNKLINE_WEBRTC_PORTS"),
    ],
)
def test_a_bad_address_is_told_at_start_up(host: str, public: str, ports: str, variable: str) -> None:
    with pytest.raises(BadSettings) as caught:
        reach_of(host, public, ports)

    assert caught.value.param == variable


# a caller's packets


def packet(n: int, *, first: int = 65_530, time: int = 2**32 - 3 * FRAME) -> Packet:
    """The n-th, across the ends of both counters."""
    return Packet((first + n) % 2**16, (time + n * FRAME) % 2**32, b"%d" % n)


def positions(arrivals: Arrivals, came: list[Packet]) -> list[tuple[bytes, int]]:
    """(payload, samples of silence before it) as they go on."""
    told = []
    for one in came:
        for ready in arrivals.push(one):
            told.append((ready.payload, arrivals.gap_before(ready)))
            arrivals.decoded(ready, FRAME)
    return told


@given(st.lists(st.integers(0, 2), min_size=20, max_size=20))
def test_packets_that_change_places_on_the_way_are_in_order_again(delays: list[int]) -> None:
    sent = [packet(n) for n in range(20)]
    due = [0, *(n + delay for n, delay in enumerate(delays) if n)]
    came = [sent[n] for n in sorted(range(20), key=due.__getitem__)]
    told = positions(Arrivals(), came)

    assert told == [(one.payload, 0) for one in sent[: len(told)]]
    assert len(told) > 20 - AHEAD


def test_a_packet_that_never_comes_is_silence_so_that_positions_follow_the_clock() -> None:
    arrivals = Arrivals()
    told = positions(arrivals, [packet(n) for n in range(20) if n not in (5, 6)])

    assert [gap for _, gap in told] == [2 * FRAME if name == b"7" else 0 for name, _ in told]
    assert arrivals.lost == 2


def test_a_packet_that_comes_twice_or_too_late_is_heard_once_or_not_at_all() -> None:
    arrivals = Arrivals()
    told = positions(arrivals, [packet(n) for n in (0, 1, 1, 3, 4, 5, 6, 2, 7)])

    assert [name for name, _ in told] == [b"0", b"1", b"3", b"4", b"5", b"6", b"7"]


def test_a_sender_that_begins_anew_is_heard_at_once() -> None:
    told = positions(Arrivals(), [packet(0), packet(1), packet(0, first=9_000, time=77)])

    assert told[-1] == (b"0", 0)


def test_a_few_packets_that_claim_long_silences_are_no_hours_of_audio() -> None:
    heard: list[np.ndarray] = []
    ear = RtpEar(heard.append, lambda: 7.0)
    for number in range(1_000):
        ear.take(Packet(number, number * 3 * RTP_RATE_HZ, b""))

    assert 0 < sum(map(len, heard)) <= AHEAD_S * CALLER_RATE_HZ


def test_who_keeps_to_the_clock_is_heard_for_ever() -> None:
    heard: list[np.ndarray] = []
    at_s = 0.0
    ear = RtpEar(heard.append, lambda: at_s)
    for number in range(1_000):
        ear.take(Packet(number, number * RTP_RATE_HZ % 2**32, b""))
        at_s += 1.0

    assert sum(map(len, heard)) >= 998 * CALLER_RATE_HZ


def test_silence_that_was_made_up_meanwhile_is_not_made_up_again_and_has_an_end() -> None:
    arrivals = Arrivals()
    positions(arrivals, [packet(0)])
    filled = [arrivals.fill(FRAME) for _ in range(200)]

    assert filled.count(True) == GAP_LIMIT // FRAME
    late = Packet(packet(1).number, (packet(1).time + GAP_LIMIT + 2 * FRAME) % 2**32, b"late")
    assert positions(arrivals, [late]) == [(b"late", 2 * FRAME)]


@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)), max_size=50))
def test_whatever_comes_little_waits_and_no_gap_is_long(came: list[tuple[int, int]]) -> None:
    arrivals = Arrivals()
    told = positions(arrivals, [Packet(number, time, b"x") for number, time in came])

    assert all(0 <= gap <= GAP_LIMIT for _, gap in told)
    assert len(arrivals._ahead) < AHEAD


# the agent's speech


@given(st.lists(st.binary(min_size=2, max_size=3_000).filter(lambda part: len(part) % 2 == 0), max_size=8))
def test_speech_is_cut_into_frames_without_loss(parts: list[bytes]) -> None:
    waiting = Waiting()
    for part in parts:
        waiting.add(part)
    frames = []
    while frame := waiting.take():
        frames.append(frame)

    assert all(len(frame) == FRAME_BYTES for frame in frames)
    assert b"".join(frames)[: len(b"".join(parts))] == b"".join(parts)


def test_speech_that_nobody_draws_is_bounded_and_loses_its_oldest() -> None:
    waiting = Waiting()
    lost = waiting.add(np.arange(LIMIT_BYTES // 2 + 5, dtype="<u2").tobytes())

    assert lost == 10
    assert np.frombuffer(waiting.take(), "<u2")[0] == 5


# what sounds


def test_a_response_starts_once_and_stops_once_it_is_over_and_played() -> None:
    sounding = Sounding()
    told = [
        *sounding.said("resp_a"),
        *sounding.said("resp_a"),
        *sounding.silent(),  # its tool runs
        *sounding.said("resp_a"),
        *sounding.ended("resp_a", silent=False),
        *sounding.silent(),
        *sounding.silent(),
    ]

    assert told == [(Sign.STARTED, "resp_a"), (Sign.STOPPED, "resp_a")]


def test_a_response_that_was_played_before_its_end_stops_with_it() -> None:
    sounding = Sounding()
    sounding.said("resp_a")
    sounding.silent()

    assert sounding.ended("resp_a", silent=True) == [(Sign.STOPPED, "resp_a")]


def test_the_next_response_stops_the_one_before_and_a_cut_clears_what_sounds() -> None:
    sounding = Sounding()
    sounding.said("resp_a")
    sounding.ended("resp_a", silent=False)

    assert sounding.said("resp_b") == [(Sign.STOPPED, "resp_a"), (Sign.STARTED, "resp_b")]
    assert sounding.cut() == [(Sign.CLEARED, "resp_b")]
    assert sounding.cut() == []
    assert sounding.ended("resp_b", silent=True) == []


# a data channel


class Channel:
    """Of a client that reads as much as it is told to."""

    readyState = "open"

    def __init__(self) -> None:
        self.got: list[str] = []
        self.bufferedAmount = 0
        self.heard: dict[str, Callable[[], None]] = {}

    def on(self, event: str, listener: Callable[[], None]) -> None:
        self.heard[event] = listener

    def send(self, data: str) -> None:
        self.got.append(data)
        self.bufferedAmount += len(data)


def wire(limit_bytes: int = 0) -> tuple[ChannelWire, Channel, list[object]]:
    """The list holds sizes of events that were too large, "finished" and "slow"."""
    told: list[object] = []
    made = ChannelWire(
        limit_bytes,
        on_too_large=told.append,
        on_finished=lambda: told.append("finished"),
        on_slow=lambda: told.append("slow"),
    )
    channel = Channel()
    made.open(channel)  # type: ignore[arg-type]
    return made, channel, told


def test_a_client_that_reads_too_slowly_is_cut_off() -> None:
    made, channel, told = wire()
    taken = [made.put(b"x" * 400_000) for _ in range(5)]

    assert taken == [True, True, False, True, True]
    assert len(channel.got) == 3
    assert told == ["slow"]


def test_an_event_larger_than_a_message_may_be_is_not_sent() -> None:
    made, channel, told = wire(limit_bytes=10)

    assert made.put(b"x" * 11)
    assert made.put(b"x" * 10)
    assert (channel.got, told) == (["x" * 10], [11])


def test_what_waits_is_sent_before_a_line_ends() -> None:
    async def main() -> list[bool]:
        made, channel, _ = wire()
        made.put(b"bye")
        made.finish(1000, "")
        sending = asyncio.create_task(made.sent())
        await asyncio.sleep(0)
        before = sending.done()
        channel.bufferedAmount = 0
        channel.heard["bufferedamountlow"]()
        await sending
        return [before, made.put(b"late"), len(channel.got) == 1]

    assert asyncio.run(main()) == [False, True, True]
