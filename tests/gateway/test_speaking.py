"""The speaking side of a call when its TTS or agent is another: each segment is heard once, whole and in order."""

from trunkline.bus.port import Headers
from trunkline.gateway.call_events import AudioSaid, CallEvent, ItemOpened, ResponseEnded, ResponseOpened, WordsSaid
from trunkline.gateway.owed import REMEMBERED_OVER
from trunkline.gateway.speaking import Speaking
from trunkline.gateway.synthesis import PROGRESS_SAMPLES
from trunkline.proto import response as r
from trunkline.proto import speaking as sp
from trunkline.proto.audio import SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message

STEP = SPEECH_RATE_HZ // 50


class Stage:
    """A speaking side on a clock of its own; a segment's audio is its text, each letter 100 samples."""

    def __init__(self) -> None:
        self.now = 0
        self.events: list[CallEvent] = []
        self.agent: list[Message] = []
        self.orders: list[sp.Synthesise] = []
        self.hung_up: list[str] = []
        self.speaking = Speaking(
            lambda: self.now,
            emit=self.events.append,
            tell_agent=self.agent.append,
            on_free=lambda turn: None,
            on_hang_up=self.hung_up.append,
        )
        self.speaking.start()

    def place(self) -> None:
        self.orders = []
        self.speaking.tts_placed(self._take)

    def _take(self, message: Message, headers: Headers | None) -> None:
        if isinstance(message, sp.Synthesise):
            self.orders.append(message)

    def send(self, segment: int, position: int, pcm: bytes, *, last: bool = False) -> None:
        self.speaking.on_chunk(AudioChunk(1, 1, segment, position, pcm, last))

    def say(self, *segments: str, response: str = "resp_a", item: str = "item_a") -> None:
        said: list[r.Utterance] = [r.ResponseStarted(response, 0), r.ItemStarted(response, item, "final_answer")]
        said += [r.Say(response, item, index, text) for index, text in enumerate(segments)]
        said += [r.ItemFinished(response, item, "".join(segments), None), r.ResponseFinished(response, "completed")]
        for message in said:
            self.speaking.on_agent(message, None)

    def says_in(self, voice: str, *segments: str) -> None:
        self.speaking.on_agent(r.ResponseStarted("resp_a", 0), None)
        self.speaking.on_agent(started_in(voice), None)
        self.say(*segments)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.now += STEP
            self.speaking.pump()

    def audio(self) -> bytes:
        return b"".join(event.pcm for event in self.events if isinstance(event, AudioSaid))

    def kinds(self, *kinds: type[CallEvent]) -> list[CallEvent]:
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def played(self) -> list[tuple[int, int]]:
        return [(m.heard.index, m.heard.heard_samples) for m in self.agent if isinstance(m, r.Played)]


def started_in(voice: str) -> r.ItemStarted:
    return r.ItemStarted("resp_a", "item_a", "final_answer", voice=voice)


def pcm(letter: str, samples: int) -> bytes:
    return (letter.encode() * 2) * samples


def test_what_a_lost_worker_left_is_ordered_from_its_next_sample_and_heard_once() -> None:
    stage = Stage()
    stage.place()
    stage.say("one", "two")
    stage.send(1, 0, pcm("a", 10_000), last=True)
    stage.speaking.on_tts(sp.SegmentSpoken(1, 10_000))
    stage.send(2, 0, pcm("b", 4_000))
    stage.run(0.1)
    stage.speaking.tts_lost()
    stage.run(0.5)
    stage.place()

    [order] = stage.orders
    assert (order.segment, order.from_sample, order.urgent) == (2, 4_000, True)
    stage.send(2, 4_000, pcm("c", 3_000), last=True)
    stage.speaking.on_tts(sp.SegmentSpoken(2, 7_000))
    stage.run(2.0)
    assert stage.audio() == pcm("a", 10_000) + pcm("b", 4_000) + pcm("c", 3_000)
    assert stage.played == [(0, 10_000), (1, 7_000)]
    said = stage.kinds(AudioSaid)
    assert [(e.segment, e.position) for e in said if isinstance(e, AudioSaid)] == positions(said)
    assert len(stage.kinds(WordsSaid)) == 2


def positions(said: list[CallEvent]) -> list[tuple[int, int]]:
    """What each piece must begin at, if nothing is missing or doubled."""
    at: dict[int, int] = {}
    found = []
    for event in said:
        assert isinstance(event, AudioSaid)
        found.append((event.segment, at.get(event.segment, 0)))
        at[event.segment] = found[-1][1] + len(event.pcm) // 2
    return found


def test_a_shorter_rendering_by_another_worker_ends_the_segment() -> None:
    stage = Stage()
    stage.place()
    stage.say("one", "two")
    stage.send(1, 0, pcm("a", 8_000))
    stage.speaking.on_tts(sp.SegmentSpoken(1, 9_000))  # of which the rest never came
    stage.place()
    stage.speaking.on_tts(sp.SegmentSpoken(1, 7_000))
    stage.send(2, 0, pcm("b", 100), last=True)
    stage.run(2.0)

    assert stage.audio() == pcm("a", 8_000) + pcm("b", 100)
    assert stage.played == [(0, 8_000), (1, 100)]
    assert stage.kinds(ResponseEnded)


def test_a_segment_keeps_the_voice_that_it_began_with() -> None:
    stage = Stage()
    stage.speaking.voice = "first"
    stage.place()
    stage.say("one")
    stage.speaking.voice = "second"
    stage.place()

    assert [order.voice for order in stage.orders] == ["first"]


def test_tts_may_be_moved_while_nothing_is_incomplete() -> None:
    stage = Stage()
    stage.place()
    assert stage.speaking.tts_movable
    stage.say("one")
    assert not stage.speaking.tts_movable
    stage.send(1, 0, pcm("a", 50_000), last=True)
    assert stage.speaking.tts_movable
    stage.place()

    assert stage.orders == []


def test_a_worker_that_is_mute_for_three_seconds_is_stalled() -> None:
    stage = Stage()
    stage.place()
    stage.run(10.0)
    stage.say("one", "two")
    stage.run(2.0)
    stage.send(1, 0, pcm("a", 100))
    stage.run(PROGRESS_SAMPLES / SPEECH_RATE_HZ)
    assert not stage.speaking.tts_stalled(stage.now / SPEECH_RATE_HZ)
    stage.run(0.1)

    assert stage.speaking.tts_stalled(stage.now / SPEECH_RATE_HZ)
    stage.place()
    assert not stage.speaking.tts_stalled(stage.now / SPEECH_RATE_HZ)


def test_what_another_agent_says_again_counts_once() -> None:
    stage = Stage()
    stage.place()
    stage.speaking.on_agent(r.ResponseStarted("resp_a", 0), None)
    stage.speaking.on_agent(r.ItemStarted("resp_a", "item_a", "final_answer"), None)
    stage.speaking.on_agent(r.Say("resp_a", "item_a", 0, "one"), None)
    stage.say("one", "two")
    stage.say("one", "two")
    for segment in (1, 2):
        stage.send(segment, 0, pcm("a", 100), last=True)
    stage.run(2.0)
    stage.say("one", "two")

    assert [type(event) for event in stage.kinds(ResponseOpened, ItemOpened, WordsSaid, ResponseEnded)] == [
        ResponseOpened,
        ItemOpened,
        WordsSaid,
        WordsSaid,
        ResponseEnded,
    ]
    assert stage.played == [(0, 100), (1, 100)]


def test_a_cancelled_response_that_is_said_again_is_not_heard() -> None:
    stage = Stage()
    stage.place()
    stage.say("one", "two")
    stage.run(0.1)
    stage.speaking.interrupt("turn_detected")
    before = list(stage.events)
    for n in range(REMEMBERED_OVER - 1):
        stage.speaking.on_agent(r.ResponseStarted(f"resp_{n}", 0), None)
        stage.speaking.on_agent(r.ResponseFinished(f"resp_{n}", "completed"), None)
    after = len(stage.events)
    stage.say("one", "two")

    assert before
    assert len(stage.events) == after


def test_what_the_agent_owes_is_known_until_it_is_finished_or_cancelled() -> None:
    stage = Stage()
    speaking = stage.speaking
    assert not speaking.owed.anything
    stage.now = 5
    speaking.expect(1, response="resp_a")
    assert (speaking.owed.unfinished, speaking.owed.anything, speaking.owed.waits_since) == (("resp_a",), True, 5)
    speaking.on_agent(r.ResponseStarted("resp_b", 1), None)  # not the one that was asked for
    assert speaking.owed.waits_since == 5
    speaking.on_agent(r.ResponseFinished("resp_b", "completed"), None)
    speaking.on_agent(r.ResponseStarted("resp_a", 1), None)
    assert (speaking.owed.unfinished, speaking.owed.anything, speaking.owed.waits_since) == (("resp_a",), True, None)
    speaking.on_agent(r.ResponseFinished("resp_a", "completed"), None)

    assert (speaking.owed.unfinished, speaking.owed.anything) == ((), False)


def test_a_response_that_was_cancelled_before_it_began_is_owed_until_it_begins() -> None:
    stage = Stage()
    stage.speaking.expect(1, response="resp_a")
    stage.speaking.interrupt("client_cancelled")
    assert stage.speaking.owed.unfinished == ("resp_a",)
    stage.speaking.on_agent(r.ResponseStarted("resp_a", 1), None)

    assert stage.speaking.owed.unfinished == ()
    assert [m for m in stage.agent if isinstance(m, r.Interrupt)] == [r.Interrupt("resp_a", "client_cancelled", ())]
    assert not stage.speaking.slot_taken


def test_what_a_client_has_from_an_earlier_gateway_is_not_said_again() -> None:
    stage = Stage()
    stage.speaking.adopt_progress({("item_a", 0): 5_000, ("item_a", 1): 2_000})
    stage.place()
    stage.say("one", "two", "three")
    assert [(order.segment, order.from_sample) for order in stage.orders] == [(1, 5_000), (2, 2_000), (3, 0)]
    stage.send(1, 5_000, b"", last=True)  # nothing is left of it
    stage.speaking.on_tts(sp.SegmentSpoken(1, 5_000))
    stage.send(2, 2_000, pcm("b", 1_000), last=True)
    stage.send(3, 0, pcm("c", 1_000), last=True)
    stage.run(1.0)

    assert stage.audio() == pcm("b", 1_000) + pcm("c", 1_000)
    assert stage.played == [(0, 5_000), (1, 3_000), (2, 1_000)]


def test_an_item_is_spoken_in_its_own_voice_and_the_next_in_the_sessions() -> None:
    stage = Stage()
    stage.speaking.voice = "joe"
    stage.place()
    stage.says_in("amy", "one", "two")
    stage.send(1, 0, pcm("a", 1_000), last=True)
    stage.run(0.5)
    stage.say("three", response="resp_b", item="item_b")

    assert [(order.text, order.voice) for order in stage.orders] == [("one", "amy"), ("two", "amy"), ("three", "joe")]


def test_an_items_voice_survives_another_agent_and_another_tts_worker() -> None:
    stage = Stage()
    stage.speaking.voice = "joe"
    stage.place()
    for message in (r.ResponseStarted("resp_a", 0), started_in("amy"), r.Say("resp_a", "item_a", 0, "one")):
        stage.speaking.on_agent(message, None)
    stage.says_in("amy", "one", "two")  # the next agent, from the beginning
    stage.speaking.voice = "ann"  # of what comes later
    stage.speaking.tts_lost()
    stage.place()

    assert [(order.text, order.voice) for order in stage.orders] == [("one", "amy"), ("two", "amy")]


def test_a_gateway_that_is_new_to_the_call_speaks_what_is_said_again_in_its_voice() -> None:
    stage = Stage()
    stage.speaking.voice = "joe"
    stage.speaking.adopt_progress({("item_a", 0): 5_000})
    stage.place()
    stage.says_in("amy", "one", "two")

    assert [(order.from_sample, order.voice) for order in stage.orders] == [(5_000, "amy"), (0, "amy")]


def test_a_voice_of_one_item_is_not_another_items() -> None:
    stage = Stage()
    stage.place()
    stage.speaking.on_agent(r.ResponseStarted("resp_a", 0), None)
    stage.speaking.on_agent(started_in("amy"), None)
    stage.speaking.on_agent(r.ItemStarted("resp_a", "item_b", "final_answer"), None)
    stage.speaking.on_agent(r.Say("resp_a", "item_b", 0, "mine"), None)
    stage.speaking.on_agent(r.Say("resp_a", "item_a", 0, "hers"), None)

    assert [(order.text, order.voice) for order in stage.orders] == [("mine", ""), ("hers", "amy")]


def test_a_client_that_is_away_hears_nothing_and_the_agent_learns_of_no_interruption() -> None:
    stage = Stage()
    stage.place()
    stage.say("one")
    stage.send(1, 0, pcm("a", 48_000), last=True)
    stage.run(0.5)
    stage.speaking.suspend()
    before = len(stage.events)
    stage.run(1.0)
    assert len(stage.events) == before
    assert stage.speaking.due is None
    assert stage.agent == []
    stage.speaking.hung_up()

    [interrupt] = stage.agent
    assert isinstance(interrupt, r.Interrupt)
    assert interrupt.heard[0].heard_samples == 12_000


def test_who_speaks_as_the_last_word_ends_is_not_hung_up_on_by_the_next_agent() -> None:
    stage = Stage()
    stage.place()
    stage.say("Goodbye.")
    stage.speaking.on_agent(r.HangUp("agent_hung_up"), None)
    stage.send(1, 0, bytes(2 * 800), last=True)
    stage.now += 800  # all of it is heard, and the beat that would hang up is still to come
    stage.speaking.interrupt("turn_detected")
    stage.speaking.on_agent(r.HangUp("agent_hung_up"), None)
    stage.run(0.5)

    assert stage.played == [(0, 800)]
    assert stage.hung_up == []
