"""A whole call over WebRTC on loopback: events, audio both ways, barge-in, the ends of it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from gateway import scene as gateway_scene
from gateway.past_call import put
from gateway.socket_scene import KEY, Event, Server
from gateway.webrtc_scene import RATE_HZ, Browser, RtcServer
from support.pictures import data_url, picture
from trunkline.audio import pcm, wav
from trunkline.audio.resample import resample
from trunkline.gateway.dialects.webrtc import line, wire
from trunkline.gateway.dialects.webrtc.line import Line
from trunkline.gateway.resume_token import ResumeTokens
from trunkline.proto import response as r
from trunkline.proto import speech as s
from trunkline.proto.audio import CALLER_RATE_HZ, SPEECH_RATE_HZ

pytestmark = pytest.mark.programs  # in real time

CALLERS = Path(__file__).parent.parent / "data" / "callers"
LONG = "A very long answer that goes on and on and on. "


def play(scenario: Callable[[Server, Browser], Awaitable[None]], answer: str = "") -> None:
    """answer: of the agent, empty for none."""

    async def main() -> None:
        async with RtcServer() as server:
            server.scene.agent_mind.answer = answer
            async with Browser(server) as browser:
                await scenario(server, browser)
            assert len(server.service._calls) == 0

    asyncio.run(main())


def chirp(text: str) -> np.ndarray:
    """What TTS says of a text, of a sound that a codec for speech keeps."""
    at_s = np.arange(len(text) * gateway_scene.SAMPLES_PER_LETTER) / SPEECH_RATE_HZ
    return (6_000 * np.sin(2 * np.pi * (300 * at_s + 200 * at_s**2))).astype(np.int16)


@pytest.fixture(autouse=True)
def sings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_scene, "spoken", chirp)


def likeness(heard: np.ndarray, said: np.ndarray) -> float:
    """The highest correlation, -1 to 1, of what was said with any stretch of what was heard."""
    if len(heard) < len(said):
        return 0.0
    a, b = heard.astype(np.float64), said.astype(np.float64)
    size = 1 << (len(a) + len(b)).bit_length()
    cross = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)[: len(a) - len(b) + 1]
    energy = np.convolve(a**2, np.ones(len(b)), "valid") if len(b) < 2_000 else _energy(a, len(b))
    return float(np.max(cross / np.sqrt(np.maximum(energy, 1.0) * np.sum(b**2))))


def _energy(a: np.ndarray, length: int) -> np.ndarray:
    total = np.concatenate(([0.0], np.cumsum(a**2)))
    return total[length:] - total[:-length]


def heard_by_stt(server: Server) -> np.ndarray:
    return np.concatenate([pcm.from_bytes(chunk.pcm) for chunk in server.scene.stt.sessions[0].audio])


def test_a_caller_connects_and_is_told_its_session() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        created = await browser.next()
        browser.send(type="session.update", session={"type": "realtime", "instructions": "Be brief."})
        updated = await browser.until("session.updated")

        assert created["type"] == "session.created"
        assert created["session"]["id"] == browser.call_id
        assert updated["session"]["instructions"] == "Be brief."
        assert browser.location == f"/v1/realtime/calls/{browser.call_id}"

    play(scenario)


def test_what_the_caller_says_is_heard_as_it_was_said() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        said = wav.read_file(CALLERS / "order_status.wav").samples[: 2 * CALLER_RATE_HZ]
        await browser.next()
        await asyncio.sleep(0.1)
        browser.microphone.say(resample(said, CALLER_RATE_HZ, RATE_HZ))
        await asyncio.sleep(2.4)

        heard = heard_by_stt(server)
        assert likeness(heard, said) > 0.9
        assert 2.3 < len(heard) / CALLER_RATE_HZ < 2.7  # positions follow the clock

    play(scenario)


def test_lost_packets_are_silence_and_positions_follow_the_clock() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        said = wav.read_file(CALLERS / "order_status.wav").samples[: 2 * CALLER_RATE_HZ]
        await browser.next()
        await asyncio.sleep(0.1)
        browser.loses(every=10)
        browser.microphone.say(resample(said, CALLER_RATE_HZ, RATE_HZ))
        await asyncio.sleep(2.4)

        heard = heard_by_stt(server)
        assert 0.7 < likeness(heard, said) < 0.98
        assert 2.3 < len(heard) / CALLER_RATE_HZ < 2.7

    play(scenario)


def test_a_caller_without_a_data_channel_is_served_and_told_nothing() -> None:
    async def main() -> None:
        async with RtcServer() as server, Browser(server, silent=True) as browser:
            await asyncio.sleep(0.4)
            [call] = server.service._calls._calls.values()
            browser.microphone.say(np.full(RATE_HZ // 5, 3_000))
            await asyncio.sleep(0.4)

            assert call.listening.ring.end > CALLER_RATE_HZ // 5
            assert browser.events.empty()

    asyncio.run(main())


def test_what_the_agent_says_is_heard_as_it_was_said() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        await ask(browser)
        await browser.until("output_audio_buffer.stopped")
        await asyncio.sleep(0.3)

        assert likeness(browser.sound(), resample(chirp("Twenty-five letters, fine"), SPEECH_RATE_HZ, RATE_HZ)) > 0.9
        kinds = browser.kinds()
        assert "response.output_audio.delta" not in kinds
        assert kinds.index("response.created") < kinds.index("output_audio_buffer.started")
        assert kinds.index("response.done") < kinds.index("output_audio_buffer.stopped")
        [transcript] = [e["transcript"] for e in browser.seen if e["type"] == "response.output_audio_transcript.done"]
        assert transcript == "Twenty-five letters, fine"

    play(scenario, answer="Twenty-five letters, fine")


async def ask(browser: Browser) -> Event:
    """Returns the response that begins."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
    browser.send(type="conversation.item.create", item=item)
    browser.send(type="response.create")
    return await browser.until("output_audio_buffer.started")


async def interrupts(server: Server, browser: Browser) -> None:
    """The caller speaks over the agent, as STT would tell it."""
    stt, call = server.scene.stt.sessions[0], next(iter(server.service._calls._calls.values()))
    onset = call.listening.ring.end
    browser.microphone.say(np.random.default_rng(7).integers(-6_000, 6_000, RATE_HZ * 6 // 10))
    await asyncio.sleep(0.13)
    stt.say(s.SpeechStarted(1, onset))


def test_a_caller_who_barges_in_silences_the_agent_and_the_gateway_truncates() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        started = await ask(browser)
        await asyncio.sleep(1.0)
        await interrupts(server, browser)
        done = await browser.until("response.done")
        await asyncio.sleep(0.2)
        before = len(browser.sound())
        await asyncio.sleep(0.4)

        kinds = [kind for kind in browser.kinds() if "delta" not in kind]
        order = ["input_audio_buffer.speech_started", "output_audio_buffer.cleared", "conversation.item.truncated"]
        assert [kinds.index(kind) for kind in [*order, "response.done"]] == sorted(
            kinds.index(kind) for kind in [*order, "response.done"]
        )
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        [cleared] = [e for e in browser.seen if e["type"] == "output_audio_buffer.cleared"]
        assert cleared["response_id"] == started["response_id"] == done["response"]["id"]
        [cut] = [e for e in browser.seen if e["type"] == "conversation.item.truncated"]
        assert 900 < cut["audio_end_ms"] < 1_700
        [interrupt] = server.scene.agent.sessions[0].all(r.Interrupt)
        assert isinstance(interrupt, r.Interrupt)
        assert interrupt.heard[0].heard_samples * 1000 // SPEECH_RATE_HZ == cut["audio_end_ms"]
        assert pcm.level_dbfs(browser.sound()[before:]) < -60
        sounded = np.abs(browser.sound()[:before]) > 1_000
        assert abs(np.count_nonzero(sounded) / RATE_HZ / 0.89 - cut["audio_end_ms"] / 1000) < 0.15

    play(scenario, answer=LONG * 3)


def test_a_client_that_clears_the_output_is_answered_and_hears_no_more() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        started = await ask(browser)
        browser.send(type="response.cancel")
        browser.send(type="output_audio_buffer.clear")
        done = await browser.until("response.done")
        await browser.until("output_audio_buffer.cleared")

        cleared = [e for e in browser.seen if e["type"] == "output_audio_buffer.cleared"]
        assert done["response"]["status"] == "cancelled"
        assert [e["response_id"] for e in cleared] == [started["response_id"]] * 2
        assert "error" not in browser.kinds()

    play(scenario, answer=LONG)


def test_audio_in_an_event_is_refused_by_name() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        browser.send(type="input_audio_buffer.append", audio="AAAA", event_id="mine")
        error = (await browser.until("error"))["error"]

        assert (error["code"], error["param"], error["event_id"]) == ("not_supported", "type", "mine")

    play(scenario)


def test_a_photo_comes_through_the_data_channel_and_what_waits_behind_it_is_answered() -> None:
    photo = picture("PNG", 400, 300)
    url = data_url(photo)

    async def scenario(server: Server, browser: Browser) -> None:
        shown = {"type": "input_image", "image_url": url, "detail": "high"}
        item = {"type": "message", "id": "u1", "role": "user", "content": [shown]}
        browser.send(type="conversation.item.create", item=item)
        browser.send(type="conversation.item.retrieve", item_id="u1")
        found = await browser.until("conversation.item.retrieved")

        (turn,) = server.scene.agent.sessions[0].all(r.Turn)
        (image,) = turn.images  # type: ignore[attr-defined]  # a Turn
        assert 262_144 < len(url) < 1_000_000  # more than aiortc takes by itself
        assert found["item"]["content"] == [{"type": "input_image", "file_id": image.file, "detail": "high"}]
        assert (image.media_type, image.width, image.height) == ("image/png", 400, 300)
        assert await server.files.get(image.file) == photo

    play(scenario)


def test_an_event_too_large_for_the_channel_is_told_of_in_its_place() -> None:
    async def main() -> None:
        limit = "a=max-message-size:20000"
        spell = lambda sdp: sdp.replace("a=max-message-size:262144", limit)  # noqa: E731
        async with RtcServer() as server, Browser(server, spell=spell) as browser:
            browser.send(type="session.update", session={"type": "realtime", "instructions": "x" * 30_000})
            error = (await browser.until("error"))["error"]
            browser.send(type="session.update", session={"type": "realtime", "instructions": "short"})
            await browser.until("session.updated")

        assert (error["type"], error["code"]) == ("server_error", "event_too_large")
        assert "20000 bytes" in error["message"]

    asyncio.run(main())


def test_who_hangs_up_has_ended_the_call() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        await browser.next()
        await browser.pc.close()
        assert await gone(server) == "caller_hung_up"

    play(scenario)


def test_closing_the_channel_ends_the_call_too() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        await browser.next()
        browser.channel.close()
        assert await gone(server) == "caller_hung_up"
        await asyncio.wait_for(browser.closed.wait(), 2.0)

    play(scenario)


async def gone(server: Server) -> str:
    """Returns once the server has no call any more and its agent was told so, with the reason."""
    for _ in range(250):
        told = server.scene.agent.sessions[0].closed
        if told and not len(server.service._calls):
            return told
        await asyncio.sleep(0.02)
    raise AssertionError("the call goes on")


def test_a_caller_whose_line_is_lost_has_lost_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.CONSENT_FAILURES", 1)
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.2)

    async def scenario(server: Server, browser: Browser) -> None:
        await browser.next()
        browser.is_killed()
        assert await gone(server) == "lost"

    play(scenario)


def test_a_caller_who_reads_too_slowly_finds_his_line_broken_and_his_call_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        created = await browser.next()
        [serving] = [task for task in asyncio.all_tasks() if task.get_name() == f"webrtc {browser.call_id}"]
        monkeypatch.setattr(wire, "LIMIT_BYTES", -1)
        browser.send(type="input_audio_buffer.clear")
        await asyncio.wait_for(serving, 5.0)
        await asyncio.sleep(0.2)  # in which a goodbye would come

        assert server.scene.agent.sessions[0].closed == ""
        assert (browser.channel.readyState, browser.pc.connectionState) == ("open", "connected")
        await put(server.store, browser.call_id)
        async with server.connect(token=created["trunkline"]["resume_token"]) as again:
            assert (await again.until("session.created"))["session"]["id"] == browser.call_id

    play(scenario)


def test_a_caller_who_reads_too_slowly_and_stays_away_has_lost_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with RtcServer(resume_window_s=1.0) as server, Browser(server) as browser:
            await browser.next()
            monkeypatch.setattr(wire, "LIMIT_BYTES", -1)
            browser.send(type="input_audio_buffer.clear")

            assert await gone(server) == "lost"

    asyncio.run(main())


def test_a_browser_is_told_how_to_take_its_call_up_elsewhere() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        created = await browser.next()
        token = created["trunkline"]["resume_token"]

        assert ResumeTokens("", [KEY, "sk-other"]).verify(token) == browser.location.rpartition("/")[2]

    play(scenario)


def test_who_never_connects_leaves_no_call_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "CONNECT_LIMIT_S", 0.3)

    async def main() -> None:
        async with RtcServer() as server:
            browser = Browser(server)
            await browser.offer()
            assert len(server.service._calls) == 1
            assert await gone(server) == "lost"
            await browser.pc.close()

    asyncio.run(main())


@pytest.mark.parametrize("what", ["RtcPeer", "Terms"])
def test_a_bug_before_the_caller_connects_leaves_no_call_and_no_sockets_behind(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: object, **named: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(line, what, fails)
    closed: list[Line] = []
    close = Line.close

    async def note(of: Line) -> None:
        await close(of)
        closed.append(of)

    monkeypatch.setattr(Line, "close", note)

    async def main() -> None:
        async with RtcServer() as server:
            browser = Browser(server)
            await browser.offer()
            assert await gone(server) == "failed: RuntimeError"
            while server.endpoint._lines:
                await asyncio.gather(*server.endpoint._lines)
            await browser.pc.close()

            assert len(closed) == 1

    asyncio.run(main())


def test_a_call_that_is_hung_up_before_anybody_connects_lets_go_of_its_sockets() -> None:
    async def main() -> None:
        async with RtcServer() as server:
            browser = Browser(server)
            await browser.offer()
            [line] = [task for task in asyncio.all_tasks() if task.get_name() == f"webrtc {browser.call_id}"]
            server.service._calls.hang_up(browser.call_id)
            await asyncio.wait_for(line, 2.0)
            await browser.pc.close()

            assert server.scene.agent.sessions[0].closed == "hung_up"

    asyncio.run(main())


def test_an_agent_that_hangs_up_is_heard_to_its_last_word_and_the_connection_ends() -> None:
    async def scenario(server: Server, browser: Browser) -> None:
        await ask(browser)
        server.scene.agent.sessions[0].say(r.HangUp("goodbye"))
        await asyncio.wait_for(browser.closed.wait(), 5.0)

        assert likeness(browser.sound(), resample(chirp("Bye, then."), SPEECH_RATE_HZ, RATE_HZ)) > 0.9

    play(scenario, answer="Bye, then.")
