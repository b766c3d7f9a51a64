"""An agent is lost at any point of a response, and another goes on with it.

A response is run once, undisturbed; then it is cut wherever it can be: after any number of events that became durable
and any number of messages that reached the gateway, in any combination that can happen.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from agent.scene import CALL, Scene, lookup
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Script, ScriptedModel, Words
from trunkline.agent.models.seam import (
    MessageItem,
    Model,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolOutputItem,
)
from trunkline.agent.rounds import WHAT_WAS_CUT
from trunkline.agents import Agent
from trunkline.proto import record
from trunkline.proto.envelope import Message
from trunkline.proto.ids import new_tool_call_id
from trunkline.proto.response import (
    Converse,
    ItemFinished,
    ItemStarted,
    Phase,
    PhaseSettled,
    Recall,
    ResponseFinished,
    ResponseStarted,
    ResponseStatus,
    Say,
    Turn,
    Utterance,
)
from trunkline.record import CallView, MemoryRecordStore, fold

ASKED = Turn(1, "item_u1", "Where is order 4712?", "speech", 0, 16_000, True, "", "resp_1")
PREAMBLE = "One moment, please, while I look."
ANSWER = ("It arrives tomorrow, before noon. Is there ", "anything else that I can do for you today?")
WITH_PHASES: Script = [
    [
        [Words(PREAMBLE, "commentary"), Call("lookup")],
        [Words("Here it is.", "commentary"), *(Words(text, "final_answer") for text in ANSWER)],
    ]
]
WITHOUT_PHASES: Script = [[[Words(PREAMBLE), Call("lookup")], [Words(text) for text in ANSWER]]]


@dataclass
class HubItem:
    phase: Phase | None
    source: str
    segments: dict[int, str] = field(default_factory=dict)
    finished: bool = False


@dataclass
class HubResponse:
    items: dict[str, HubItem] = field(default_factory=dict)
    status: ResponseStatus | None = None


class Hub:
    """What a gateway makes of an agent's words: all by id, each once, and nothing known ever changes."""

    def __init__(self, said: Sequence[Message] = ()) -> None:
        self.responses: dict[str, HubResponse] = {}
        for message in said:
            self.hear(message)

    def hear(self, message: Message) -> None:
        if not isinstance(message, Utterance):
            return
        if isinstance(message, ResponseStarted):
            self.responses.setdefault(message.response, HubResponse())
            return
        response = self.responses[message.response]
        match message:
            case ItemStarted(item=key, phase=phase, source=source):
                assert key in response.items or response.status is None
                item = response.items.setdefault(key, HubItem(phase, source))
                assert item.source == source
            case Say(item=key, index=index, text=text):
                item = response.items[key]
                assert item.segments.get(index, text) == text
                if index not in item.segments:
                    assert not item.finished
                    assert index == len(item.segments)
                    assert key == next(reversed(response.items)), "said behind its time"
                item.segments[index] = text
            case PhaseSettled(item=key, phase=phase):
                assert response.items[key].phase in (None, phase)
                response.items[key].phase = phase
            case ItemFinished(item=key, text=text, phase=phase):
                item = response.items[key]
                assert text == "".join(item.segments.values())
                assert item.phase in (None, phase)
                item.phase, item.finished = phase, True
            case ResponseFinished(status=status):
                assert response.status in (None, status)
                assert all(item.finished for item in response.items.values()) or status == "cancelled"
                response.status = status

    @property
    def unfinished(self) -> tuple[str, ...]:
        return tuple(key for key, response in self.responses.items() if response.status is None)

    def texts(self, response: str = ASKED.response) -> list[tuple[Phase | None, str]]:
        return [(item.phase, "".join(item.segments.values())) for item in self.responses[response].items.values()]


@dataclass
class Cut:
    """events: durable at the cut. said: what had reached the gateway."""

    events: list[record.Event]
    said: list[Message]

    @property
    def view(self) -> CallView:
        return fold(CALL, [self.entry])

    @property
    def entry(self) -> record.RecordEntry:
        return record.RecordEntry(record.RECORD_VERSION, 1, 0, "entry_old", self.events)


@dataclass
class Undisturbed:
    events: list[record.Event]
    said: list[Message]

    @property
    def tool_calls(self) -> list[str]:
        return [event.tool_call for event in self.events if isinstance(event, record.ToolIntended)]

    def cuts(self) -> Iterator[Cut]:
        """Nothing behind a tool is said before its intent is durable; besides, either may be ahead."""
        asked = next(i for i, event in enumerate(self.events) if isinstance(event, record.CallerSaid))
        intended = [i for i, event in enumerate(self.events) if isinstance(event, record.ToolIntended)]
        finished = [i for i, message in enumerate(self.said) if isinstance(message, ItemFinished)]
        for durable, heard in itertools.product(range(asked, len(self.events) + 1), range(len(self.said) + 1)):
            if intended and durable <= intended[-1] and heard > finished[0] + 1:
                continue
            yield Cut(self.events[:durable], self.said[:heard])


def desk(model: Model, agent: Agent | None, store: MemoryRecordStore | None = None, worker: str = "ag") -> Scene:
    return Scene(
        model=model, agent=agent or Agent("desk", instructions="Be kind.", tools=[lookup]), store=store, worker=worker
    )


def undisturbed(model: Model, agent: Agent | None = None) -> Undisturbed:
    async def scenario() -> Undisturbed:
        async with desk(model, agent) as scene:
            await scene.place()
            scene.link.send(ASKED)
            await asyncio.sleep(2)
            said: list[Message] = [message for message in scene.told if isinstance(message, Utterance)]
            return Undisturbed(await scene.events(), said)

    return run_virtual(scenario())


class After:
    """What the next agent makes of a cut."""

    def __init__(self, scene: Scene, hub: Hub, view: CallView, events: list[record.Event]) -> None:
        self.requests = scene.model.requests
        self.orders = scene.runner.orders
        self.hub, self.view, self.events = hub, view, events


def taken_over(
    cut: Cut, model: Model, agent: Agent | None = None, *, inputs: Sequence[Message] = (ASKED,), from_said: int = 0
) -> After:
    """from_said: what was said before is known to be stored."""

    async def scenario() -> After:
        store = MemoryRecordStore()
        await store.append(CALL, record.encode_entry(cut.entry), expected_seq=0, entry=cut.entry.entry)
        hub = Hub(cut.said)
        async with desk(model, agent, store, "ag2") as scene:
            await scene.place(attach=2, order=Converse(1, "gw", reason="agent ag is gone"))
            unfinished = tuple(dict.fromkeys([*hub.unfinished, *((ASKED.response,) if ASKED in inputs else ())]))
            scene.link.send(Recall(tuple(cut.said[from_said:]), unfinished, False, len(inputs)))  # type: ignore[arg-type]
            for message in inputs:
                scene.link.send(message)
            await asyncio.sleep(2)
            for told in scene.told:
                hub.hear(told)
            return After(scene, hub, await scene.view(), await scene.events())

    return run_virtual(scenario())


def texts_of(view: CallView, response: str = ASKED.response) -> list[tuple[Phase | None, str]]:
    return [(view.items[key].phase, view.items[key].text) for key in view.responses[response].items]


def check_whole(after: After) -> None:
    """What is true after any takeover, whatever the model says."""
    view, hub = after.view, after.hub
    assert view.strays == 0
    assert view.responses[ASKED.response].status == hub.responses[ASKED.response].status == "completed"
    assert texts_of(view) == hub.texts()
    assert all(item.status == "completed" for item in view.items.values())
    assert sum(isinstance(event, record.ResponseClosed) for event in after.events) == 1
    assert sum(isinstance(event, record.CallerSaid) for event in after.events) == 1
    assert [tool.status for tool in view.tools.values()] == ["ok"]
    segments = [(e.item, e.index) for e in after.events if isinstance(e, record.SegmentSaid)]
    assert len(segments) == len(set(segments))


@pytest.mark.parametrize("script", [WITH_PHASES, WITHOUT_PHASES])
def test_a_response_of_a_repeatable_model_ends_as_if_nothing_had_happened(script: Script) -> None:
    model = ScriptedModel(script)
    whole = undisturbed(model)
    expected = Hub(whole.said).texts()
    for cut in whole.cuts():
        for from_said in (0, min(len(cut.said), known_of(cut))):
            after = taken_over(cut, model, from_said=from_said)

            check_whole(after)
            assert after.hub.texts() == expected
            ran = {*after.view.tools, *(order.key for order in after.orders)}
            assert len(ran) == 1, "the tool ran under another key too"


def known_of(cut: Cut) -> int:
    """How many of the messages that were said are in the record."""
    view = cut.view

    def known(message: Message) -> bool:
        match message:
            case ResponseStarted(response=response):
                return response in view.responses
            case ItemStarted(item=item):
                return item in view.items
            case Say(item=item, index=index):
                return item in view.items and index in view.items[item].segments
            case PhaseSettled(item=item):
                return item in view.items and view.items[item].phase is not None
            case ItemFinished(item=item):
                return item in view.items and view.items[item].status == "completed"
            case ResponseFinished(response=response):
                return response in view.responses and view.responses[response].status is not None
        return True

    return next((i for i, message in enumerate(cut.said) if not known(message)), len(cut.said))


class Moody:
    """A model that never says the same again: each round begins with a word of its own."""

    name = "moody"
    repeatable = False

    def __init__(self) -> None:
        self._words = (f"word{n}" for n in itertools.count())

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        word = next(self._words)
        if any(isinstance(item, ToolOutputItem) for item in request.items):
            yield TextDelta(f"{word} arrives tomorrow, before noon or so. Do you ")
            yield TextDelta("want anything else?")
        else:
            yield TextDelta(f"{word} one moment, please, while I look.")
            yield ToolCall(new_tool_call_id(), "lookup", "{}")
        yield RoundDone()


class Fickle(Moody):
    """Says that it is repeatable, and isn't."""

    repeatable = True


@pytest.mark.parametrize("kind", [Moody, Fickle])
def test_what_another_model_said_stays_and_is_gone_on_from(kind: type[Moody]) -> None:
    model = kind()
    whole = undisturbed(model)
    for cut in whole.cuts():
        before = Hub(cut.said).responses.get(ASKED.response, HubResponse())
        after = taken_over(cut, model)

        check_whole(after)
        for key, item in before.items.items():
            now = after.hub.responses[ASKED.response].items[key]
            assert all(now.segments[index] == text for index, text in item.segments.items())
        noted = [request for request in after.requests if WHAT_WAS_CUT in request.instructions]
        for request in noted:
            assert isinstance(last := request.items[-1], MessageItem)
            assert (last.role, last.phase) in [("assistant", "commentary"), ("assistant", "final_answer")]
            assert request.instructions.startswith("Be kind.")


GREETING = "Good day, this is the desk. How can I help you today?"


def test_a_greeting_is_said_whole_and_once_wherever_it_is_cut() -> None:
    agent = Agent("desk", greeting=GREETING, tools=[lookup])

    async def scenario(durable: int, heard: int) -> None:
        store = MemoryRecordStore()
        async with Scene(agent=agent, store=MemoryRecordStore()) as old:
            await old.place()
            response = old.attached.greeting
            said: list[Message] = [message for message in old.told if isinstance(message, Utterance)]
            cut = Cut((await old.events())[: 3 + durable], said[:heard])
        await store.append(CALL, record.encode_entry(cut.entry), expected_seq=0, entry=cut.entry.entry)
        hub = Hub(cut.said)
        async with Scene(agent=agent, store=store, worker="ag2") as new:
            await new.place(attach=2, order=Converse(1, "gw", reason="agent ag is gone"))
            new.link.send(Recall(tuple(cut.said), (response,), False, 0))  # type: ignore[arg-type]
            await asyncio.sleep(1)
            for told in new.told:
                hub.hear(told)

            assert hub.texts(response) == [("final_answer", GREETING)]
            assert texts_of(await new.view(), response) == hub.texts(response)
            assert len((await new.view()).responses) == len(hub.responses) == 1
            assert new.model.requests == []

    for durable, heard in itertools.product(range(6), range(6)):
        run_virtual(scenario(durable, heard))
