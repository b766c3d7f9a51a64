"""The conversation within a budget of tokens: laws, and what a reader would expect."""

from hypothesis import given
from hypothesis import strategies as st

from images.pictures import shown
from trunkline.agent.models.budget import ITEM_TOKENS, tokens_of, within_budget
from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem

History = tuple[HistoryItem, ...]


def user(letters: int = 0) -> MessageItem:
    return MessageItem("user", None, "u" * letters)


def answer(letters: int = 0) -> MessageItem:
    return MessageItem("assistant", "final_answer", "a" * letters)


def tool(id: str, letters: int = 0) -> History:
    return ToolCallItem(id, "f", "{}"), ToolOutputItem(id, "o" * letters, "ok")


def total(items: History) -> int:
    return sum(tokens_of(item) for item in items)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Turns with parallel tool calls whose outputs come in any order, after other items too."""
    items: list[HistoryItem] = []
    running: list[str] = []
    for number in range(draw(st.integers(0, 25))):
        text = draw(st.text(max_size=60))
        kind = draw(st.sampled_from(["user", "commentary", "final_answer", None, "call", "output"]))
        if kind == "user":
            items.append(MessageItem("user", None, text))
        elif kind == "call":
            items.append(ToolCallItem(f"call_{number}", "f", text))
            running.append(f"call_{number}")
        elif kind == "output" and running:
            items.append(ToolOutputItem(running.pop(draw(st.integers(0, len(running) - 1))), text, "ok"))
        elif kind != "output":
            items.append(MessageItem("assistant", kind, text))  # type: ignore[arg-type]  # a phase or None
    return *items, *(ToolOutputItem(id, "", "ok") for id in running)


@given(histories(), st.integers(1, 200))
def test_what_stays_is_the_end_untouched(items: History, tokens: int) -> None:
    kept = within_budget(items, tokens)

    assert kept == items[len(items) - len(kept) :]


@given(histories(), st.integers(1, 200))
def test_no_tool_call_is_parted_from_its_output(items: History, tokens: int) -> None:
    kept = within_budget(items, tokens)

    calls = {item.id for item in kept if isinstance(item, ToolCallItem)}
    assert calls == {item.id for item in kept if isinstance(item, ToolOutputItem)}


@given(histories(), st.integers(1, 200))
def test_the_callers_last_words_and_all_behind_them_stay(items: History, tokens: int) -> None:
    last = max((i for i, item in enumerate(items) if _is_users(item)), default=0)

    assert len(within_budget(items, tokens)) >= len(items) - last


@given(histories(), st.integers(1, 200))
def test_it_is_over_the_budget_only_where_nothing_more_may_go(items: History, tokens: int) -> None:
    kept = within_budget(items, tokens)

    if total(kept) > tokens:
        later_turns = [i for i, item in enumerate(kept) if i and _is_users(item) and not _parts_a_pair(kept, i)]
        assert later_turns == []


@given(histories())
def test_within_the_budget_nothing_goes(items: History) -> None:
    assert within_budget(items, max(total(items), 1)) == items
    assert within_budget(items, 0) == items


@given(histories(), st.integers(1, 200))
def test_a_budget_that_was_kept_is_kept_again(items: History, tokens: int) -> None:
    once = within_budget(items, tokens)

    assert within_budget(once, tokens) == once


def test_whole_turns_go_first() -> None:
    turns = [(user(40), answer(40)), (user(40), *tool("call_1", 40), answer(40)), (user(40), answer(40))]
    items = tuple(item for turn in turns for item in turn)

    assert within_budget(items, total(items)) == items
    assert within_budget(items, total(items) - 1) == items[2:]
    assert within_budget(items, total(items[2:]) - 1) == items[6:]
    assert within_budget(items, 1) == items[6:]


def test_the_greeting_goes_before_the_first_turn() -> None:
    items = (answer(40), user(40), answer(40), user(40))

    assert within_budget(items, total(items) - 1) == items[1:]


def test_a_turn_that_is_over_by_itself_keeps_its_end() -> None:
    items = (user(), answer(), user(40), *tool("call_1", 4000), *tool("call_2"), answer(40), user(4))

    assert within_budget(items, 500) == items[5:]


def test_an_estimate_counts_letters_by_four_and_other_characters_one_by_one() -> None:
    assert tokens_of(user(0)) == 4
    assert tokens_of(user(1)) == tokens_of(user(4)) == 5
    assert tokens_of(MessageItem("user", None, "東京 tower")) == 4 + 2 + 2
    assert tokens_of(ToolCallItem("call_1", "find", '{"a":1}')) == 4 + 3


def _is_users(item: HistoryItem) -> bool:
    return isinstance(item, MessageItem) and item.role == "user"


def _parts_a_pair(items: History, cut: int) -> bool:
    before = {item.id for item in items[:cut] if isinstance(item, ToolCallItem)}
    return any(isinstance(item, ToolOutputItem) and item.id in before for item in items[cut:])


def test_a_picture_counts_by_its_patches() -> None:
    words = ITEM_TOKENS + 1
    large, small = shown("file_1", 1800, 2400), shown("file_2", 1800, 2400, "low")

    assert tokens_of(MessageItem("user", None, "Hm?", (large, small))) == words + 1452 + 12 * 16
    assert tokens_of(ToolOutputItem("call_1", "Hm?", "ok", (large,))) == words + 1452
