"""What an Agent is made of, and what it refuses."""

import pytest

from trunkline.agents import Agent, tool
from trunkline.proto.errors import BadInput


@tool
def look() -> None:
    """Look."""


def test_a_tool_is_found_by_its_name() -> None:
    agent = Agent("desk", tools=[look])

    assert look is agent.tool("look")
    assert agent.tool("listen") is None


def test_a_list_that_changes_later_does_not_change_the_agent() -> None:
    tools = [look]
    agent = Agent("desk", tools=tools)

    tools.clear()

    assert (look,) == agent.tools


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(BadInput, match="look is there twice"):
        Agent("desk", tools=[look, look])


def test_a_function_without_the_decorator_is_refused_by_name() -> None:
    def listen() -> None:
        """Listen."""

    with pytest.raises(BadInput, match="tools: listen is none of them; allowed: functions decorated with @tool"):
        Agent("desk", tools=[listen])  # type: ignore[list-item]  # that is the point


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "x" * 129])
def test_a_name_that_is_not_one_line_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"Agent\.name"):
        Agent(name)


def test_a_field_of_the_wrong_type_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"Agent\.greeting: is of type int"):
        Agent("desk", greeting=7)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("tools", look, r"Agent\.tools: is of type FunctionTool; allowed: a list"),
        ("handoffs", "billing", r"Agent\.handoffs: is of type str; allowed: a list"),
        ("silence", 5, r"Agent\.silence: is of type int; allowed: Silence"),
        ("settings", None, r"Agent\.settings: is of type NoneType; allowed: ModelSettings"),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_refused_when_the_file_loads(
    field: str, value: object, problem: str
) -> None:
    with pytest.raises(BadInput, match=problem):
        Agent("desk", **{field: value})  # type: ignore[arg-type]  # that is the point
