"""The parts of a run of chaos that decide: plan, aim, what callers hear, what a gap is, what is at rest."""

from collections import Counter

import msgspec
import pytest

from trunkline.cli.chaos import collect, evidence, gaps, scene
from trunkline.cli.chaos.ear import Ear
from trunkline.cli.chaos.evidence import Account, CallEvidence, Evidence, Fault, Piece, Resting, Said
from trunkline.cli.chaos.people import plan_of
from trunkline.cli.chaos.plan import LONGEST_STOP_S, SHORTEST_STOP_S, plan
from trunkline.cli.chaos.watch import Doing, LogLine, Told, Watch
from trunkline.client import ServerEvent
from trunkline.client.events import Response, Session
from trunkline.proto.placement import Beat
from trunkline.proto.subjects import STAGES, Stage

SECOND = 24_000


# the plan


def test_a_plan_comes_from_its_seed_alone() -> None:
    first, again, other = (plan(seed, 120, scene.FAULTS) for seed in (7, 7, 8))

    assert first == again
    assert first != other


def test_two_minutes_hold_every_fault_at_every_stage_three_times_and_most_are_aimed() -> None:
    planned = plan(1, 120, scene.FAULTS)
    counts = Counter((fault.kind, fault.stage) for fault in planned)

    assert len(counts) == len(scene.FAULTS) == 15
    assert min(counts.values()) >= 3
    assert sum(fault.aimed for fault in planned) > len(planned) / 2
    assert [fault.at_s for fault in planned] == sorted(fault.at_s for fault in planned)
    assert planned[-1].at_s < 120 - LONGEST_STOP_S / 2


def test_an_undisturbed_run_has_an_empty_plan() -> None:
    assert plan(1, 120, []) == []


def test_only_a_stop_has_a_length() -> None:
    for fault in plan(3, 60, scene.FAULTS):
        assert (fault.kind == "stop") == (SHORTEST_STOP_S <= fault.stop_s <= LONGEST_STOP_S)


# who is hit


def beat(stage: Stage, worker: str, pid: int = 1, *, draining: bool = False) -> Beat:
    return Beat(stage, worker, 1, 8, draining, "0", pid=pid)


def placed(call: str, gateway: str, *workers: str) -> list[LogLine]:
    return [LogLine("placed", gateway, call, worker) for worker in workers]


def watching() -> Watch:
    watch = Watch()
    for line in [
        *placed("rtc_1", "gateway-g", "stt-a", "agent-a", "tts-a"),
        *placed("rtc_2", "gateway-h", "stt-b", "agent-a", "tts-a"),
    ]:
        watch.on_log(line)
    return watch


def test_a_worker_holds_what_was_placed_there_last() -> None:
    watch = watching()

    watch.on_log(LogLine("placed", "gateway-h", "rtc_1", "stt-b"))

    assert watch.held(beat("stt", "stt-a")) == []
    assert watch.held(beat("stt", "stt-b")) == ["rtc_1", "rtc_2"]
    assert watch.held(beat("gateway", "gateway-g")) == []


@pytest.mark.parametrize(
    ("doing", "stages"),
    [
        (Doing.IDLE, []),
        (Doing.SPEAKING, ["gateway", "stt"]),
        (Doing.WAITING, ["gateway"]),
        (Doing.ANSWERED, ["gateway", "agent"]),
        (Doing.HEARING, ["gateway", "agent", "tts"]),
    ],
)
def test_who_is_in_mid_turn_depends_on_what_the_caller_is_at(doing: Doing, stages: list[Stage]) -> None:
    watch = watching()

    watch.on_told(Told("rtc_1", doing))

    of = {"gateway": "gateway-g", "stt": "stt-a", "agent": "agent-a", "tts": "tts-a", "tool_runner": "tool_runner-a"}
    assert [stage for stage in STAGES if watch.mid_turn(beat(stage, of[stage]))] == stages


def test_an_agent_can_be_hit_while_something_waits_for_a_person() -> None:
    watch = watching()

    watch.on_waiting({"rtc_2"})

    assert watch.waiting(beat("agent", "agent-a")) == ["rtc_2"]
    assert watch.waiting(beat("agent", "agent-b")) == watch.waiting(beat("stt", "stt-b")) == []


def test_a_runner_is_in_mid_turn_while_the_back_end_works_for_its_process() -> None:
    watch = watching()

    watch.on_running("call_1", 4711, "rtc_1")
    during = watch.mid_turn(beat("tool_runner", "tool_runner-a", 4711))
    watch.on_run("call_1")

    assert during == ["rtc_1"]
    assert watch.mid_turn(beat("tool_runner", "tool_runner-a", 4711)) == []


def test_only_workers_that_were_heard_lately_and_take_calls_can_be_chosen() -> None:
    watch = Watch()

    watch.on_beat(beat("stt", "stt-b"), 10.0)
    watch.on_beat(beat("stt", "stt-a"), 10.0)
    watch.on_beat(beat("stt", "stt-c", draining=True), 10.0)
    watch.on_beat(beat("stt", "stt-d"), 5.0)

    assert [worker.worker for worker in watch.workers("stt", 10.2)] == ["stt-a", "stt-b"]


def test_a_call_that_is_over_is_held_by_nobody() -> None:
    watch = watching()

    watch.on_told(Told("rtc_2", Doing.OVER))

    assert watch.held(beat("agent", "agent-a")) == ["rtc_1"]


# what a caller hears


def audio(samples: int, position: int = 0, segment: int = 0) -> ServerEvent:
    return ServerEvent(
        "response.output_audio.delta", item_id="item_1", segment=segment, position=position, samples=samples
    )


def told(item: str) -> ServerEvent:
    return ServerEvent("conversation.item.input_audio_transcription.completed", item_id=item, transcript="470311")


def test_an_answer_is_over_when_its_last_sound_is() -> None:
    ear = Ear()

    ear.on_event(ServerEvent("session.created", session=Session("sess_rtc_00_x")), 0.0)
    ear.on_event(ServerEvent("input_audio_buffer.committed", item_id="item_u"), 1.2)
    ear.on_event(told("item_u"), 1.3)
    before = ear.answered(1.0, 1.3)
    ear.on_event(ServerEvent("response.created", response=Response("resp_1")), 1.4)
    ear.on_event(audio(SECOND), 1.5)
    ear.on_event(ServerEvent("response.done", response=Response("resp_1")), 1.6)

    assert ear.call == "rtc_00_x"
    assert (before, ear.answered(1.0, 2.4), ear.answered(1.0, 2.6)) == (False, False, True)
    assert ear.sounding(1.0, 2.0) == 0.5
    assert ear.heard == [Piece("item_1", 0, 0, SECOND, 1.5)]


def test_news_that_come_before_his_words_are_known_are_no_answer_to_them() -> None:
    ear = Ear()

    ear.on_event(ServerEvent("input_audio_buffer.committed", item_id="item_u"), 1.2)
    ear.on_event(ServerEvent("response.created", response=Response("resp_1")), 1.3)
    ear.on_event(audio(SECOND), 1.3)
    ear.on_event(ServerEvent("response.done", response=Response("resp_1", "cancelled")), 1.4)
    ear.on_event(told("item_u"), 1.5)
    news = ear.answered(1.0, 3.0)
    ear.on_event(ServerEvent("response.created", response=Response("resp_2")), 3.0)
    ear.on_event(ServerEvent("response.done", response=Response("resp_2", "completed")), 3.1)

    assert (news, ear.answered(1.0, 4.0)) == (False, True)


def test_what_a_caller_never_gets_is_kept_if_he_does() -> None:
    ear = Ear()
    shown = '{"delta":"The secret is 470311."}'

    ear.on_event(ServerEvent("response.output_audio_transcript.delta", text="fine"), 1.0)
    ear.on_event(ServerEvent("response.output_audio_transcript.delta", text=shown), 1.0)

    assert ear.leaks == [shown]


def test_an_answer_that_has_stopped_sounding_for_a_moment_was_heard() -> None:
    ear = Ear()
    ear.on_event(ServerEvent("response.created", response=Response("resp_1")), 1.4)
    ear.on_event(audio(SECOND // 10), 1.5)

    assert ear.sounding(1.0, 1.7) == 0.0
    assert ear.heard_since(1.0)
    assert not ear.heard_since(1.6)


def test_an_old_answer_is_none_to_what_was_said_later() -> None:
    ear = Ear()
    ear.on_event(ServerEvent("response.created", response=Response("resp_1")), 1.0)
    ear.on_event(ServerEvent("response.done", response=Response("resp_1")), 1.1)

    assert not ear.answered(1.05, 2.0)


def test_a_response_that_was_lost_before_a_word_of_it_came_is_no_answer() -> None:
    ear = Ear()
    ear.on_event(ServerEvent("response.created", response=Response("resp_1")), 1.1)
    ear.on_event(ServerEvent("response.done", response=Response("resp_1", "incomplete")), 1.2)
    lost = ear.answered(1.0, 2.0)
    ear.on_event(ServerEvent("response.created", response=Response("resp_2")), 3.0)
    ear.on_event(ServerEvent("response.done", response=Response("resp_2", "completed")), 3.1)

    assert (lost, ear.answered(1.0, 4.0)) == (False, True)


def test_sound_stops_when_the_server_hears_the_caller_speak() -> None:
    ear = Ear()
    ear.on_event(audio(10 * SECOND), 1.0)

    ear.on_event(ServerEvent("input_audio_buffer.speech_started"), 3.0)

    assert ear.sound_end_s == 3.0


def test_every_reply_names_its_number_and_the_script_goes_round_with_the_kinds() -> None:
    kinds = [scene.kind_of(turn) for turn in range(1, 2 * len(scene.KINDS) + 1)]

    assert kinds[: len(scene.KINDS)] == kinds[len(scene.KINDS) :] == list(scene.KINDS)
    assert all("470311" in scene.reply(kind, scene.number(47, 3, 11)) for kind in kinds if kind.exact)
    assert len(msgspec.json.decode(scene.script())) == len(scene.KINDS)


def test_by_its_number_policy_knows_a_turn() -> None:
    words = [scene.number(47, 3, turn) for turn in range(1, len(scene.KINDS) + 1)]

    assert [scene.kind_of(int(said[-2:])).name for said in words if scene.is_refused(said)] == ["refused"]
    assert not any(scene.says_goodbye(said) for said in words)
    assert all(scene.says_goodbye(scene.goodbye(said)) for said in words)


def test_what_people_decide_comes_from_the_seed_and_the_number() -> None:
    plans = [plan_of(1, f"{number:06d}") for number in range(200)]

    assert plans == [plan_of(1, f"{number:06d}") for number in range(200)]
    assert {len(plan) for plan in plans} == {0, 1, 2}
    assert {one.choice for plan in plans for one in plan} == {"approve", "deny"}


# what a gap is


def talk(call: str, firsts_s: list[float], fault_hole_s: float = 0.0, longer_s: float = 0.0) -> CallEvidence:
    """Turns of ten seconds each: said for one, answered with two pieces after firsts_s."""
    said, heard = [], []
    for number, first_s in enumerate(firsts_s):
        began_s = 10.0 * number
        last = number == len(firsts_s) - 1
        hole_s = fault_hole_s if last else 0.0
        begin_s = began_s + 1.0 + first_s
        heard += [
            Piece(f"item_{number}", 0, 0, SECOND, begin_s),
            Piece(f"item_{number}", 0, SECOND, SECOND, begin_s + 1.0 + hole_s),
        ]
        over_s = begin_s + 2.0 + hole_s + (longer_s if last else 0.0)
        said.append(Said(str(number), began_s + 1.0, over_s, "", "short", began_s))
    return CallEvidence(call, [], Account(said, [], heard))


def measured(call: CallEvidence, fault: Fault) -> tuple[gaps.Figures, gaps.Figures]:
    by_kind, undisturbed = gaps.measure(Evidence([call], evidence.Run(faults=[fault])))
    assert undisturbed is not None
    return by_kind[fault.name], undisturbed


def test_a_late_first_sound_is_what_was_lost_against_the_undisturbed_median() -> None:
    gap, undisturbed = measured(
        talk("rtc_1", [0.5, 0.6, 0.5, 0.9]), Fault("kill", "stt", "stt-a", 1, 30.5, held=["rtc_1"])
    )

    assert gap == gaps.Figures(400.0, 400.0, 400.0, 1)
    assert (undisturbed.turns, undisturbed.worst) == (3, 100.0)


def test_a_hole_in_the_sound_is_lost_whatever_came_before() -> None:
    gap, _ = measured(talk("rtc_1", [0.5, 0.5], 0.25), Fault("kill", "tts", "tts-a", 1, 12.0, held=["rtc_1"]))

    assert gap.worst == pytest.approx(250.0)


def test_a_longer_turn_is_the_agents_and_the_tools_loss_alone() -> None:
    call = talk("rtc_1", [0.5, 0.5], longer_s=0.3)

    of_agent, _ = measured(call, Fault("kill", "agent", "agent-a", 1, 12.0, held=["rtc_1"]))
    of_voice, _ = measured(call, Fault("kill", "tts", "tts-a", 1, 12.0, held=["rtc_1"]))

    assert of_agent.worst == pytest.approx(300.0)
    assert of_voice.worst == 0.0


def test_a_turn_that_two_faults_touched_tells_of_neither() -> None:
    faults = [Fault("kill", stage, "w", 1, 12.0, held=["rtc_1"]) for stage in ("stt", "tts")]

    by_kind, undisturbed = gaps.measure(Evidence([talk("rtc_1", [0.5, 0.9])], evidence.Run(faults=faults)))

    assert by_kind == {}
    assert undisturbed is not None


def test_a_call_that_the_process_did_not_hold_is_undisturbed() -> None:
    fault = Fault("kill", "stt", "stt-a", 1, 12.0, held=["rtc_9"])

    by_kind, undisturbed = gaps.measure(Evidence([talk("rtc_1", [0.5, 0.5])], evidence.Run(faults=[fault])))

    assert by_kind == {}
    assert undisturbed == gaps.Figures(0.0, 0.0, 0.0, 2)


# at rest


def test_figures_are_read_off_a_page_of_metrics() -> None:
    page = (
        "# TYPE trunkline_worker_calls gauge\ntrunkline_worker_calls 3.0\n"
        "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 2.048e+06\n"
        "# TYPE trunkline_other gauge\ntrunkline_other 3.0\n"
    )

    assert collect.read_figures(page) == {"calls": 3.0, "rss_kb": 2000.0}


def test_a_process_that_was_not_there_before_is_held_to_the_most_of_its_stage() -> None:
    stages = {"stt-a": "stt", "stt-b": "stt", "stt-new": "stt", "tts-a": "tts"}
    before = {"stt-a": {"tasks": 7.0}, "stt-b": {"tasks": 8.0}, "tts-a": {"tasks": 20.0}}
    after = {"stt-a": {"tasks": 9.0}, "stt-new": {"tasks": 8.0}}

    resting = collect.at_rest(stages, before, after)

    assert resting == [Resting("stt-a", "tasks", 7.0, 9.0), Resting("stt-new", "tasks", 8.0, 8.0)]
