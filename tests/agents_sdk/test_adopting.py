"""Which agents of a file are accepted, which takes the call, and the one line that each refusal is."""

import logging
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agents_sdk.referee import written
from trunkline.agents import load_agent_file
from trunkline.proto.errors import BadInput

HEAD = """
from agents import *
from agents.realtime import RealtimeAgent, realtime_handoff
from pydantic import BaseModel

@function_tool
def look(place: str) -> str:
    '''Look.'''
    return place

class Verdict(BaseModel):
    fine: bool
"""


def test_an_agent_that_others_hand_off_to_does_not_take_the_call(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + "a = Agent('first')\nb = Agent('second', handoffs=[a])\n")

    assert file.default.name == "second"
    assert set(file.agents) == {"first", "second"}


@pytest.mark.parametrize("name", ["b", "the second"])
def test_an_agent_is_chosen_by_its_name_or_its_variable(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, HEAD + "a = Agent('the first')\nb = Agent('the second')\n", name)

    assert file.default.name == "the second"


def test_agents_may_hand_off_to_each_other(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + "a = Agent('a')\nb = Agent('b', handoffs=[a])\na.handoffs.append(handoff(b))\n")

    assert [[one.name for one in agent.handoffs] for agent in file.agents.values()] == [  # type: ignore[union-attr]
        ["transfer_to_b"],
        ["transfer_to_a"],
    ]


def test_agents_without_a_variable_are_reached_by_handoffs(tmp_path: Path) -> None:
    text = "inner = Agent('c')\na = Agent('a', handoffs=[handoff(Agent('b', handoffs=[inner]))])\ndel inner\n"

    assert list(written(tmp_path, HEAD + text).agents) == ["a", "b", "c"]


def test_an_agent_with_an_output_type_that_only_code_uses_takes_no_calls(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + "judge = Agent('judge', output_type=Verdict)\ndesk = Agent('desk')\n")

    assert list(file.agents) == ["desk"]


def test_a_tool_that_agents_share_is_one_tool(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + "a = Agent('a', tools=[look])\nb = a.clone(name='b')\n")

    assert file.agents["a"].tools[0] is file.agents["b"].tools[0]
    assert list(file.tools) == ["look"]


def test_agents_of_both_kinds_work_in_one_file(tmp_path: Path) -> None:
    text = """
import trunkline.agents as tl
a = Agent('theirs', tools=[look, tl.end_call()])
desk = tl.Agent('ours', handoffs=[a])
a.handoffs.append(desk)
"""
    file = written(tmp_path, HEAD + text)

    assert file.default.name == "ours"
    assert [one.to for one in file.agents["theirs"].handoffs] == ["ours"]  # type: ignore[union-attr]
    assert [tool.name for tool in file.agents["theirs"].offered] == ["look", "end_call", "transfer_to_ours"]
    assert list(file.tools) == ["look"]


def test_a_realtime_agent_is_accepted(tmp_path: Path) -> None:
    text = """
b = RealtimeAgent(name='b', instructions='Be brief.', handoff_description='Looks.', tools=[look])
a = RealtimeAgent(name='a', instructions=lambda context, agent: agent.name, handoffs=[realtime_handoff(b)])
"""
    file = written(tmp_path, HEAD + text)

    assert file.default.name == "a"
    assert [one.name for one in file.default.handoffs] == ["transfer_to_b"]  # type: ignore[union-attr]
    assert [tool.name for tool in file.agents["b"].tools] == ["look"]


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("Agent('a', tools=[WebSearchTool()])", "a: tools: web_search (WebSearchTool) runs at OpenAI"),
        ("Agent('a', tools=[FileSearchTool(vector_store_ids=['v'])])", "a: tools: file_search (FileSearchTool) runs"),
        ("Agent('a', tools=[CodeInterpreterTool(tool_config={})])", "code_interpreter (CodeInterpreterTool) runs"),
        ("Agent('a', tools=[HostedMCPTool(tool_config={})])", "hosted_mcp (HostedMCPTool) runs at OpenAI"),
        ("Agent('a', tools=[Agent('b').as_tool('ask_b', 'Ask b.')])", "ask_b runs another agent in the SDK's own"),
        ("Agent('a', tools=[function_tool(print_, defer_loading=True)])", "a: tools: print_ uses defer_loading=True"),
        ("Agent('a', output_type=Verdict)", "a: output_type: is <class"),
        ("Agent('a', prompt={'id': 'pmpt_1'})", "a: prompt: is kept at OpenAI; allowed: instructions"),
        ("Agent('a', tool_use_behavior='stop_on_first_tool')", "a: tool_use_behavior: makes a tool's result"),
        ("Agent('a', mcp_servers=[object()])", "a: mcp_servers: are the SDK's own connections; allowed: an agent of"),
        (
            "Agent('a', model=OpenAIResponsesModel('m', AsyncOpenAI(api_key='k')))",
            "a: model: is a OpenAIResponsesModel",
        ),
        ("Agent('a', instructions=lambda context: '')", "a: instructions: take 1 arguments; allowed: a function of"),
        ("Agent('a', handoffs=[handoff(b, input_filter=later)])", "input_filter of transfer_to_b is asynchronous"),
        ("Agent('a', handoffs=[Handoff('go', 'Go.', {}, later, 'b')])", "a: handoffs: go is made by hand"),
        ("Agent('a' * 200)", "Agent.name: is 'aaa"),
        ("Agent('a', tools=[look, look_again])", "two different tools named 'look'"),
        ("Agent('a', handoffs=[Agent('b'), Agent('b')])", "transfer_to_b is there twice"),
    ],
)
def test_what_a_call_cannot_keep_is_refused_in_one_line(tmp_path: Path, agent: str, said: str) -> None:
    text = """
from openai import AsyncOpenAI
b = Agent('b')
def print_(x: str) -> str: return x
async def later(data): return data
@function_tool(name_override='look')
def look_again(place: str) -> str: return place
other = Agent('other', tools=[look])
"""
    with pytest.raises(BadInput) as caught:
        written(tmp_path, f"{HEAD}{text}a = {agent}\n".replace("tools=[look, look_again]", "tools=[look_again]"), "a")

    assert said in str(caught.value)
    assert str(caught.value).startswith(f"agent file: {tmp_path / 'desk.py'}")
    assert "\n" not in str(caught.value)


def test_hooks_and_settings_that_have_no_twin_are_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = """
class Told(AgentHooks):
    async def on_end(self, context, agent, output): pass
    async def on_tool_end(self, context, agent, tool, result): pass
settings = ModelSettings(temperature=0.5, top_p=0.1, max_tokens=9, tool_choice='look', verbosity='high')
a = Agent('a', hooks=Told(), model='gpt-4.1', model_settings=settings, reset_tool_choice=False)
"""
    with caplog.at_level(logging.WARNING):
        agent = written(tmp_path, HEAD + text).default

    assert [record.getMessage() for record in caplog.records] == [
        "a: model settings that don't exist here are left out: top_p, reset_tool_choice=False",
        "a: hooks that a call has no moment for are never called: on_end",
    ]
    kept = agent.settings
    assert (kept.temperature, kept.max_output_tokens, kept.tool_choice, kept.verbosity) == (0.5, 9, "look", "high")


def test_the_sdks_own_defaults_are_no_settings_of_an_agent_that_names_no_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    agent = written(tmp_path, HEAD + "a = Agent('a')\n").default

    assert (agent.model, agent.settings.reasoning_effort, caplog.records) == ("", "", [])


def test_a_file_without_the_sdk_does_not_load_it(tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text("from trunkline.agents import Agent\na = Agent('a')\n")
    program = """
        import sys
        from trunkline.agents import load_agent_file
        load_agent_file("desk.py")
        assert not {"agents", "openai", "pydantic", "trunkline.agents.sdk"} & set(sys.modules)
    """

    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, check=True)


def test_without_the_sdk_installed_the_refusal_says_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "agents", None)
    (tmp_path / "desk.py").write_text("from agents import Agent\n")
    with pytest.raises(BadInput) as caught:
        load_agent_file(str(tmp_path / "desk.py"))

    assert "trunkline[agents-sdk]" in str(caught.value)
