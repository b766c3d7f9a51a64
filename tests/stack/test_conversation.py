"""Whole calls to the real stack: phases, commentary before a slow tool's result, barge-in, echo."""

import asyncio
from datetime import datetime
from statistics import median

from stack import lines, placing
from support import judge
from support.running_stack import RunningStack
from trunkline.audio import pcm
from trunkline.cli.caller import Caller
from trunkline.cli.record_json import CallRecord
from trunkline.proto.audio import SPEECH_RATE_HZ

STOP_LIMIT_S = 0.3
INTERRUPTIONS = 3
ECHO_DB = -20.0
# What the front desk tells, and what differs from it in one word alone.
WEATHERS = [
    "The weather in Tokyo is 18 degrees and light rain.",
    *(f"The weather in Tokyo is {number} degrees and light rain." for number in (6, 16, 17, 19)),
    *(f"The weather in Tokyo is 18 degrees and {sky}." for sky in ("drizzle", "light snow", "sunny")),
    *(f"The weather in {city} is 18 degrees and light rain." for city in ("Cairo", "Oslo")),
]
ORDERS = [
    "Order 4 7 1 2 was shipped yesterday and arrives tomorrow.",
    *(f"Order {digits} was shipped yesterday and arrives tomorrow." for digits in ("4 7 1 3", "4 7 1", "1 2 3 4")),
    *(f"Order 4 7 1 2 {status}." for status in ("is not in our books", "was cancelled", "arrives on Friday")),
]


def at_of(record: CallRecord, kind: str) -> list[str]:
    """Times of the events of a type; ISO 8601 in UTC sorts by time."""
    return [str(event["at"]) for event in record.events if event["type"] == kind]


def test_a_call_is_answered_in_speech_that_another_recogniser_understands(stack: RunningStack) -> None:
    said = [lines.spoken("weather_tokyo.wav"), lines.spoken("order_status.wav")]

    report, record, caller = placing.place(stack, said)

    answers = [turn.items[-1].item for turn in caller.listener.turns[1:]]
    heard, sounds = [_heard_of(caller, item) for item in answers], [_sound_of(caller, item) for item in answers]
    print(heard)
    assert [(tool.name, tool.status) for tool in record.tools] == [("get_weather", "ok"), ("lookup_order", "ok")]
    assert [
        judge.likeliest(sounds[0], SPEECH_RATE_HZ, WEATHERS),
        judge.likeliest(sounds[1], SPEECH_RATE_HZ, ORDERS),
    ] == [
        WEATHERS[0],
        ORDERS[0],
    ]
    assert [turn.answer for turn in report.turns] == [WEATHERS[0], ORDERS[0]]
    assert all(judge.word_error_rate(turn.answer, words) < 0.5 for turn, words in zip(report.turns, heard, strict=True))
    assert [item.phase for item in record.items if item.role == "assistant"] == [
        "final_answer",  # the greeting
        *["commentary", "final_answer"] * 2,
    ]
    assert all(item.heard_text == item.text for item in record.items)


def test_commentary_is_heard_before_the_result_of_a_slow_tool_and_the_answer_after(stack: RunningStack) -> None:
    report, record, caller = placing.place(stack, [lines.spoken("weather_tokyo.wav")], agent="slow")

    (turn,) = report.turns
    (item,) = (item for item in caller.listener.turns[1].items if item.phase == "commentary")
    (result_at,) = at_of(record, "result")
    commentary_at_s = caller.began_s + item.first_sample / SPEECH_RATE_HZ
    assert commentary_at_s < _wall_s(result_at) - 1.0
    assert turn.commentary_audio_s is not None
    assert turn.answer_audio_s is not None
    assert turn.answer_audio_s > turn.commentary_audio_s + 1.0
    assert [item.phase for item in record.items if item.role == "assistant"] == ["commentary", "final_answer"]


def test_speech_while_the_agent_speaks_stops_it_and_the_record_has_what_was_heard(stack: RunningStack) -> None:
    async def interrupt() -> tuple[list[float], CallRecord, Caller]:
        async with Caller(stack.address, agent="talker") as caller:
            stops_s = []
            for _ in range(INTERRUPTIONS):
                asked = await caller.say(lines.spoken("Tell me the weather story."))
                await caller.reply_heard(asked, for_s=5.0)
                stops_s.append(await _interrupt(caller))
        return stops_s, await placing.record_of(stack, caller), caller

    stops_s, record, caller = asyncio.run(interrupt())

    print("the agent stopped so many seconds after the caller's first sound:", stops_s)
    print("underruns:", caller.listener.player.underruns)
    cut = [item for item in record.items if item.status == "interrupted"]
    assert len(cut) == INTERRUPTIONS
    assert median(stops_s) <= STOP_LIMIT_S
    assert [turn.interrupted for turn in caller.listener.turns[1:]] == [True, False] * INTERRUPTIONS
    assert all(item.text.startswith(item.heard_text) and 0 < len(item.heard_text) < len(item.text) for item in cut)
    assert all(judge.word_error_rate(item.heard_text, _heard_of(caller, item.id)) < 0.35 for item in cut)


def test_the_agents_own_sound_fed_back_does_not_interrupt_it(stack: RunningStack) -> None:
    async def listen() -> tuple[CallRecord, Caller]:
        async with Caller(stack.address, agent="talker", echo_db=ECHO_DB) as caller:
            await caller.reply(await caller.say(lines.spoken("Tell me the weather story.")), limit_s=60.0)
            await asyncio.sleep(2.0)  # for a turn that would be made of the echo
        return await placing.record_of(stack, caller), caller

    record, caller = asyncio.run(listen())

    assert [item.status for item in record.items] == ["completed"] * len(record.items)
    assert sum(item.role == "user" for item in record.items) == 1
    assert not any(item.interrupted for turn in caller.listener.turns for item in turn.items)


def test_two_calls_at_a_time_are_answered_each_for_itself(stack: RunningStack) -> None:
    said = [lines.spoken("weather_tokyo.wav"), lines.spoken("order_status.wav")]

    assert placing.tools_asked(stack, said, agent="frontdesk") == [
        [("get_weather", {"city": "tokyo"})],
        [("lookup_order", {"order_number": "4712"})],
    ]


async def _interrupt(caller: Caller) -> float:
    """Speaks over the agent; seconds from the line's first audible sample to the last that the agent's had."""
    line = lines.spoken("wait_stop.wav")
    over = await caller.say(line)
    onset = over.speech_end - line.voiced_end + int(_onset_s(line.samples) * SPEECH_RATE_HZ)
    silent_since = caller.listener.silent_since
    await caller.reply(over)
    return round((silent_since - onset) / SPEECH_RATE_HZ, 3)


def _onset_s(samples: pcm.Samples) -> float:
    """When the first 10 ms window above -40 dBFS begins."""
    size = SPEECH_RATE_HZ // 100
    windows = (index for index in range(0, len(samples), size) if pcm.level_dbfs(samples[index : index + size]) > -40)
    return next(windows) / SPEECH_RATE_HZ


def _heard_of(caller: Caller, item_id: str) -> str:
    """What the judge hears of one item's sound."""
    return judge.hear(_sound_of(caller, item_id), SPEECH_RATE_HZ)


def _sound_of(caller: Caller, item_id: str) -> pcm.Samples:
    (item,) = (item for turn in caller.listener.turns for item in turn.items if item.item == item_id)
    player = caller.listener.player
    return player.render(item.first_sample, player.heard(item_id, player.end))


def _wall_s(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
