"""Pictures that a caller shows: what the record has of them, what a guardrail knows, and what the model is shown."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.scene import Scene
from agent.test_edits import ANSWER, YES, assistant, told
from agent.test_redaction import CARD, DIGITS, everything
from agent.test_takeover import Moving
from support.virtual import run_virtual
from trunkline.agent.image_places import moved
from trunkline.agent.models.history import WITHHELD, filtered
from trunkline.agent.models.scripted import Script, Wait, Words
from trunkline.agent.models.seam import HistoryItem, MessageItem
from trunkline.agents import Agent, Check, Said, Verdict, block, guardrail, rewrite
from trunkline.agents.policies import pii
from trunkline.proto.envelope import Message
from trunkline.proto.image import ShownImage
from trunkline.proto.response import Asked, Inserted, Respond, Retract, Turn
from trunkline.record import MemoryBucket
from trunkline.vault import Vault


def image(at: int = 0, file: str = "file_a") -> ShownImage:
    return ShownImage(file, at, "high", "image/png", 640, 480, 12_000)


def shows(item: str, text: str, *images: ShownImage, turn: int = 1) -> Turn:
    return Turn(turn, item, text, "text", respond=False, images=images)


def read(*turns: Message, agent: Agent | None = None, vault: Vault | None = None) -> list[HistoryItem]:
    """What the model is asked about in the end."""

    async def scenario() -> list[HistoryItem]:
        async with Scene(YES, agent=agent or Agent("desk"), vault=vault) as scene:
            await scene.place()
            await told(scene, *turns)
            return list(scene.model.requests[-1].items)

    return run_virtual(scenario())


def test_the_model_is_shown_what_the_caller_shows_where_it_stands() -> None:
    items = read(shows("u1", "This one?", image(4)), shows("u2", "", image(0, "file_b"), turn=2), ANSWER)

    assert items == [
        MessageItem("user", None, "This one?", (image(4),)),
        MessageItem("user", None, "", (image(0, "file_b"),)),
    ]


def test_the_record_refers_to_a_picture_and_the_next_agent_shows_it() -> None:
    slow: Script = [[[Words("Yes, one two three four five. ", "final_answer"), Wait(3), Words("Done.")]]]

    async def scenario() -> None:
        async with Moving(slow) as calls:
            calls.tell(shows("u1", "This one?", image(4)), ANSWER)
            await asyncio.sleep(1)
            (before,) = calls.old.model.requests
            await calls.move(ANSWER)

            assert calls.new.model.requests[0] == before
            assert before.items[0].images == (image(4),)  # type: ignore[union-attr]  # a message
            assert (await calls.new.view()).items["u1"].images == (image(4),)

    run_virtual(scenario())


def test_a_picture_whose_message_is_deleted_is_shown_no_more() -> None:
    assert read(shows("u1", "", image()), Retract(0, "u1"), ANSWER) == []


def test_a_response_with_a_context_of_its_own_shows_the_pictures_in_it() -> None:
    context = (Inserted("message", "x", "user", "Look.", images=(image(5),)), Inserted("reference", "u1"))
    asked = Respond(response="resp_a", asked=Asked(context=context, aside=True))

    items = read(shows("u1", "This one?", image(4)), asked)

    assert [(item.text, item.images) for item in items if isinstance(item, MessageItem)] == [
        ("Look.", (image(5),)),
        ("This one?", (image(4),)),
    ]


# policy


def test_a_guardrail_knows_what_is_shown_and_a_message_that_it_blocks_shows_nothing() -> None:
    known: list[tuple[ShownImage, ...]] = []

    @guardrail(on="input")
    def no_pictures(check: Check) -> Verdict | None:
        known.append(check.images)
        return block("I can't look at that.") if check.images else None

    agent = Agent("desk", guardrails=[no_pictures])
    later = shows("u2", "And this?", turn=2)
    items = read(shows("u1", "", image()), assistant("a1", "No."), later, ANSWER, agent=agent)

    assert known == [(image(),), ()]
    assert items[0] == MessageItem("user", None, WITHHELD)


def test_a_guardrail_knows_what_the_context_of_a_response_shows() -> None:
    known: list[tuple[ShownImage, ...]] = []

    @guardrail(on="input")
    def looks(check: Check) -> None:
        known.append(check.images)

    context = (Inserted("message", "x", "user", "", images=(image(),)),)
    asked = Respond(response="resp_a", asked=Asked(context=context, aside=True))
    items = read(asked, agent=Agent("desk", guardrails=[looks]))

    assert known == [(image(),)]
    assert items == [MessageItem("user", None, "", (image(),))]


def test_a_picture_keeps_its_place_in_words_that_policy_rewrites() -> None:
    @guardrail(on="input")
    def politely(check: Check) -> Verdict:
        return rewrite(check.text.replace("damned ", ""))

    known: list[tuple[str, tuple[ShownImage, ...]]] = []

    @guardrail(on="input", parallel=True)
    def looks(check: Check) -> None:
        known.append((check.text, check.images))

    desk = Agent("d", guardrails=[politely, looks])
    items = read(shows("u1", "This damned lamp or that?", image(17)), ANSWER, agent=desk)

    assert known == [("This lamp or that?", (image(10),))]
    assert items == [MessageItem("user", None, "This lamp or that?", (image(10),))]


def test_a_picture_keeps_its_place_where_a_card_number_is_taken_out() -> None:
    text = f"My card {CARD}, and this:"

    async def scenario() -> None:
        vault = Vault(bytes(32), MemoryBucket())
        async with Scene(YES, agent=Agent("desk", guardrails=[pii()]), vault=vault) as scene:
            await scene.place()
            await told(scene, shows("u1", text, image(len(text))), ANSWER)
            item = (await scene.view()).items["u1"]

            assert DIGITS not in await everything(scene)
            assert item.images[0].at == len(item.text)

    run_virtual(scenario())


# handoffs


def test_a_filter_of_a_handoff_keeps_or_drops_pictures_with_their_messages() -> None:
    items = [MessageItem("user", None, "This?", (image(5),)), MessageItem("user", None, "", (image(0, "file_b"),))]

    kept = filtered(items, lambda said: [Said("user", one.text[:2], images=one.images) for one in said[:1]])

    assert kept == [MessageItem("user", None, "Th", (image(2),))]
    assert filtered(items, lambda said: said) == items


# places


@pytest.mark.parametrize(
    ("before", "after", "at", "place"),
    [
        ("one two", "one two", 3, 3),
        ("one two", "uno two", 7, 7),
        ("a card 4111, see", "a card <card>, see", 11, 13),
        ("a card 4111, see", "a card <card>, see", 2, 2),
        ("a card 4111, see", "", 16, 0),
        ("", "withheld", 0, 0),
    ],
)
def test_a_picture_stays_behind_the_words_before_it(before: str, after: str, at: int, place: int) -> None:
    assert [one.at for one in moved((image(at),), before, after)] == [place]


@given(st.text("ab", max_size=12), st.text("ab", max_size=12), st.lists(st.integers(0, 12), max_size=3).map(sorted))
def test_pictures_stay_within_the_text_and_in_their_order(before: str, after: str, places: list[int]) -> None:
    images = tuple(image(min(at, len(before)), f"file_{at}") for at in places)

    told_ = moved(images, before, after)

    assert all(0 <= one.at <= len(after) for one in told_)
    assert [one.at for one in told_] == sorted(one.at for one in told_)
    assert [one.file for one in told_] == [one.file for one in images]
