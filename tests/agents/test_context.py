"""What a tool leaves behind in its call's state."""

import json

import pytest

from trunkline.agents import ToolContext


def context(state: str) -> ToolContext:
    return ToolContext("rtc_00_a", "call_1", 2e9, state)


def test_a_tool_that_changes_nothing_has_an_empty_patch() -> None:
    assert context('{"seen":[1,2]}').state_patch() == "{}"


def test_the_patch_holds_what_is_new_changed_or_gone() -> None:
    it = context('{"kept":1,"changed":1,"gone":1}')

    it.state["changed"] = 2
    it.state["new"] = "x"
    del it.state["gone"]

    assert json.loads(it.state_patch()) == {"changed": 2, "new": "x", "gone": None}


def test_a_change_deep_inside_is_seen() -> None:
    it = context('{"seen":[1]}')

    seen = it.state["seen"]
    assert isinstance(seen, list)
    seen.append(2)

    assert json.loads(it.state_patch()) == {"seen": [1, 2]}


def test_what_json_cannot_hold_is_refused() -> None:
    it = context("{}")
    it.state["socket"] = object()

    with pytest.raises(TypeError):
        it.state_patch()


def test_no_time_remains_after_the_deadline() -> None:
    assert ToolContext("rtc_00_a", "call_1", deadline=1.0).remaining_s() == 0.0
