"""One call through all five services: its phases, its trace, its failures, and what does not disturb it."""

import os
from collections.abc import AsyncGenerator

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.virtual import run_over_sockets
from system.whole import Whole, hum
from trunkline.agent.models.local import LocalModel
from trunkline.agent.models.seam import MessageItem, ModelEvent, ModelRequest, ToolOutputItem
from trunkline.proto import subjects
from trunkline.proto.record import PlayedOut, ToolFinished, ToolIntended
from trunkline.telemetry import tracing

WEATHER = "What is the weather in Tokyo?"


class Watched(LocalModel):
    """Keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[ModelRequest] = []

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.requests.append(request)
        async for event in super().respond(request):
            yield event


def test_commentary_and_answer_keep_their_phases_to_the_caller_the_record_and_the_model() -> None:
    async def main() -> None:
        model = Watched()
        async with Whole(WEATHER, model=model) as whole:
            (turn,), view, _ = await whole.conversation(1)

        said = [(item.phase, item.text) for item in view.items.values() if item.turn == 1 and item.role == "assistant"]
        assert said == [
            ("commentary", "One moment, let me check the weather in Tokyo."),
            ("final_answer", "It is sunny in Tokyo."),
        ]
        assert [(item.phase, item.text) for item in turn.items] == said
        second_round = model.requests[-1].items
        assert MessageItem("assistant", "commentary", said[0][1]) in second_round
        assert any(isinstance(item, ToolOutputItem) and item.status == "ok" for item in second_round)

    run_over_sockets(main())


def test_commentary_is_heard_before_the_result_of_a_tool_that_takes_two_seconds() -> None:
    async def main() -> None:
        async with Whole("Please search the archive.") as whole:
            (turn,), view, events = await whole.conversation(1)

        intended = next(event for event in events if isinstance(event, ToolIntended))
        finished = next(event for event in events if isinstance(event, ToolFinished))
        assert finished.at_us - intended.at_us > 1_900_000
        played = [event for event in events if isinstance(event, PlayedOut)]
        commentary, answer = (item.item for item in turn.items)
        assert max(event.at_us for event in played if event.item == commentary) < finished.at_us
        assert min(event.at_us for event in played if event.item == answer) > finished.at_us
        assert [view.items[item].phase for item in (commentary, answer)] == ["commentary", "final_answer"]

    run_over_sockets(main())


def test_one_turn_is_one_trace_over_five_services() -> None:
    exporter = InMemorySpanExporter()

    async def main() -> str:
        tracing.configure("test", "test-1", exporter)
        async with Whole(WEATHER) as whole, whole.caller() as caller:
            await caller.greeting()
            turn = await caller.say(hum())
            await caller.reply(turn, 10.0)
        return caller.call_id

    call = run_over_sockets(main())
    tracing.shutdown()

    spans = exporter.get_finished_spans()
    assert {span.context.trace_id for span in spans if span.context} == {tracing.trace_id_of(call)}
    assert {"turn", "stt.utterance", "agent.response", "tts.segment"} <= {span.name for span in spans}
    by_id = {span.context.span_id: span for span in spans if span.context}
    assert by_id[tracing.root_span_id_of(call)].parent is None
    above = {span.name: _above(span, by_id) for span in spans}
    assert all(names[-1] == "call" for name, names in above.items() if name != "call")
    assert "turn" in above["agent.response"]
    assert {"turn", "agent.response"} <= set(above["execute_tool get_weather"])
    assert "turn" in above["tts.segment"]


def _above(span: ReadableSpan, by_id: dict[int, ReadableSpan]) -> list[str]:
    names = []
    while span.parent is not None:
        span = by_id[span.parent.span_id]
        names.append(span.name)
    return names


def test_a_tool_that_raises_or_hangs_is_said_in_words_and_the_call_goes_on() -> None:
    async def main() -> None:
        async with Whole("Print a form on the printer.", "Call the lighthouse.", WEATHER) as whole:
            turns, view, _ = await whole.conversation(3)

        assert [tool.status for tool in view.tools.values()] == ["error", "timeout", "ok"]
        answers = [[item.text for item in turn.items if item.phase == "final_answer"] for turn in turns]
        assert all(len(answer) == 1 and answer[0] for answer in answers)
        assert answers[2] == ["It is sunny in Tokyo."]
        assert "paper" in next(tool.output for tool in view.tools.values())

    run_over_sockets(main())


def test_garbage_on_every_inbox_disturbs_no_call() -> None:
    async def main() -> None:
        async with Whole(WEATHER) as whole, whole.caller() as caller:
            await caller.greeting()
            for stage, process in whole.processes.items():
                for token in (caller.call_id, subjects.AUDIO, "rtc_00_nobody"):
                    for size in (0, 1, 7, 900):
                        process.bus.publish(subjects.inbox(stage, process.worker, token), os.urandom(size))
            whole.processes["agent"].bus.publish(subjects.tool("get_weather", caller.call_id), b"\xc1\xc1")
            turn = await caller.say(hum())
            await caller.reply(turn, 10.0)

        assert [item.text for item in turn.items if item.phase == "final_answer"] == ["It is sunny in Tokyo."]

    run_over_sockets(main())


def test_a_caller_who_goes_away_in_mid_answer_ends_the_call_everywhere_and_no_other() -> None:
    async def main() -> None:
        async with Whole(WEATHER) as whole, whole.caller() as stays:
            await stays.greeting()
            async with whole.caller() as leaves:
                await leaves.greeting()
                turn = await leaves.say(hum())
                await leaves.reply_heard(turn, 0.05)
            turn = await stays.say(hum())
            await stays.reply(turn, 10.0)
            view, _ = await whole.record(leaves.call_id)
            assert view.ended is not None
            assert view.ended.reason == "caller_hung_up"
            assert [p.describe().calls for s, p in whole.processes.items() if s != "tool_runner"] == [1, 1, 1, 1]
            assert [item.text for item in turn.items if item.phase == "final_answer"] == ["It is sunny in Tokyo."]

    run_over_sockets(main())
