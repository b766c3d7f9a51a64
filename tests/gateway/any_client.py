"""A client that does at random whatever a client may, and an agent that writes down what it is told of it."""

import asyncio
import json
import random
from typing import Any

import numpy as np

from gateway.scene import Scene, Session
from trunkline.gateway.dialects.realtime.peer import Peer
from trunkline.proto import record
from trunkline.proto import response as r
from trunkline.proto import speech as s
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadInput
from trunkline.proto.image import Detail, ShownImage
from trunkline.record import CallView, ToolView

Event = dict[str, Any]
WORDS = ("Yes.", "One moment, please, I look it up.", "It is on its way.")
DETECTIONS: tuple[Event | None, ...] = (
    None,
    {"type": "server_vad"},
    {"type": "server_vad", "create_response": False},
    {"type": "semantic_vad", "interrupt_response": False},
)
SAMPLES = 8_000  # of the caller's audio in one utterance


class NoPictures:
    async def take(self, *, image_url: str | None, file_id: str | None, detail: Detail, param: str) -> ShownImage:
        raise BadInput(param, "isn't shown here", "")


class Notary:
    """An agent whose record is what it was told, in the order in which it came. items: of an answer, at most.

    asks: how often it asks the client for a tool.
    """

    def __init__(self, chance: random.Random, *, items: int, asks: float) -> None:
        self.view = CallView("rtc_00_a")
        self._chance = chance
        self._items = items
        self._asks = asks

    def react(self, session: Session, message: Message) -> None:
        view = self.view
        match message:
            case r.Turn(turn=turn, item=item, text=text, source=source, previous=previous):
                view.apply(record.CallerSaid(1, turn, item, text, source, previous=previous))
                if message.respond:
                    self.answer(session, message.response, turn)
            case r.Insert(item=inserted, previous=previous):
                view.apply(record.ItemInserted(1, inserted, previous))
            case r.Retract(item=item) if view.has(item):
                view.apply(record.ItemDeleted(1, item))
            case r.ToolOutput(tool_call=call, output=output, item=item):
                view.apply(record.ToolFinished(1, call, "ok", output, "client", item=item))
            case r.Respond(response=response, asked=asked):
                self.answer(session, response, 0, asked)

    def answer(self, session: Session, response: str, turn: int = 0, asked: r.Asked | None = None) -> None:
        view, say = self.view, session.say
        view.apply(record.ResponseOpened(1, response, turn, asked=asked))
        say(r.ResponseStarted(response, turn))
        for number in range(self._chance.randint(0, self._items)):
            item, text = f"item_{response}_{number}", self._chance.choice(WORDS)
            view.apply(record.AssistantItem(1, response, item, "final_answer", "model"))
            view.apply(record.SegmentSaid(1, item, 0, text))
            say(r.ItemStarted(response, item, "final_answer"))
            say(r.Say(response, item, 0, text))
            say(r.ItemFinished(response, item, text, "final_answer"))
        if self._chance.random() < self._asks:
            call = f"call_{response}"
            view.apply(record.ToolIntended(1, call, response, "look", "{}", call, 0, runs="client"))
            say(r.ToolAsked(response, call, "look", "{}"))
        view.apply(record.ResponseClosed(1, response, "completed"))
        say(r.ResponseFinished(response, "completed"))

    def order(self) -> list[str]:
        """Ids of the conversation's messages and tool calls, without outputs, which stand with their calls here."""
        view = self.view
        calls = {key: [t.call_item for t in view.tools_behind(key) if self._stands(t)] for key in ("", *view.items)}
        told = [key for key in view.items if not view.is_aside(view.items[key].response)]
        return [*calls[""], *(name for key in view.items for name in ([key] if key in told else []) + calls[key])]

    def _stands(self, tool: ToolView) -> bool:
        return not tool.call_deleted and not self.view.is_aside(tool.response)


class Recogniser:
    """STT that hears, after a while, words, none, or fails."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def react(self, session: Session, message: Message) -> None:
        if isinstance(message, s.Finish):
            self.hears(session, message.utterance, message.from_sample, message.to_sample)

    def hears(self, session: Session, utterance: int, begin: int, end: int) -> None:
        told: Message = s.Final(utterance, self._chance.choice(("Well?", "Well?", "")), begin, end)
        if self._chance.random() < 0.2:
            told = s.RecognitionFailed(utterance, "too loud")
        asyncio.get_running_loop().call_later(self._chance.random(), session.say, told)


class Notes:
    """A wire that ends nowhere."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, data: bytes) -> bool:
        self.events.append(json.loads(data))
        return True

    def put_binary(self, data: bytes) -> bool:
        raise AssertionError("a stock client gets events alone")

    def finish(self, code: int, reason: str) -> None:
        pass

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]


class AnyClient:
    """asked: event ids of each response.create."""

    def __init__(self, peer: Peer, notes: Notes, scene: Scene, chance: random.Random) -> None:
        self.peer = peer
        self.notes = notes
        self.asked: list[str] = []
        self._scene = scene
        self._chance = chance
        self._number = 0

    @property
    def items(self) -> list[str]:
        return [item.id for item in self.peer.projection.items]

    def say(self, kind: str, **event: object) -> None:
        self.peer.receive(json.dumps({"type": kind} | event))

    def _name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}_{self._number}"

    def _any_item(self) -> str:
        return self._chance.choice([*self.items, "item_unknown"])

    def _anywhere(self) -> str:
        return self._chance.choice(["", "root", self._any_item(), self._any_item()])

    # what it may do

    def create(self) -> None:
        role = self._chance.choice(("user", "system", "assistant"))
        part = {"type": "output_text" if role == "assistant" else "input_text", "text": "Hm."}
        item = {"type": "message", "id": self._name("m"), "role": role, "content": [part]}
        self.say("conversation.item.create", item=item, previous_item_id=self._anywhere())

    def call(self) -> None:
        call = self._name("call")
        item = {"type": "function_call", "id": f"f_{call}", "call_id": call, "name": "look", "arguments": "{}"}
        self.say("conversation.item.create", item=item, previous_item_id=self._anywhere())
        if self._chance.random() < 0.7:
            self._give_output(call)

    def answer(self) -> None:
        """A call that it was asked, answered already or not."""
        done = [event["item"] for event in self.notes.of("response.output_item.done")]
        if calls := [item["call_id"] for item in done if item["type"] == "function_call"]:
            self._give_output(self._chance.choice(calls))

    def _give_output(self, call: str) -> None:
        item = {"type": "function_call_output", "id": self._name("o"), "call_id": call, "output": "seen"}
        self.say("conversation.item.create", item=item)

    def delete(self) -> None:
        self.say("conversation.item.delete", item_id=self._any_item())

    def truncate(self) -> None:
        end_ms = self._chance.choice((0, 50, 300))
        self.say("conversation.item.truncate", item_id=self._any_item(), content_index=0, audio_end_ms=end_ms)

    def retrieve(self) -> None:
        self.say("conversation.item.retrieve", item_id=self._any_item())

    def respond(self) -> None:
        self.asked.append(self._name("evt"))
        options: Event = {}
        if self._chance.random() < 0.4:
            options["conversation"] = "none"
        if self._chance.random() < 0.3:
            options["output_modalities"] = ["text"]
        if self._chance.random() < 0.3:
            options["input"] = [{"type": "item_reference", "id": item} for item in self.items[-1:]]
        self.say("response.create", event_id=self.asked[-1], response=options)

    def cancel(self) -> None:
        self.say("response.cancel")

    def update(self) -> None:
        modalities = self._chance.choice((["audio"], ["text"]))
        self.say("session.update", session={"type": "realtime", "output_modalities": modalities})

    def detect(self) -> None:
        self.listens(self._chance.choice(DETECTIONS))

    def listens(self, detection: Event | None) -> None:
        self.say("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})

    def commit(self) -> None:
        self._speak()
        self.say("input_audio_buffer.commit")

    def clear(self) -> None:
        self.say("input_audio_buffer.clear")

    def talk(self) -> None:
        """Words, or a noise, as VAD hears them."""
        stt, begin, number = self._scene.stt.last, self.peer.call.listening.ring.end, len(self.notes.events)
        self._speak()
        stt.say(s.SpeechStarted(number, begin))
        stt.say(s.SpeechStopped(number, begin + SAMPLES - 100))
        Recogniser(self._chance).hears(stt, number, begin, begin + SAMPLES - 100)

    def _speak(self) -> None:
        rng = np.random.default_rng(self._number)
        self.peer.call.hear(rng.integers(-6000, 6000, SAMPLES, dtype=np.int16).tobytes())
