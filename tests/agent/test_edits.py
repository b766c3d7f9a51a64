"""What a client adds to a conversation and deletes from it: what the model reads then, here and at the next agent."""

import asyncio

import pytest

from agent.scene import Scene, lookup
from agent.test_client_tools import EQUIP, SHOWS, asked_of, shows, slow_eye
from agent.test_redaction import CARD, DIGITS, everything
from agent.test_takeover import Moving
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Script, Wait, Words
from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem
from trunkline.agents import Agent, Check, Verdict, block, guardrail, tool
from trunkline.agents.policies import pii
from trunkline.proto.envelope import Message
from trunkline.proto.record import ItemDeleted, ItemInserted, ToolFinished
from trunkline.proto.response import ROOT, Converse, Insert, Inserted, Recall, Respond, Retract, Say, ToolOutput, Turn
from trunkline.record import MemoryBucket
from trunkline.vault import Vault

YES: Script = [[[Words("Yes.", "final_answer")]]]
LOOKS = Insert(Inserted("function_call", "item_c", text='{"page":7}', call_id="call_c", name="open_page"))
SEEN = Insert(Inserted("function_call_output", "item_o", text="It is open.", call_id="call_c"))
SEEN_BY_MODEL: list[HistoryItem] = [
    ToolCallItem("call_c", "open_page", '{"page":7}'),
    ToolOutputItem("call_c", '"It is open."', "ok"),
]
ANSWER = Respond(response="resp_a")


@tool(background=True, timeout_s=20)
async def check_stock(order: str = "") -> str:
    """Is it in stock."""
    return order


def system(item: str, text: str, previous: str = "") -> Insert:
    return Insert(Inserted("message", item, "system", text), previous)


def assistant(item: str, text: str, previous: str = "", phase: str | None = "commentary") -> Insert:
    return Insert(Inserted("message", item, "assistant", text, phase), previous)  # type: ignore[arg-type]


def typed(turn: int, item: str, text: str, previous: str = "") -> Turn:
    return Turn(turn, item, text, "text", respond=False, previous=previous)


async def told(scene: Scene, *messages: Message, after_s: float = 1.0) -> None:
    for message in messages:
        scene.link.send(message)
    await asyncio.sleep(after_s)


def read_by(scene: Scene, request: int = -1) -> list[tuple[str, str]]:
    """Role, or kind, and words of what the model was asked, last unless told otherwise."""
    return [
        (item.role, item.text) if isinstance(item, MessageItem) else (type(item).__name__, item.id)
        for item in scene.model.requests[request].items
    ]


ALL = (
    typed(1, "item_1", "Open page seven."),
    system("item_0", "Be brief.", ROOT),
    assistant("item_2", "One moment.", "item_1"),
    LOOKS,
    SEEN,
    assistant("item_3", "There it is.", "item_o", phase="final_answer"),
    typed(2, "item_4", "And now?"),
)
READ = [
    MessageItem("system", None, "Be brief."),
    MessageItem("user", None, "Open page seven."),
    MessageItem("assistant", "commentary", "One moment."),
    *SEEN_BY_MODEL,
    MessageItem("assistant", "final_answer", "There it is."),
    MessageItem("user", None, "And now?"),
]


def test_what_a_client_adds_is_read_in_its_place_with_its_phase() -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            await told(scene, *ALL, ANSWER)

            assert list(scene.model.requests[-1].items) == READ
            assert scene.said == ["Yes."]
            assert (await scene.view()).turns == 2

    run_virtual(scenario())


def test_what_is_added_asks_for_no_answer_and_is_added_once() -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            await told(scene, *ALL, *ALL)

            assert scene.model.requests == []
            assert len([event for event in await scene.events() if isinstance(event, ItemInserted)]) == 5
            assert (await scene.view()).strays == 0

    run_virtual(scenario())


def test_the_next_agent_asks_its_model_the_same_whatever_was_told_again() -> None:
    slow: Script = [[[Words("Yes, one two three four five. ", "final_answer"), Wait(3), Words("Done.")]]]

    async def scenario(*again: Message) -> None:
        async with Moving(slow) as calls:
            edits = (*ALL, Retract(0, "item_3"), typed(3, "item_5", "Well?"), Retract(0, "item_2"))
            calls.tell(*edits, ANSWER)
            await asyncio.sleep(1)
            (before,) = calls.old.model.requests
            await calls.move(*(edits if again else ()), ANSWER)

            assert calls.new.model.requests[0] == before
            assert "There it is." not in repr(before)
            assert (await calls.new.view()).strays == 0
            assert (await calls.new.view()).responses["resp_a"].status == "completed"

    run_virtual(scenario())
    run_virtual(scenario(*ALL))


def test_an_agent_that_takes_over_an_unwritten_record_adds_all_of_it() -> None:
    async def scenario() -> None:
        async with Moving(YES) as calls:
            await calls.move(*ALL, ANSWER)

            assert list(calls.new.model.requests[-1].items) == READ

    run_virtual(scenario())


def test_a_call_that_the_client_added_takes_a_tool_output() -> None:
    async def scenario() -> None:
        async with Scene(YES, agent=Agent("desk", guardrails=[slow_eye])) as scene:
            await scene.place()
            await told(scene, LOOKS, ToolOutput("call_c", "the secret", "item_mine"), ANSWER, after_s=3)

            assert [item for item in scene.model.requests[-1].items if isinstance(item, ToolOutputItem)] == [
                ToolOutputItem("call_c", '"[withheld]"', "ok")
            ]
            finished = [event for event in await scene.events() if isinstance(event, ToolFinished)]
            assert [event.item for event in finished] == ["item_mine"]
            assert (await scene.view()).tools["call_c"].output_item == "item_mine"

    run_virtual(scenario())


def test_a_call_that_the_client_added_and_never_answered_is_unknown_at_the_end() -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            await told(scene, LOOKS)
            await scene.hang_up()

            assert (await scene.view()).tools["call_c"].status == "unknown"

    run_virtual(scenario())


def test_an_output_of_nothing_is_not_recorded(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            await told(scene, SEEN, ANSWER)

            assert scene.model.requests[-1].items == ()
            assert not [event for event in await scene.events() if isinstance(event, ItemInserted)]

    run_virtual(scenario())
    assert "item can't be added" in caplog.messages


# what is deleted


@pytest.mark.parametrize(
    ("item", "left"),
    [
        ("item_0", READ[1:]),
        ("item_1", [READ[0], *READ[2:]]),
        ("item_2", [*READ[:2], *READ[3:]]),
        ("item_c", [*READ[:3], *READ[5:]]),
        ("item_o", [*READ[:3], *READ[5:]]),
        ("item_4", READ[:-1]),
    ],
)
def test_a_deleted_item_never_reaches_the_model_again(item: str, left: list[HistoryItem]) -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            await told(scene, *ALL, Retract(0, item), Retract(0, item), Retract(0, "item_unknown"), ANSWER)

            assert list(scene.model.requests[-1].items) == left
            assert [event.item for event in await scene.events() if isinstance(event, ItemDeleted)] == [item]

    run_virtual(scenario())


def test_items_of_the_agent_are_deleted_by_the_ids_that_the_client_knows() -> None:
    async def scenario(*items: str) -> list[tuple[str, str]]:
        async with Scene([SHOWS]) as scene:
            asked = await shows(scene)
            scene.link.send(ToolOutput(asked.tool_call, "open"))
            spoken = next(one.item for one in scene.told if isinstance(one, Say))
            known = {"call": f"item_{asked.tool_call}", "output": f"item_{asked.tool_call}_output", "words": spoken}
            for item in items:
                scene.link.send(Retract(0, known[item]))
            await told(scene, ANSWER)
            return read_by(scene)

    whole = [("user", "Show me page seven."), ("assistant", "One moment. ")]
    assert run_virtual(scenario("call")) == whole
    assert run_virtual(scenario("output")) == whole
    without_words = run_virtual(scenario("words"))
    assert [kind for kind, _ in without_words] == ["user", "ToolCallItem", "ToolOutputItem"]


def test_a_client_that_puts_an_answer_in_other_words_has_them_read_in_its_place() -> None:
    """As the vendor's JavaScript client edits a history: it deletes the item, and creates one of the same id there."""

    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            scene.says("Is it open?")
            await asyncio.sleep(1)
            spoken = next(one.item for one in scene.told if isinstance(one, Say))
            edits = (
                Retract(0, "item_u1"),
                typed(2, "item_u1", "Is the shop open?", ROOT),
                Retract(0, spoken),
                assistant(spoken, "It is open.", "item_u1", phase="final_answer"),
                typed(3, "item_u3", "Good."),
            )
            await told(scene, *edits, ANSWER)

            assert read_by(scene) == [("user", "Is the shop open?"), ("assistant", "It is open."), ("user", "Good.")]
            assert (await scene.view()).turns == 2

    run_virtual(scenario())


def test_the_effects_of_the_server_s_tools_outlive_the_words_around_them() -> None:
    looks: Script = [[[Words("One moment. ", "commentary"), Call("lookup")], [Words("Found.", "final_answer")]]]

    async def scenario() -> None:
        async with Scene(looks) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)
            items = list((await scene.view()).items)
            await told(scene, *(Retract(0, item) for item in items), typed(2, "item_2", "So?"), ANSWER)

            assert [kind for kind, _ in read_by(scene, 2)] == ["ToolCallItem", "ToolOutputItem", "user"]

    run_virtual(scenario())


def test_an_item_that_is_deleted_while_it_is_said_ends_its_response_as_any_other() -> None:
    slow: Script = [[[Words("One two three, four five six. Seven ", "final_answer"), Wait(1), Words("eight.")]]]

    async def scenario() -> None:
        async with Scene(slow) as scene:
            await scene.place()
            scene.says("Count.")
            await asyncio.sleep(0.5)
            await told(scene, Retract(0, next(one.item for one in scene.told if isinstance(one, Say))), after_s=2)
            scene.says("Again.")
            await asyncio.sleep(3)

            assert [done.status for done in scene.finished] == ["completed", "completed"]
            assert read_by(scene) == [("user", "Count."), ("user", "Again.")]

    run_virtual(scenario())


def test_a_deleted_turn_that_was_spoken_stays_deleted_when_it_is_told_again() -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            turn = scene.says("Never mind.", respond=False)
            await told(scene, Retract(0, turn.item), turn, ANSWER)

            assert scene.model.requests[-1].items == ()

    run_virtual(scenario())


def test_a_greeting_is_still_due_where_only_the_client_has_added_something() -> None:
    async def scenario() -> None:
        async with Scene(YES, agent=Agent("desk", greeting="Good day.")) as after:
            await after.place(attach=2, order=Converse(1, "gw", reason="agent ag is gone"))
            after.link.send(Recall((), ("resp_lost",), False, 1))
            await told(after, system("item_0", "Be brief."))

            assert after.said == ["Good day."]
            assert [done.response for done in after.finished] == ["resp_lost"]

    run_virtual(scenario())


def test_a_card_number_in_what_a_client_adds_is_taken_out() -> None:
    number = f'{{"card": "{CARD}"}}'
    edits = (
        system("item_0", f"The caller's card is {CARD}."),
        assistant("item_1", f"You said {CARD}."),
        Insert(Inserted("function_call", "item_c", text=number, call_id="call_c", name="pay")),
        Insert(Inserted("function_call_output", "item_o", text=f"{CARD} was charged", call_id="call_c")),
    )

    async def scenario() -> None:
        agent = Agent("desk", tools=[lookup], guardrails=[pii()])
        async with Scene(YES, agent=agent, vault=Vault(bytes(32), MemoryBucket())) as scene:
            await scene.place()
            await told(scene, EQUIP, *edits, ANSWER)

            assert DIGITS not in await everything(scene)
            assert len(scene.model.requests[-1].items) == 4
            assert asked_of(scene) == []

    run_virtual(scenario())


def test_a_blocked_turn_that_the_client_s_history_answers_is_withheld_and_no_more() -> None:
    @guardrail(on="input")
    def no_seven(check: Check) -> Verdict | None:
        return block("I can't do that.") if "seven" in check.text else None

    async def scenario(*edits: Message) -> list[str]:
        async with Scene(YES, agent=Agent("desk", guardrails=[no_seven])) as scene:
            await scene.place()
            await told(scene, *edits, typed(2, "item_9", "Hello?"), ANSWER)
            assert "seven" not in repr(scene.model.requests)
            return scene.said

    asked = typed(1, "item_1", "Open page seven.")
    assert run_virtual(scenario(asked, assistant("item_2", "No."))) == ["Yes."]
    assert run_virtual(scenario(asked)) == ["I can't do that."]


def test_words_that_policy_blocks_in_an_item_that_was_deleted_end_the_answer_as_ever() -> None:
    @guardrail(on="output")
    def no_eight(check: Check) -> Verdict | None:
        return block("Enough.") if "eight" in check.text else None

    slow: Script = [[[Words("One two three, four five six. Seven ", "final_answer"), Wait(1), Words("eight.")]]]

    async def scenario() -> None:
        async with Scene(slow, agent=Agent("desk", guardrails=[no_eight])) as scene:
            await scene.place()
            scene.says("Count.")
            await asyncio.sleep(0.5)
            await told(scene, Retract(0, next(one.item for one in scene.told if isinstance(one, Say))), after_s=2)

            assert scene.said[-1] == "Enough."
            assert [done.status for done in scene.finished] == ["incomplete"]

    run_virtual(scenario())


def test_a_model_is_not_asked_again_for_a_tool_call_that_was_deleted_meanwhile() -> None:
    speaks: Script = [[[Call("check_stock")], [Wait(3), Words("I will see.", "final_answer")]]]

    async def scenario() -> None:
        async with Scene(speaks, agent=Agent("desk", tools=[check_stock])) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.says("Is it in stock?")
            await asyncio.sleep(1)
            (called,) = (await scene.view()).tools
            await told(scene, Retract(0, f"item_{called}"), after_s=5)

            assert scene.said == ["I will see."]
            assert len(scene.model.requests) == 2
            assert len(scene.finished) == 1

    run_virtual(scenario())


def test_what_was_deleted_while_it_was_heard_is_heard_by_nobody() -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            await told(scene, typed(1, "item_1", "Well?"), ANSWER)
            (said,) = [one for one in scene.told if isinstance(one, Say)]
            scene.link.send(Retract(0, said.item))
            scene.played(said.item, 0)
            await asyncio.sleep(1)

            assert (await scene.view()).strays == 0

    run_virtual(scenario())


SECRET = Insert(Inserted("function_call_output", "item_o", text="the secret", call_id="call_c"))


def test_policy_sees_an_output_that_the_client_adds_before_the_model_does() -> None:
    async def scenario() -> None:
        async with Scene(YES, agent=Agent("desk", guardrails=[slow_eye])) as scene:
            await scene.place()
            await told(scene, typed(1, "item_1", "Well?"), LOOKS, SECRET, SECRET, ANSWER, after_s=0.8)
            waits = len(scene.model.requests)
            await asyncio.sleep(1.5)

            assert waits == 0
            assert scene.model.requests[0].items[-1] == ToolOutputItem("call_c", '"[withheld]"', "ok")
            (added,) = [
                one for one in await scene.events() if isinstance(one, ItemInserted) and "output" in one.item.kind
            ]
            assert (added.item.item, added.item.text) == ("item_o", '"[withheld]"')

    run_virtual(scenario())


@pytest.mark.parametrize("output", [SECRET, ToolOutput("call_c", "the secret", "item_o")])
def test_an_output_that_is_deleted_while_policy_looks_at_it_stays_deleted(output: Message) -> None:
    async def scenario() -> None:
        async with Scene(YES, agent=Agent("desk", guardrails=[slow_eye])) as scene:
            await scene.place()
            await told(scene, typed(1, "item_1", "Well?"), LOOKS, output, Retract(0, "item_o"), ANSWER, after_s=3)

            assert read_by(scene) == [("user", "Well?")]
            view = await scene.view()
            assert (view.has("item_o"), view.tools["call_c"].status, view.strays) == (False, "ok", 0)

    run_virtual(scenario())
