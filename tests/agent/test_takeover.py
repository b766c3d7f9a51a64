"""An agent is lost at any point of a response, and another goes on with it.

A response is run once, undisturbed; then it is cut wherever it can be: after any number of events that became durable
and any number of messages that reached the gateway, in any combination that can happen.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from agent.scene import CALL, Scene, lookup
from agent.test_session import HoldingStore
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Fail, Script, ScriptedModel, Wait, Words
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
from trunkline.proto.placement import CallFailed
from trunkline.proto.response import (
    CallerLost,
    Converse,
    Interrupt,
    ItemFinished,
    ItemStarted,
    Phase,
    PhaseSettled,
    Placed,
    Played,
    Recall,
    Respond,
    ResponseFinished,
    ResponseStarted,
    ResponseStatus,
    Retract,
    Say,
    SegmentHeard,
    Stored,
    Turn,
    Utterance,
)
from trunkline.proto.tool import ToolResult
from trunkline.record import Attempt, CallView, MemoryClaimStore, MemoryRecordStore, StoredClaim, fold

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
    def ended(self) -> set[str]:
        return {key for key, response in self.responses.items() if response.status is not None}

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
        self.told = scene.told
        self.hub, self.view, self.events = hub, view, events


def taken_over(
    cut: Cut,
    model: Model,
    agent: Agent | None = None,
    *,
    inputs: Sequence[Message] = (ASKED,),
    from_said: int = 0,
    attach: int = 2,
) -> After:
    """from_said: what was said before is known to be stored."""

    async def scenario() -> After:
        store = MemoryRecordStore()
        await store.append(CALL, record.encode_entry(cut.entry), expected_seq=0, entry=cut.entry.entry)
        hub = Hub(cut.said)
        async with desk(model, agent, store, "ag2") as scene:
            await scene.place(attach=attach, order=Converse(1, "gw", reason="agent ag is gone"))
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


OTHER = "That is the first; one moment for the other."
TWO_TOOLS: Script = [
    [
        [Words(PREAMBLE, "commentary"), Call("lookup")],
        [Words(OTHER, "commentary"), Call("lookup")],
        [Words(text, "final_answer") for text in ANSWER],
    ]
]
TWO_TOOLS_WITHOUT_PHASES: Script = [
    [[Words(PREAMBLE), Call("lookup")], [Words(OTHER), Call("lookup")], [Words(text) for text in ANSWER]]
]


@pytest.mark.parametrize("script", [TWO_TOOLS, TWO_TOOLS_WITHOUT_PHASES])
def test_what_was_said_behind_a_tool_that_could_not_be_recorded_is_not_said_again(script: Script) -> None:
    model = ScriptedModel(script)
    whole = undisturbed(model)
    expected = Hub(whole.said).texts()
    unrecorded = next(i for i, event in enumerate(whole.events) if isinstance(event, record.ToolIntended))
    asked = next(i for i, event in enumerate(whole.events) if isinstance(event, record.CallerSaid))
    started = [i for i, message in enumerate(whole.said) if isinstance(message, ItemStarted)]
    for durable, heard in itertools.product(range(asked, unrecorded + 1), range(started[1] + 1, len(whole.said))):
        after = taken_over(Cut(whole.events[:durable], whole.said[:heard]), model)

        assert after.hub.texts() == texts_of(after.view) == expected
        assert after.view.responses[ASKED.response].status == "completed"
        outcomes = [(tool.status, tool.key in {one.key for one in after.orders}) for tool in after.view.tools.values()]
        assert outcomes == [("error", False), ("error", False) if heard > started[2] else ("ok", True)]


@pytest.mark.parametrize("script", [TWO_TOOLS, TWO_TOOLS_WITHOUT_PHASES])
def test_nor_is_it_if_the_next_agent_is_lost_in_the_same_round(script: Script) -> None:
    model = ScriptedModel(script)
    whole = undisturbed(model)
    expected = Hub(whole.said).texts()
    unrecorded = next(i for i, event in enumerate(whole.events) if isinstance(event, record.ToolIntended))
    started = [i for i, message in enumerate(whole.said) if isinstance(message, ItemStarted)]
    for heard in range(started[1] + 1, started[2] + 1):
        said = whole.said[:heard]
        first = taken_over(Cut(whole.events[:unrecorded], said), model)
        settled = next(i for i, event in enumerate(first.events) if isinstance(event, record.ToolFinished))
        for durable in range(settled + 1, len(first.events) + 1):
            after = taken_over(Cut(first.events[:durable], said), model, attach=3)

            assert after.hub.texts() == texts_of(after.view) == expected
            assert after.view.responses[ASKED.response].status == "completed"
            assert [tool.after for tool in after.view.tools.values()] == list(after.view.items)[1:3]


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

    async def close(self) -> None:
        """Nothing to close."""


class Slow:
    """A model that waits before each of its words."""

    name = "slow"

    def __init__(self, model: Model, wait_s: float) -> None:
        self.repeatable = model.repeatable
        self._model, self._wait_s = model, wait_s

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        async for event in self._model.respond(request):
            await asyncio.sleep(self._wait_s)
            yield event

    async def close(self) -> None:
        """Nothing to close."""


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
        finished = [item.phase for item in before.items.values() if item.finished]
        closed = [item.phase for item in cut.view.items.values() if item.status == "completed"]
        noted = [request for request in after.requests if WHAT_WAS_CUT in request.instructions]
        assert not noted or "final_answer" not in finished + closed, "the answer was whole"
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


class Moving:
    """Two agents on one record; what the gateway told the first, it tells the second again."""

    def __init__(
        self,
        script: Script,
        *,
        model: Model | None = None,
        store: MemoryRecordStore | None = None,
        agent: Agent | None = None,
    ) -> None:
        self.store = store or MemoryRecordStore()
        self.claims = MemoryClaimStore()
        model = model or ScriptedModel(script)
        self.old = Scene(model=model, store=self.store, claims=self.claims, agent=agent)
        self.new = Scene(model=model, store=self.store, claims=self.claims, agent=agent, worker="ag2")
        self.told: list[Message] = []

    async def __aenter__(self) -> "Moving":
        await self.old.__aenter__()
        await self.new.__aenter__()
        await self.old.place()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.old.__aexit__(None, None, None)
        await self.new.__aexit__(None, None, None)

    def tell(self, *messages: Message) -> None:
        for message in messages:
            self.told.append(message)
            self.old.link.send(message)

    @property
    def said(self) -> list[Utterance]:
        return [message for message in self.old.told if isinstance(message, Utterance)]

    async def move(
        self,
        *inputs: Message,
        said: Sequence[Utterance] | None = None,
        afresh: bool = False,
        got: SegmentHeard | None = None,
    ) -> None:
        """said: what the gateway has of the first agent's words; all of them unless told otherwise."""
        known = self.said if said is None else list(said)
        asked = [one.response for one in inputs if isinstance(one, Turn | Respond) and one.response]
        begun = [one.response for one in known if isinstance(one, ResponseStarted)]
        ended = {one.response for one in known if isinstance(one, ResponseFinished)}
        unfinished = tuple(key for key in dict.fromkeys([*begun, *asked]) if key not in ended)
        await self.new.place(attach=2, order=Converse(1, "gw", reason="agent ag is gone"))
        self.new.link.send(Recall(tuple(known), unfinished, afresh, len(inputs), got))
        for message in inputs:
            self.new.link.send(message)
        await asyncio.sleep(3)


SECOND = Turn(2, "item_u2", "And order 12?", "speech", 32_000, 48_000, True, "", "resp_2")
SLOW: Script = [
    [[Words("One two three, four five six. Seven eight nine ten.", "final_answer"), Wait(2), Words(" Eleven.")]],
    [[Words("That one is lost.", "final_answer")]],
]


def test_what_the_gateway_tells_again_changes_nothing() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(0.5)
            (first, *_) = (message for message in calls.said if isinstance(message, Say))
            heard = (SegmentHeard(first.item, 0, 24_000, 24_000), SegmentHeard(first.item, 1, 9_000, 24_000))
            calls.tell(
                Played(heard[0]),
                Placed("stt", "stt-b", "gone"),
                CallerLost(9_000),
                Interrupt(ASKED.response, "turn_detected", heard),
                SECOND,
            )
            await asyncio.sleep(3)
            before = await calls.old.events()
            await calls.move(*calls.told)

            assert [type(event) for event in (await calls.new.events())[len(before) :]] == [
                record.OwnerTook,
                record.HubAttached,
            ]
            assert calls.new.model.requests == []
            assert not calls.new.of(Say, ResponseStarted)

    run_virtual(scenario())


def test_what_only_the_gateway_knows_is_recorded_by_the_next_agent() -> None:
    async def scenario() -> None:
        store = HoldingStore()
        async with Moving(SLOW, store=store) as calls:
            store.holds = True
            calls.tell(ASKED)
            await asyncio.sleep(0.5)
            (first, *_) = (message for message in calls.said if isinstance(message, Say))
            heard = SegmentHeard(first.item, 0, 24_000, 24_000)
            calls.tell(
                Played(heard),
                Placed("stt", "stt-b", "gone"),
                CallerLost(9_000),
                Interrupt(ASKED.response, "turn_detected", (heard,)),
                SECOND,
            )
            await asyncio.sleep(3)
            await calls.move(*calls.told)

            view = await calls.new.view()
            assert [(item.role, item.heard_text) for item in view.items.values()] == [
                ("user", ASKED.text),
                ("assistant", "One two three,"),
                ("user", SECOND.text),
                ("assistant", ""),
            ]
            assert [one.status for one in view.responses.values()] == ["cancelled", "completed"]
            assert (view.stages, view.audio_lost, view.strays) == ({"stt": "stt-b"}, [9_000], 0)
            assert calls.new.model.requests == []

    run_virtual(scenario())


def test_a_response_that_runs_nowhere_can_be_interrupted() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(0.5)
            said = calls.said
            heard = tuple(SegmentHeard(one.item, one.index, 24_000, 24_000) for one in said if isinstance(one, Say))[:1]
            await calls.move(ASKED, Interrupt(ASKED.response, "turn_detected", heard), said=said)

            view = await calls.new.view()
            (item,) = (item for item in view.items.values() if item.role == "assistant")
            assert (item.status, item.heard_text) == ("interrupted", "One two three,")
            assert view.responses[ASKED.response].status == "cancelled"
            assert [done.status for done in calls.new.finished] == ["cancelled"]
            assert calls.new.of(Say) == []

    run_virtual(scenario())


def test_a_turn_that_the_last_agent_never_heard_of_is_answered_and_ends_what_was_open() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(0.5)
            await calls.move(ASKED, SECOND)

            view = await calls.new.view()
            assert [(one.status, one.reason) for one in view.responses.values()] == [
                ("cancelled", "superseded"),
                ("completed", ""),
            ]
            assert calls.new.said[-1] == "That one is lost."
            assert [done.response for done in calls.new.finished] == [ASKED.response, SECOND.response]

    run_virtual(scenario())


def test_a_turn_that_was_taken_back_stays_away() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED, Retract(ASKED.turn, ASKED.item), SECOND)
            await asyncio.sleep(3)
            before = len(await calls.old.events())
            await calls.move(*calls.told)

            view = await calls.new.view()
            assert (list(view.items)[:1], view.turns) == ([SECOND.item], 1)
            assert len(await calls.new.events()) == before + 2

    run_virtual(scenario())


def test_the_words_of_a_client_for_one_response_go_on_with_it() -> None:
    async def scenario() -> None:
        async with Moving([[[Wait(1), Words("Yes.", "final_answer")]]]) as calls:
            calls.tell(Respond("Be very short.", "resp_r"))
            await asyncio.sleep(0.5)
            await calls.move(Respond("Be very short.", "resp_r"))

            assert [request.instructions for request in calls.new.model.requests] == ["Be very short."]
            assert calls.new.said == ["Yes."]

    run_virtual(scenario())


def test_a_tool_that_runs_while_its_agent_is_lost_is_waited_for() -> None:
    async def scenario() -> None:
        async with Moving(WITH_PHASES) as calls:
            calls.old.runner.answer = lambda order: None
            calls.tell(ASKED)
            await asyncio.sleep(0.5)
            (order,) = calls.old.runner.orders
            attempt = Attempt(CALL, order.key, 1)
            started = calls.claims.claims[attempt]
            result = ToolResult(order.tool_call, "ok", '"Found."', "tr")
            calls.claims.claims[attempt] = StoredClaim(2, msgspec.structs.replace(started.claim, result=result))
            await calls.move(ASKED)

            assert calls.new.runner.orders == []
            assert [tool.status for tool in (await calls.new.view()).tools.values()] == ["ok"]
            assert calls.new.said[-1].startswith("before noon.")

    run_virtual(scenario())


def test_a_gateway_that_is_new_to_the_call_is_told_what_nobody_heard() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(3)
            first, *rest = (one for one in calls.said if isinstance(one, Say))
            calls.tell(Played(SegmentHeard(first.item, 0, 24_000, 24_000)))
            await asyncio.sleep(1)
            await calls.move(said=[], afresh=True)

            said = [message for message in calls.new.told if isinstance(message, Utterance)]
            text = "".join(one.text for one in [first, *rest])
            assert said == [
                ResponseStarted(ASKED.response, 1),
                ItemStarted(ASKED.response, first.item, "final_answer"),
                *rest,
                ItemFinished(ASKED.response, first.item, text, "final_answer"),
                ResponseFinished(ASKED.response, "completed"),
            ]

    run_virtual(scenario())


@pytest.mark.parametrize(("got", "again"), [(24_000, 1), (20_000, 0)])
def test_what_the_client_never_got_is_said_again_though_it_counts_as_heard(got: int, again: int) -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(3)
            said = [one for one in calls.said if isinstance(one, Say)]
            for one in said:
                calls.tell(Played(SegmentHeard(one.item, one.index, 24_000, 24_000)))
            await asyncio.sleep(1)
            await calls.move(said=[], afresh=True, got=SegmentHeard(said[0].item, 0, got, 0))

            assert len(said) > 1
            assert [one for one in calls.new.told if isinstance(one, Say)] == said[again:]

    run_virtual(scenario())


def test_a_client_that_got_nothing_is_told_all_of_it_though_it_counts_as_heard() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(3)
            said = [one for one in calls.said if isinstance(one, Say)]
            for one in said:
                calls.tell(Played(SegmentHeard(one.item, one.index, 24_000, 24_000)))
            await asyncio.sleep(1)
            await calls.move(said=[], afresh=True, got=SegmentHeard("", 0, 0, 0))

            assert [one for one in calls.new.told if isinstance(one, Say)] == said

    run_virtual(scenario())


def test_a_new_gateway_hears_nothing_of_what_the_conversation_has_gone_past() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(3)
            calls.tell(SECOND)
            await asyncio.sleep(1)
            last = [one for one in calls.said if isinstance(one, Say)][-1]
            calls.tell(Played(SegmentHeard(last.item, last.index, 24_000, 24_000)))
            await asyncio.sleep(1)
            await calls.move(said=[], afresh=True)

            assert calls.new.of(Say, ResponseStarted) == []

    run_virtual(scenario())


def test_an_old_agent_that_goes_on_is_fenced_and_falls_silent() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(0.5)
            said = calls.said
            await calls.move(ASKED, said=said)  # the old one runs on meanwhile, and says Eleven
            silent_from = len(calls.old.told)
            calls.old.link.send(SECOND)
            await asyncio.sleep(3)

            assert "".join(text for _, text in texts_of(await calls.new.view())).endswith("ten. Eleven.")
            assert len((await calls.new.view()).responses) == 1
            assert calls.old.service.load() == (0, 10)
            assert {type(message) for message in calls.old.told[silent_from:]} <= {CallFailed}
            owners = [event.worker for event in await calls.new.events() if isinstance(event, record.OwnerTook)]
            assert owners == ["ag", "ag2"]

    run_virtual(scenario())


def test_nothing_of_a_takeover_is_called_stored_before_the_gateway_has_repeated_everything() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(0.5)
            said = tuple(calls.said)
            await calls.old.hang_up("moved")
            await calls.new.place(attach=2, order=Converse(1, "gw", reason="agent ag is gone"))
            await asyncio.sleep(1)
            before = calls.new.of(Stored)
            calls.new.link.send(Recall(said, (ASKED.response,), False, 1))
            await asyncio.sleep(1)
            assert calls.new.of(Stored) == before == [Stored(1, 1)]  # Converse, Attached
            calls.new.link.send(ASKED)
            await asyncio.sleep(1)

            last = calls.new.of(Stored)[-1]
            assert isinstance(last, Stored)
            assert last.received == 3

    run_virtual(scenario())


def test_a_call_that_ends_during_a_takeover_leaves_nothing_open() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(0.5)
            await calls.new.place(attach=2, order=Converse(1, "gw", reason="agent ag is gone"))
            calls.new.link.send(Recall(tuple(calls.said), (ASKED.response,), False, 5))
            await calls.new.hang_up()

            view = await calls.new.view()
            assert view.ended is not None
            assert [one.status for one in view.responses.values()] == ["cancelled"]
            assert all(item.status != "in_progress" for item in view.items.values())

    run_virtual(scenario())


def test_an_apology_that_was_cut_is_said_to_its_end() -> None:
    model = ScriptedModel([[[Words("I think", "final_answer"), Fail("out of memory")]]])
    whole = undisturbed(model)
    expected = Hub(whole.said).texts()
    for cut in whole.cuts():
        after = taken_over(cut, model)

        assert after.hub.texts() == texts_of(after.view) == expected
        assert after.view.responses[ASKED.response].status == after.hub.responses[ASKED.response].status == "failed"


def test_a_response_that_nobody_knows_of_is_ended() -> None:
    async def scenario() -> None:
        async with Moving(SLOW) as calls:
            calls.tell(ASKED)
            await asyncio.sleep(3)
            await calls.new.place(attach=2, order=Converse(1, "gw", reason="agent ag is gone"))
            calls.new.link.send(Recall((), ("resp_ghost",), False, 0))
            await asyncio.sleep(1)

            assert [(one.response, one.status) for one in calls.new.finished] == [("resp_ghost", "failed")]

    run_virtual(scenario())


def test_several_losses_in_a_row_are_survived() -> None:
    model = ScriptedModel(WITHOUT_PHASES)
    whole = undisturbed(model)
    expected = Hub(whole.said).texts()

    async def scenario(seed: int) -> None:
        chance = random.Random(seed)
        store, hub, said = MemoryRecordStore(), Hub(), list[Utterance]()
        claims = MemoryClaimStore()
        for attach in range(1, 7):
            async with Scene(
                model=Slow(model, chance.random() * 0.3), store=store, claims=claims, worker=f"ag{attach}"
            ) as scene:
                heard_from = len(said)
                order = Converse(1, "gw", reason="gone" if attach > 1 else "")
                await scene.place(attach=attach, order=order)
                if attach > 1:
                    unfinished = (ASKED.response,) if ASKED.response not in hub.ended else ()
                    scene.link.send(Recall(tuple(said), unfinished, False, 1))
                scene.link.send(ASKED)
                await asyncio.sleep(3 if attach == 6 else chance.random() * 0.8)
                reached = [message for message in scene.told if isinstance(message, Utterance)]
                if attach < 6:
                    reached = reached[: chance.randint(max(0, len(reached) - 2), len(reached))]
                said += reached
                for message in said[heard_from:]:
                    hub.hear(message)
                await scene.hang_up("moved")
                last = scene
        view = await last.view()
        assert hub.texts() == texts_of(view) == expected
        assert [tool.status for tool in view.tools.values()] == ["ok"]
        assert view.strays == 0
        assert view.responses[ASKED.response].status == hub.responses[ASKED.response].status == "completed"

    for seed in range(30):
        run_virtual(scenario(seed))
