"""The plain dialect, and the arithmetic of the side-by-side measurement."""

import pytest

from bench.peers import plain, report, verdict
from bench.peers.dialect import PLAIN
from bench.peers.verdict import CYCLE_S, Run, Spread, trouble
from load.told import Told
from trunkline.cli.load.frames import Opcode
from trunkline.cli.load.own import REPLY, SEGMENT_MS

FRAME = bytes(2 * plain.RATE_HZ // 50)
SERVED_MS = [3.0] * 20  # of ten calls, ten turns' time


def test_every_stack_replies_with_the_same_words_for_as_long() -> None:
    assert plain.REPLY_TEXT.encode() in REPLY
    assert plain.REPLY_MS == SEGMENT_MS


def a_run(stack: str, cost_ms: float, **changes: object) -> Run:
    figures: dict[str, object] = {
        "calls": 10,
        "repeat": 0,
        "seconds": 9.0,
        "cpu_ms": {"server": cost_ms / 2, "nats": cost_ms / 2},
        "added_ms": SERVED_MS,
        "rss_kb_per_call": 50.0,
        "setup_p50_ms": 4.0,
        "lateness_p99_ms": 2.0,
        "core_share": 0.3,
        "foreign_share": 0.01,
    }
    return Run(stack=stack, **(figures | changes))  # type: ignore[arg-type]


def trouble_of(**changes: object) -> str:
    kept_up: dict[str, object] = {
        "added_ms": SERVED_MS,
        "calls": 10,
        "seconds": 2 * CYCLE_S,
        "core_share": 0.5,
        "failures": [],
        "heard": 1.0,
    }
    return trouble(**(kept_up | changes))  # type: ignore[arg-type]


def test_a_caller_sends_samples_as_they_are_and_says_commit_in_text() -> None:
    assert [PLAIN.frame(FRAME), *PLAIN.commit()] == [(Opcode.BINARY, FRAME), (Opcode.TEXT, b"commit")]


def test_a_caller_hears_readiness_sound_and_the_end_of_a_reply() -> None:
    ear = Told()

    for opcode, payload in ((Opcode.TEXT, b"ready"), (Opcode.BINARY, FRAME), (Opcode.TEXT, b"done")):
        PLAIN.read(opcode, payload, ear)

    assert ear.things == ["set up", "may speak", 0.02, "reply over"]


def test_a_word_that_is_none_of_the_dialect_ends_the_call() -> None:
    ear = Told()

    PLAIN.read(Opcode.TEXT, b"hello", ear)

    assert ear.things == ["not a word of this dialect: b'hello'"]


def test_a_reply_lasts_two_seconds_and_no_frame_of_it_is_silent() -> None:
    tone = plain.tone()

    frames = [tone[at : at + len(FRAME)] for at in range(0, len(tone), len(FRAME))]

    assert (
        len(frames),
        all(frame != FRAME and len(frame) == len(FRAME) for frame in frames),
    ) == (plain.REPLY_MS // 20, True)


def test_a_server_that_answers_every_turn_in_time_keeps_up() -> None:
    assert trouble_of() == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"failures": ["no reply within 15 s", "another"]}, "2 calls failed: no reply within 15 s"),
        ({"added_ms": SERVED_MS[:16]}, "16 turns where the clock allows 20"),
        ({"added_ms": [40.0] * 10 + [120.0] * 10}, "its first audio grew from 40 to 120 ms"),
        ({"heard": 0.8}, "80% of its replies' sound came"),
        ({"core_share": 0.97}, "its process fills a core (97%)"),
    ],
)
def test_a_server_that_does_not_keep_up_is_told_of_with_the_reason(changes: dict[str, object], told: str) -> None:
    assert told == trouble_of(**changes)


def test_a_slow_first_audio_that_stays_as_it_is_is_no_trouble() -> None:
    assert trouble_of(added_ms=[150.0] * 20) == ""


def test_ratios_are_of_the_two_runs_of_a_repeat() -> None:
    runs = [a_run("ours", 2.0), a_run("theirs", 20.0), a_run("ours", 4.0, repeat=1), a_run("theirs", 20.0, repeat=1)]

    assert Spread(7.5, 5.0, 10.0) == verdict.ratio(runs, "theirs", "ours", 10)


@pytest.mark.parametrize("spoilt", [{"lateness_p99_ms": 26.0}, {"foreign_share": 0.2}])
def test_a_run_that_the_callers_or_other_programs_spoilt_counts_nowhere(spoilt: dict[str, object]) -> None:
    runs = [a_run("ours", 2.0), a_run("theirs", 20.0), a_run("ours", 1.0, repeat=1, **spoilt)]

    cost = verdict.of(runs, "ours", 10, lambda run: run.cpu_ms_total)

    assert Spread(2.0, 2.0, 2.0) == cost


def test_the_table_has_medians_spreads_and_who_could_not_keep_up() -> None:
    runs = [
        *(a_run("trunkline binary", cost, repeat=at) for at, cost in enumerate((3.0, 2.0, 2.5))),
        *(a_run("theirs", 30.0, repeat=at) for at in range(3)),
        *(a_run("theirs", 90.0, calls=50, repeat=at, trouble="too slow") for at in range(3)),
    ]

    rows = report.section("how", runs).splitlines()

    assert [
        next(row for row in rows if row.startswith(begin))
        for begin in ("| trunkline binary", "| theirs", "| theirs | 12", "* theirs")
    ] == [
        "| trunkline binary | 2.50 (2.00–3.00) | – |",
        "| theirs | 30.0 | can't keep up |",
        "| theirs | 12.0x (10.0–15.0) | can't keep up |",
        "* theirs, 50 calls, repeat 1: can't keep up: too slow.",
    ]
