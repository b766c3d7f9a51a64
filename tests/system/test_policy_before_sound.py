"""Policy before sound: for each verdict, all that reaches a caller, a voice, the bus and the record is looked at."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from support.virtual import run_over_sockets
from system.policy_desk import SECRET
from system.whole import KEY, Whole
from trunkline.agent.models.seam import ModelEvent, ModelRequest, RoundDone, TextDelta
from trunkline.bus.memory import MemoryBus
from trunkline.bus.port import Received
from trunkline.proto.envelope import decode
from trunkline.proto.speaking import Synthesise
from trunkline.record import read_call

DESK = Path(__file__).parent / "policy_desk.py"


class Indiscreet:
    """Says something harmless, then the secret in pieces that stream, then something harmless; but for `other`."""

    name = "indiscreet"
    repeatable = False

    async def close(self) -> None:
        return None

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        told = "This is somebody else. I keep quiet."
        if request.agent != "other":
            told = f"Let me think about it. The word is {SECRET}, I am sure of that. Is there anything else?"
        for at in range(0, len(told), 3):
            yield TextDelta(told[at : at + 3], "final_answer")
            await asyncio.sleep(0.01)
        yield RoundDone()


class Heard:
    """All that came out of a call that typed one question. ordered: texts that a voice was to speak."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.bus = b""
        self.ordered: list[str] = []
        self.record = ""

    def tap(self, received: Received) -> None:
        self.bus += received.data
        if received.subject.startswith("tl.v1.tts.") and not received.subject.endswith(".audio"):
            message = decode(received.data).message
            if isinstance(message, Synthesise):
                self.ordered.append(message.text)

    @property
    def events(self) -> list[dict[str, object]]:
        return [msgspec.json.decode(frame) for frame in self.frames]

    @property
    def transcript(self) -> str:
        deltas = [e["delta"] for e in self.events if e["type"] == "response.output_audio_transcript.delta"]
        return "".join(str(delta) for delta in deltas)

    @property
    def response(self) -> dict[str, object]:
        done = next(event for event in self.events if event["type"] == "response.done")
        assert isinstance(done["response"], dict)
        return done["response"]


async def ask(whole: Whole, agent: str, *, until: str = "response.done") -> Heard:
    heard = Heard()
    tapping = await MemoryBus(whole.broker).subscribe("tl.>", heard.tap)
    url = f"{whole.addresses[0].realtime}?model={agent}"
    question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is the word?"}]}
    key = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=key) as socket:
        await socket.send_json({"type": "conversation.item.create", "item": question})
        await socket.send_json({"type": "response.create"})
        async for message in socket:
            heard.frames.append(message.data)
            if f'"type":"{until}"' in message.data:
                break
        await asyncio.sleep(2)  # what might still be said
    await tapping.stop()
    created = heard.events[0]["session"]
    assert isinstance(created, dict)
    (summary,) = await whole.store.summaries()
    found = await read_call(whole.store, summary.call)
    assert found is not None
    heard.record = repr([msgspec.to_builtins(event.event) for event in found[1]])
    return heard


def nothing_is_told(heard: Heard) -> None:
    """Of the secret, in whatever pieces: not to the client, not to a voice, not on the bus, not in the record."""
    assert heard.ordered
    assert SECRET not in heard.transcript
    for place in ("".join(heard.frames), heard.bus.decode(errors="replace"), "".join(heard.ordered), heard.record):
        assert SECRET not in place


VERDICTS = {
    "blocks": ("Let me think about it. I can't say that.", "incomplete"),
    "blocks-whole": ("I can't say that.", "incomplete"),
    "rewrites": (
        "Let me think about it. The word is a secret. Is there anything else?",
        "completed",
    ),
    "hands-off": ("Let me think about it. This is somebody else. I keep quiet.", "completed"),
    "ends": ("Let me think about it. That is enough. Goodbye.", "completed"),
}


@pytest.mark.parametrize("agent", VERDICTS)
def test_not_a_character_or_sample_of_what_is_forbidden_reaches_anybody(agent: str) -> None:
    async def main() -> None:
        async with Whole(model=Indiscreet(), agent_file=DESK) as whole:
            heard = await ask(whole, agent)

        nothing_is_told(heard)
        said, status = VERDICTS[agent]
        assert " ".join(heard.transcript.split()) == said
        assert heard.response["status"] == status

    run_over_sockets(main())


def test_an_answer_that_nobody_approves_is_never_told_while_commentary_is_heard() -> None:
    async def main() -> None:
        async with Whole(model=Indiscreet(), agent_file=DESK) as whole:
            heard = await ask(whole, "asks")

        asked = heard.record.count(SECRET)
        assert asked == 1  # in the question to a person, who has to see it
        assert "ApprovalAsked" not in "".join(heard.frames)
        for place in ("".join(heard.frames), heard.bus.decode(errors="replace"), "".join(heard.ordered)):
            assert SECRET not in place
        assert heard.transcript.startswith("I have to ask a colleague.")
        assert "did not agree" in heard.transcript

    run_over_sockets(main())


def test_the_agent_that_was_handed_the_call_speaks_in_its_own_voice() -> None:
    async def main() -> None:
        async with Whole(model=Indiscreet(), agent_file=DESK) as whole:
            voices: list[tuple[str, str]] = []

            def tap(received: Received) -> None:
                message = decode(received.data).message
                if isinstance(message, Synthesise):
                    voices.append((message.text, message.voice))

            tapping = await MemoryBus(whole.broker).subscribe("tl.v1.tts.*.*", tap)
            await ask(whole, "hands-off")
            await tapping.stop()

        told = dict(voices)
        assert told["Let me think about it. "] == ""
        assert told["I keep quiet."] == "second"

    run_over_sockets(main())
