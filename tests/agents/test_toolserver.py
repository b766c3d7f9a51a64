"""Tool servers as an agent file defines them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.agents import McpServer, ToolServer, load_agent_file
from trunkline.agents.toolserver import pin_of
from trunkline.proto.errors import BadInput
from trunkline.proto.tool import DescribedTool


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: McpServer("or_ders", allow=["a"], command=["x"]), "McpServer.name: is 'or_ders'"),
        (lambda: McpServer("orders", allow=[], command=["x"]), "McpServer orders: allow: names no tool"),
        (lambda: McpServer("orders", allow=["se arch"], command=["x"]), "'orders_se arch' can't be a tool's name"),
        (lambda: McpServer("orders", allow=["x" * 60], command=["x"]), "can't be a tool's name"),
        (lambda: McpServer("orders", allow=["a"]), "has both or neither of command and url"),
        (lambda: McpServer("orders", allow=["a"], url="ftp://x"), "url: is 'ftp://x'"),
        (lambda: McpServer("orders", allow=["a"], command=["x"], read_only=["b"]), "read_only: b isn't allowed"),
        (lambda: McpServer("orders", allow=["a"], command=["x"], timeout_s=0), "timeout_s: is 0"),
    ],
)
def test_a_definition_that_can_not_work_is_refused_with_what_is_allowed(
    make: Callable[[], ToolServer], problem: str
) -> None:
    with pytest.raises(BadInput) as refused:
        make()

    assert problem in str(refused.value)


def test_a_file_whose_own_tool_has_the_name_of_a_servers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "desk.py"
    file.write_text(
        "from trunkline.agents import Agent, McpServer, tool\n\n"
        "@tool\nasync def orders_search() -> None:\n    '''Search.'''\n\n"
        "a = Agent('a', tools=[orders_search])\n"
        "b = Agent('b', tool_servers=[McpServer('orders', allow=['search'], command=['orders'])])\n"
    )

    with pytest.raises(BadInput, match="a tool of its own named 'orders_search', as the tool server orders has"):
        load_agent_file(str(file))


def test_a_pin_changes_with_whatever_the_model_reads() -> None:
    told = DescribedTool("a", "b", '{"type":"object","title":"c"}')
    others = [
        DescribedTool("x", "b", '{"type":"object","title":"c"}'),
        DescribedTool("a", "x", '{"type":"object","title":"c"}'),
        DescribedTool("a", "b", '{"type":"object","title":"x"}'),
    ]

    assert pin_of(told) == pin_of(DescribedTool("a", "b", '{"title": "c", "type": "object"}'))
    assert len({pin_of(one) for one in (told, *others)}) == 4
