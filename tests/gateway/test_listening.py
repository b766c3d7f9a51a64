"""Another STT worker hears the caller again: each utterance stays one item and makes one turn, wherever the cut falls.

The workers here end utterances by the real rules; the words of an utterance are the levels of its audio, so that they
are known by the audio alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.audio import echo, pcm
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import resample
from trunkline.audio.ring import Ring
from trunkline.bus.exchange import Link
from trunkline.gateway import decisions as d
from trunkline.gateway.listening import CHUNK_BYTES, RING_SAMPLES, Listening
from trunkline.gateway.playout import Playout
from trunkline.gateway.turns import Policy, Turns
from trunkline.proto import speech as s
from trunkline.proto.audio import CALLER_RATE_HZ, SAMPLE_BYTES, SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadInput
from trunkline.stt import endpointing as e
from trunkline.stt.vad import WINDOW_SAMPLES

FRAME = 640


class Stt:
    """A worker whose words come at once; `told` is what has not reached the hub yet."""

    attach = 1

    def __init__(self, from_sample: int, rules: s.TurnRules) -> None:
        self.told: list[Message] = []
        self.chunks: list[AudioChunk] = []
        self.orders: list[Message] = []
        self._ring = Ring(60 * CALLER_RATE_HZ, from_sample)
        self._endpointer = e.Endpointer(rules, from_sample)
        self._listened_to = self._quiet_to = from_sample
        self._words: dict[int, str] = {e.NO_ATTEMPT: ""}

    def send(self, message: Message) -> None:
        self.orders.append(message)
        match message:
            case s.Finish():
                self._take(self._endpointer.finish(message.utterance, message.from_sample, message.to_sample))
            case s.Discard():
                self._take(self._endpointer.discard(message.to_sample))

    def flush_audio(self) -> None:
        """Nothing waits here."""

    def hasten(self) -> None:
        """Nor here."""

    def send_audio(self, chunk: AudioChunk) -> None:
        assert chunk.position == self._ring.end
        self.chunks.append(chunk)
        self._ring.append(pcm.from_bytes(chunk.pcm))
        while self._ring.end - self._endpointer.heard_to >= WINDOW_SAMPLES:
            at = self._endpointer.heard_to
            window = self._ring.read(at, at + WINDOW_SAMPLES)
            self._take(self._endpointer.hear(1.0 if np.abs(window).max() > 200 else 0.0))
            if self._endpointer.heard_to - self._listened_to >= CALLER_RATE_HZ:
                self._listened_to = self._endpointer.heard_to
                before, self._quiet_to = self._quiet_to, self._endpointer.quiet_to()
                silent = self._quiet_to > before
                self.told.append(
                    s.Silent(self._quiet_to, self._listened_to) if silent else s.Listened(self._listened_to)
                )

    def _take(self, decided: Iterable[e.Decision]) -> None:
        for decision in decided:
            match decision:
                case e.Started():
                    self.told.append(s.SpeechStarted(decision.utterance, decision.at_sample))
                case e.Attempt(number=number):
                    self._words[number] = words(
                        self._ring.read(decision.from_sample, min(decision.to_sample, self._ring.end))
                    )
                    self._take(self._endpointer.recognised(number, self._words[number]))
                case e.Stopped():
                    if decision.announced:
                        self.told.append(s.SpeechStopped(decision.utterance, decision.to_sample))
                    text = self._words[decision.attempt]
                    self.told.append(s.Final(decision.utterance, text, decision.from_sample, decision.to_sample))


def words(samples: Samples) -> str:
    """The levels in it, loud ones alone, in order."""
    loud = np.abs(samples[::80])
    levels = loud[loud > 200]
    return " ".join(str(level) for level in dict.fromkeys(levels.tolist())) + "." if len(levels) else ""


class Hub:
    """The listening side of a call on a clock that goes with the audio."""

    def __init__(self, *, automatic: bool = True, busy: bool = False) -> None:
        ids = count(1)
        self.rules = s.TurnRules(automatic=automatic)
        self.turns = Turns(lambda: f"item_{next(ids)}")
        self.turns.policy = Policy(automatic=automatic)
        self.playout = Playout()
        self.decided: list[d.Decision] = []
        self.now = 0
        self.listening = Listening(
            1, self.turns, self.playout, clock=lambda: self.now, busy=lambda: busy, decide=self._carry_out
        )
        self.stt: Stt | None = None
        self.facts = 0

    def place(self) -> Stt:
        from_sample = self.listening.replay_from
        self.stt = Stt(from_sample, self.rules)
        self.listening.stt_placed(cast(Link, self.stt), from_sample)
        return self.stt

    def lose(self) -> None:
        self.stt = None
        self.listening.stt_lost()

    def hear(self, samples: Samples) -> None:
        self.now += len(samples) * SPEECH_RATE_HZ // CALLER_RATE_HZ
        self.listening.hear(pcm.to_bytes(samples))

    def deliver(self, *, at_most: int = 1_000_000) -> None:
        while self.stt is not None and self.stt.told and at_most:
            self.listening.on_stt(self.stt.told.pop(0))
            self.facts += 1
            at_most -= 1

    def _carry_out(self, decided: list[d.Decision]) -> None:
        self.decided += decided
        for decision in decided:
            match decision:
                case d.OrderFinish():
                    self.listening.finish(decision.utterance, decision.from_sample, decision.to_sample)
                case d.OrderDiscard():
                    self.listening.discard(decision.from_sample, decision.to_sample)

    def all(self, kind: type[d.Decision]) -> list[d.Decision]:
        return [decision for decision in self.decided if isinstance(decision, kind)]

    @property
    def texts(self) -> list[str]:
        return [turn.text for turn in self.decided if isinstance(turn, d.TakeTurn) and turn.text]

    @property
    def held(self) -> bool:
        ends = [x for x in self.decided if isinstance(x, d.Hold | d.Resume | d.Flush)]
        return bool(ends) and isinstance(ends[-1], d.Hold)


def silent(seconds: float) -> Samples:
    return np.zeros(round(seconds * CALLER_RATE_HZ), dtype=np.int16)


def tone(level: int, seconds: float) -> Samples:
    return np.tile(np.array([level, -level], dtype=np.int16), round(seconds * CALLER_RATE_HZ / 2))


def say(hub: Hub, samples: Samples, *, each: Callable[[], None] | None = None) -> None:
    """In frames of 40 ms; what STT tells arrives with the next."""
    for at in range(0, len(samples), FRAME):
        hub.hear(samples[at : at + FRAME])
        if each is not None:
            each()
        else:
            hub.deliver()


SAID = st.lists(
    st.tuples(st.sampled_from([0.2, 0.3, 0.7, 1.5, 3.0]), st.sampled_from([0.1, 0.3, 0.8, 1.1, 2.5])),
    min_size=1,
    max_size=6,
)
LOSSES = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 100)), max_size=4)


def sound(said: list[tuple[float, float]]) -> Samples:
    parts = [part for n, (voice_s, pause_s) in enumerate(said) for part in (tone(1000 + n, voice_s), silent(pause_s))]
    return np.concatenate([silent(0.5), *parts, silent(4.0)])


class Losing:
    """After so many facts a worker is lost, with what it still had to tell; so many frames later comes another."""

    def __init__(self, hub: Hub, losses: list[tuple[int, int]]) -> None:
        self.hub = hub
        self.losses = list(losses)
        self.away = 0
        self.left = self.losses[0][0] if self.losses else None

    def __call__(self) -> None:
        hub = self.hub
        if hub.stt is None:
            if self.away:
                self.away -= 1
                return
            hub.place()
        if self.left is None:
            hub.deliver()
            return
        before = hub.facts
        hub.deliver(at_most=self.left)
        self.left -= hub.facts - before
        if not self.left:
            hub.lose()
            _, self.away = self.losses.pop(0)
            self.left = self.losses[0][0] if self.losses else None


@given(SAID, LOSSES, st.booleans())
def test_wherever_workers_are_lost_the_turns_are_those_of_an_undisturbed_call(
    said: list[tuple[float, float]], losses: list[tuple[int, int]], busy: bool
) -> None:
    undisturbed, hub = Hub(busy=busy), Hub(busy=busy)
    undisturbed.place()
    hub.place()
    say(undisturbed, sound(said))
    say(hub, sound(said), each=Losing(hub, losses))
    if hub.stt is None:
        hub.place()
    say(hub, silent(4.0))
    say(undisturbed, silent(4.0))

    assert hub.texts == undisturbed.texts
    assert len(hub.all(d.AnnounceStarted)) == len(undisturbed.all(d.AnnounceStarted))
    assert_each_item_is_told_once(hub)
    assert not hub.held
    assert not hub.turns.unsettled
    assert not hub.turns.speaking
    assert hub.listening.ring.end - hub.listening.settled_to < 2 * CALLER_RATE_HZ


def test_words_of_audio_that_a_client_ended_meanwhile_are_told_once() -> None:
    hub = Hub()
    hub.place()
    say(hub, np.concatenate((silent(0.5), tone(1000, 0.3))))
    hub.lose()
    say(hub, np.concatenate((tone(1000, 0.7), silent(2.0))))
    hub._carry_out(hub.turns.commit(hub.listening.ring.end))
    hub.place()
    while not hub.texts:
        hub.deliver(at_most=1)
    assert hub.turns.unsettled  # the answer to the commit is still to come
    hub.lose()
    hub.place()
    say(hub, silent(1.0))

    assert hub.texts == ["1000."]
    assert not hub.turns.unsettled


def test_audio_that_a_client_ended_is_heard_by_the_next_worker_though_the_utterance_in_it_had_no_words() -> None:
    hub = Hub()
    hub.place()
    say(hub, np.concatenate((silent(0.5), tone(1000, 1.0))))
    hub._carry_out(hub.turns.commit(hub.listening.ring.end))
    assert hub.stt is not None
    while not isinstance(hub.stt.told[0], s.Final):  # of what VAD had begun, without words: they are the client's
        hub.deliver(at_most=1)
    hub.deliver(at_most=1)
    assert hub.turns.unsettled
    hub.lose()
    hub.place()
    say(hub, silent(1.0))

    assert hub.texts == ["1000."]


@given(SAID, LOSSES, st.sets(st.integers(0, 5)))
def test_what_a_client_ends_makes_the_same_turns_wherever_workers_are_lost(
    said: list[tuple[float, float]], losses: list[tuple[int, int]], cleared: set[int]
) -> None:
    def push_to_talk(hub: Hub, each: Callable[[], None] | None) -> None:
        for n, (voice_s, pause_s) in enumerate(said):
            say(hub, np.concatenate((tone(1000 + n, voice_s), silent(pause_s))), each=each)
            if n in cleared:
                hub._carry_out(hub.turns.clear(hub.listening.ring.end))
            else:
                hub._carry_out(hub.turns.commit(hub.listening.ring.end))
        say(hub, silent(1.0), each=each)

    undisturbed, hub = Hub(automatic=False), Hub(automatic=False)
    undisturbed.place()
    hub.place()
    push_to_talk(undisturbed, None)
    push_to_talk(hub, Losing(hub, losses))
    if hub.stt is None:
        hub.place()
    say(hub, silent(1.0))

    assert hub.texts == undisturbed.texts == [f"{1000 + n}." for n in range(len(said)) if n not in cleared]
    assert_each_item_is_told_once(hub)
    assert not hub.turns.unsettled


@given(
    SAID, LOSSES, st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["commit", "clear", "typed"])), max_size=5)
)
def test_a_client_that_acts_while_workers_are_lost_leaves_nothing_stuck_and_nothing_doubled(
    said: list[tuple[float, float]], losses: list[tuple[int, int]], acts: list[tuple[int, str]]
) -> None:
    hub = Hub(busy=True)
    hub.place()
    losing, frames, todo, typed = Losing(hub, losses), count(), sorted(acts), count()

    def each() -> None:
        losing()
        now = next(frames)
        while todo and todo[0][0] <= now:
            _, act = todo.pop(0)
            end = hub.listening.ring.end
            try:
                match act:
                    case "commit":
                        hub._carry_out(hub.turns.commit(end))
                    case "clear":
                        hub._carry_out(hub.turns.clear(end))
                    case _:
                        hub._carry_out(hub.turns.typed(f"typed_{next(typed)}", "typed"))
            except BadInput:
                pass

    say(hub, sound(said), each=each)
    if hub.stt is None:
        hub.place()
    say(hub, silent(4.0))

    heard = [word for text in hub.texts if text != "typed" for word in text.rstrip(".").split()]
    numbers = [turn.turn for turn in hub.decided if isinstance(turn, d.TakeTurn) and turn.turn]
    assert heard == sorted(heard)
    assert numbers == list(range(1, len(numbers) + 1))
    assert hub.texts.count("typed") == next(typed)
    if not any(act == "clear" for _, act in acts):
        assert set(heard) == {str(1000 + n) for n in range(len(said))}
    assert_each_item_is_told_once(hub)
    assert not hub.held
    assert not hub.turns.unsettled


def assert_each_item_is_told_once(hub: Hub) -> None:
    for kind in (d.AnnounceStarted, d.AnnounceStopped, d.CommitAudio, d.TakeTurn):
        items = Counter(decision.item for decision in hub.decided if isinstance(decision, kind))
        assert not [item for item, times in items.items() if times > 1], kind
    started = {x.item for x in hub.decided if isinstance(x, d.AnnounceStarted)}
    stopped = {x.item for x in hub.decided if isinstance(x, d.AnnounceStopped)}
    assert started == stopped


def test_the_ring_is_replayed_in_pieces_to_the_worker_that_comes_and_then_audio_goes_on() -> None:
    hub = Hub()
    say(hub, tone(1000, 2.5))
    worker = hub.place()
    hub.hear(tone(1000, 0.02))

    assert [(chunk.position, len(chunk.pcm) // 2) for chunk in worker.chunks] == [
        (0, CHUNK_BYTES // SAMPLE_BYTES),
        (16_000, CHUNK_BYTES // SAMPLE_BYTES),
        (32_000, 8_000),
        (40_000, 320),
    ]


def test_audio_that_was_let_go_since_the_order_is_silence_to_the_new_worker() -> None:
    hub = Hub()
    hub.place()
    from_sample = hub.listening.replay_from
    say(hub, np.concatenate((tone(1000, 1.0), silent(1.0), tone(1001, 0.5))))
    assert hub.texts == ["1000."]
    later = Stt(from_sample, hub.rules)
    hub.stt = later
    hub.listening.stt_placed(cast(Link, later), from_sample)  # the old one told words while the new one was asked
    say(hub, silent(2.0))

    assert hub.texts == ["1000.", "1001."]
    assert_each_item_is_told_once(hub)


def test_thirty_seconds_without_a_worker_are_heard_and_what_is_older_is_silence() -> None:
    hub = Hub()
    hub.place()
    say(hub, tone(1000, 1.0))
    hub.lose()
    say(hub, np.concatenate((silent(2.0), tone(1001, 1.0), silent(26.0), tone(1002, 1.0), silent(1.0))))
    assert hub.listening.ring.end - hub.listening.replay_from == RING_SAMPLES
    hub.place()
    say(hub, silent(2.0))

    assert hub.texts == ["1001.", "1002."]
    assert_each_item_is_told_once(hub)
    assert not hub.turns.unsettled


def test_audio_before_an_utterance_without_words_is_kept_though_a_later_one_has_its() -> None:
    hub = Hub()
    worker = hub.place()
    say(hub, np.concatenate((silent(2.0), tone(1000, 1.0), silent(1.0))), each=lambda: None)
    for fact in worker.told:
        if not isinstance(fact, s.Final | s.Silent):
            hub.listening.on_stt(fact)
    hub.listening.on_stt(s.SpeechStarted(2, 64_500))
    hub.listening.on_stt(s.Final(2, "", 64_000, 66_000))

    assert hub.listening.settled_to <= 32_000 - 1_600


def test_what_the_next_worker_does_not_hear_ends_by_how_far_it_judged_not_by_what_may_be_let_go_of() -> None:
    hub = Hub()
    hub.place()
    say(hub, np.concatenate((silent(1.0), tone(1000, 1.0))))
    assert hub.turns.under_way
    hub.lose()
    hub.place()
    hub.listening.on_stt(s.Silent(8_000, judged_to=hub.listening.ring.end))

    assert not hub.turns.under_way


@pytest.mark.parametrize("mute", ["at once", "in an utterance", "after its end", "after a commit"])
def test_a_worker_without_progress_for_three_seconds_is_stalled(mute: str) -> None:
    hub = Hub()
    worker = hub.place()
    say(hub, np.concatenate((silent(3.0), tone(1000, 1.0), silent(1.0), silent(2.0))))
    assert not hub.listening.stalled(hub.now / SPEECH_RATE_HZ)
    match mute:
        case "in an utterance":
            say(hub, tone(1000, 1.0))
        case "after its end":
            say(hub, np.concatenate((tone(1000, 1.0), silent(0.3))))
            hub.listening.on_stt(s.SpeechStopped(2, hub.listening.ring.end - 4800))
            say(hub, silent(2.9), each=lambda: keep_listening(hub))
        case "after a commit":
            hub._carry_out(hub.turns.commit(hub.listening.ring.end))
            say(hub, silent(2.9), each=lambda: keep_listening(hub))
    if mute in ("at once", "in an utterance"):
        worker.told.clear()
        say(hub, silent(1.9), each=lambda: None)
    assert not hub.listening.stalled(hub.now / SPEECH_RATE_HZ)
    say(hub, silent(1.2), each=lambda: None if mute in ("at once", "in an utterance") else keep_listening(hub))

    assert hub.listening.stalled(hub.now / SPEECH_RATE_HZ)
    hub.place()
    assert not hub.listening.stalled(hub.now / SPEECH_RATE_HZ)


def keep_listening(hub: Hub) -> None:
    """Its detector works, its recogniser does not."""
    hub.listening.on_stt(s.Listened(hub.listening.ring.end))


def test_nobody_is_stalled_who_was_given_nothing() -> None:
    hub = Hub()
    hub.place()
    say(hub, silent(0.7))
    hub.now += 10 * SPEECH_RATE_HZ

    assert not hub.listening.stalled(hub.now / SPEECH_RATE_HZ)


def test_an_echo_that_was_discarded_does_not_come_back_as_speech() -> None:
    hub = Hub(busy=True)
    hub.place()
    say(hub, silent(1.0))
    verdicts = iter([True])
    hub.listening._echo.verdict = lambda end: next(verdicts, False)  # type: ignore[method-assign]
    say(hub, tone(1000, 0.12))
    assert hub.all(d.OrderDiscard)
    hub.lose()
    hub.place()
    say(hub, np.concatenate((silent(2.0), tone(1001, 0.5), silent(1.0))))

    assert hub.texts == ["1001."]


def test_a_caller_who_speaks_into_an_echo_is_heard_by_the_next_worker_too() -> None:
    hub = Hub(busy=True)
    hub.place()
    say(hub, silent(1.0))
    verdicts = iter([True])
    hub.listening._echo.verdict = lambda end: next(verdicts, False)  # type: ignore[method-assign]
    say(hub, np.concatenate((tone(1000, 0.1), tone(1001, 0.5))))
    assert hub.all(d.OrderDiscard)
    hub.lose()
    hub.place()
    say(hub, silent(2.0))

    assert hub.texts == ["1001."]


def test_an_utterance_that_is_heard_again_keeps_its_item_its_hold_and_its_verdict() -> None:
    hub = Hub(busy=True)
    hub.place()
    say(hub, np.concatenate((silent(1.0), tone(1000, 0.16))))
    verdicts: list[int] = []
    hub.listening._echo.verdict = lambda end: bool(verdicts.append(end))  # type: ignore[method-assign, func-returns-value]
    hub.lose()
    hub.place()
    hub.deliver()
    assert verdicts == []
    say(hub, np.concatenate((tone(1000, 0.5), silent(2.0))))

    assert [x for x in hub.decided if isinstance(x, d.Hold | d.Resume | d.Flush)] == [d.Hold(), d.Flush()]
    assert [x.item for x in hub.all(d.AnnounceStarted)] == ["item_1"]  # type: ignore[union-attr]
    assert hub.texts == ["1000."]


def test_a_hold_does_not_outlast_the_worker_that_could_end_it_for_long() -> None:
    hub = Hub(busy=True)
    hub.place()
    say(hub, np.concatenate((silent(1.0), tone(1000, 0.12))))
    assert hub.held
    hub.lose()
    say(hub, silent(1.8))
    assert hub.held
    say(hub, silent(0.4))

    assert hub.all(d.Resume)
    hub.place()
    say(hub, silent(2.0))
    assert hub.texts == ["1000."]


def test_the_rest_of_an_echo_whose_beginning_was_discarded_is_still_told_as_one() -> None:
    hub = Hub(busy=True)
    rng = np.random.default_rng(3)
    voice = np.repeat(rng.integers(-8000, 8000, CALLER_RATE_HZ, dtype=np.int16), 2)  # two seconds, most below 4 kHz
    played = echo.thin(pcm.to_bytes(resample(voice, CALLER_RATE_HZ, SPEECH_RATE_HZ)))
    hub.playout.played_lately = lambda now: True  # type: ignore[method-assign]
    hub.playout.recent = lambda now, samples: played[max(0, (now - samples) // 3) : now // 3]  # type: ignore[method-assign]
    came_back = (voice // 10).astype(np.int16)
    verdicts = []
    for at in range(0, CALLER_RATE_HZ, FRAME):
        hub.hear(came_back[at : at + FRAME])
        end = hub.listening.ring.end
        verdicts.append(hub.listening._echo.verdict(end))
        hub.listening.discard(0, end)

    assert verdicts[8:] == [True] * len(verdicts[8:])
