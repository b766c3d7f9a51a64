"""The line to the agent, without a bus: what is kept, what a later agent is told, and in which order."""

import pytest

from trunkline.bus.link import LinkState
from trunkline.bus.port import Headers
from trunkline.gateway import agent_line
from trunkline.gateway.agent_line import AgentLine
from trunkline.proto import response as r
from trunkline.proto.envelope import Message
from trunkline.proto.errors import TrunklineError


class FakeLink:
    """Everything sent is in `sent`; `says` counts as the agent's next message."""

    def __init__(self) -> None:
        self.state = LinkState()
        self.sent: list[Message] = []
        self.headers: list[Headers | None] = []

    def send(self, message: Message, *, headers: Headers | None = None) -> None:
        self.state.send(message, headers, 0.0)
        self.sent.append(message)
        self.headers.append(headers)

    def hasten(self) -> None:
        """Nothing waits here."""


class Scene:
    def __init__(self, *, afresh: bool = False) -> None:
        self.unfinished: tuple[str, ...] = ()
        self.line = AgentLine(lambda: self.unfinished, afresh=afresh)

    def agent(self, *, recall: bool = False) -> FakeLink:
        self.link = FakeLink()
        self.line.placed(self.link, recall=recall)  # type: ignore[arg-type]
        return self.link

    def says(self, *messages: Message) -> None:
        for message in messages:
            self.link.state.received += 1
            self.line.hear(message)


def turn(number: int) -> r.Turn:
    return r.Turn(number, f"item_{number}", "words", "text", response=f"resp_{number}")


STARTED = r.ResponseStarted("resp_1", 1)
ITEM = r.ItemStarted("resp_1", "item_a", None)
SAY = r.Say("resp_1", "item_a", 0, "One moment. ")
MORE = r.Say("resp_1", "item_a", 1, "There.")


def test_the_first_agent_is_told_at_once_and_without_a_recall() -> None:
    scene = Scene()
    link = scene.agent()
    scene.line.tell(turn(1), {"traceparent": "00-1"})

    assert link.sent == [turn(1)]
    assert link.headers == [{"traceparent": "00-1"}]


def test_what_is_told_while_nobody_is_there_waits_in_order() -> None:
    scene = Scene()
    scene.line.tell(turn(1))
    scene.line.tell(turn(2))
    link = scene.agent()

    assert link.sent == [turn(1), turn(2)]


def test_the_next_agent_is_told_what_was_said_and_told_and_is_not_known_to_be_recorded() -> None:
    scene = Scene()
    scene.agent()
    scene.line.tell(turn(1), {"traceparent": "00-1"})
    scene.says(STARTED, ITEM, SAY)
    scene.unfinished = ("resp_1",)
    scene.line.lost()
    scene.line.tell(turn(2))
    link = scene.agent(recall=True)

    assert link.sent == [r.Recall((STARTED, ITEM, SAY), ("resp_1",), False, 2), turn(1), turn(2)]
    assert link.headers == [None, {"traceparent": "00-1"}, None]


def test_what_is_stored_is_told_to_nobody_again() -> None:
    scene = Scene()
    scene.agent()
    scene.line.tell(turn(1))
    scene.line.tell(turn(2))
    scene.says(STARTED, ITEM, SAY, r.Stored(received=1, said=2))
    link = scene.agent(recall=True)

    assert link.sent == [r.Recall((SAY,), (), False, 1), turn(2)]


def test_an_agent_that_is_lost_before_it_stored_the_recall_leaves_everything_to_the_next() -> None:
    scene = Scene()
    scene.agent()
    scene.line.tell(turn(1))
    scene.says(STARTED, ITEM, SAY)
    scene.agent(recall=True)
    scene.says(MORE, r.Stored(received=0, said=0))
    link = scene.agent(recall=True)

    assert link.sent == [r.Recall((STARTED, ITEM, SAY, MORE), (), False, 1), turn(1)]


def test_what_earlier_agents_said_is_forgotten_once_the_recall_is_stored() -> None:
    scene = Scene()
    scene.agent()
    scene.line.tell(turn(1))
    scene.says(STARTED, ITEM, SAY)
    scene.agent(recall=True)
    scene.says(MORE, r.Stored(received=1, said=0))
    link = scene.agent(recall=True)

    assert link.sent == [r.Recall((MORE,), (), False, 1), turn(1)]


def test_what_is_told_again_is_covered_by_its_number_on_the_new_link() -> None:
    scene = Scene()
    scene.agent()
    scene.line.tell(turn(1))
    scene.line.tell(turn(2))
    scene.agent(recall=True)  # the recall is 1, the turns are 2 and 3
    scene.says(r.Stored(received=2, said=0))
    link = scene.agent(recall=True)

    assert link.sent == [r.Recall((), (), False, 1), turn(2)]


def test_what_is_not_of_the_conversation_is_not_recalled() -> None:
    scene = Scene()
    scene.agent()
    scene.says(r.HangUp("done"), r.Stored(0, 0))
    link = scene.agent(recall=True)

    assert link.sent == [r.Recall((), (), False, 0)]
    assert scene.line.kept == 0


def test_a_new_hub_asks_for_everything_afresh_until_that_is_stored() -> None:
    scene = Scene(afresh=True)
    first = scene.agent(recall=True)
    second = scene.agent(recall=True)
    scene.says(r.Stored(received=1, said=0))
    third = scene.agent(recall=True)

    recalls = [link.sent[0] for link in (first, second, third)]
    assert [recall.afresh for recall in recalls if isinstance(recall, r.Recall)] == [True, True, False]


@pytest.mark.parametrize("side", ["told", "said"])
def test_a_record_that_is_away_for_ever_fails_the_call(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_line, "KEPT_MESSAGES", 100)
    scene = Scene()
    scene.agent()
    step = (lambda: scene.line.tell(turn(1))) if side == "told" else (lambda: scene.says(SAY))
    for _ in range(100):
        step()

    with pytest.raises(TrunklineError, match="101 messages"):
        step()
