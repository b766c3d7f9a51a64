"""Loading an agent file, and the one line that each bad one gets."""

from pathlib import Path

import pytest

from trunkline.agents import load_agent_file
from trunkline.proto.errors import BadInput

TWO = """
from trunkline.agents import Agent, tool

@tool
def look(place: str) -> str:
    '''Look.'''
    return place

first = Agent("reception", tools=[look])
second = Agent("Human desk", tools=[look])
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "desk.py"
    path.write_text(text)
    return path


def test_the_first_agent_is_the_default(tmp_path: Path) -> None:
    file = load_agent_file(str(written(tmp_path, TWO)))

    assert list(file.agents) == ["reception", "Human desk"]
    assert file.default.name == "reception"
    assert list(file.tools) == ["look"]


@pytest.mark.parametrize("name", ["Human desk", "second"])
def test_an_agent_is_chosen_by_its_name_or_its_variable(tmp_path: Path, name: str) -> None:
    file = load_agent_file(f"{written(tmp_path, TWO)}:{name}")

    assert file.default.name == "Human desk"


def test_the_digest_follows_the_content_alone(tmp_path: Path) -> None:
    path = written(tmp_path, TWO)
    before = load_agent_file(str(path)).digest
    again = load_agent_file(f"{path}:second").digest
    path.write_text(TWO + "\n")

    assert before == again
    assert before != load_agent_file(str(path)).digest


def test_a_module_beside_the_file_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "words_of_the_desk.py").write_text("HELLO = 'Good day!'\n")
    text = "from words_of_the_desk import HELLO\nfrom trunkline.agents import Agent\na = Agent('a', greeting=HELLO)\n"

    assert load_agent_file(str(written(tmp_path, text))).default.greeting == "Good day!"


def test_annotations_may_be_postponed(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom typing import Literal\nDay = Literal['monday']\n" + TWO.replace(
        "place: str", "place: Day"
    )

    schema = load_agent_file(str(written(tmp_path, text))).tools["look"].parameters

    assert schema["properties"] == {"place": {"enum": ["monday"]}}


TWICE = 'from trunkline.agents import Agent\na = Agent("a")\nb = Agent("a")\n'
CLASH = """
from trunkline.agents import Agent, tool

@tool(name="look")
def here() -> str:
    return ""

@tool(name="look")
def there() -> str:
    return ""

a = Agent("a", tools=[here])
b = Agent("b", tools=[there])
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = = 1\n", "line 1: invalid syntax"),
        ("\x00", "null bytes"),
        ("\nimport no_such_module\n", "line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys\nsys.exit('no')\n", "line 2: SystemExit: no"),
        ("raise ValueError('two\\nlines')\n", "line 1: ValueError: two lines"),
        ("x = 1\n", "makes no Agent"),
        (TWICE, "makes two agents named 'a'"),
        (CLASH, "two different tools named 'look'"),
        ("from trunkline.agents import tool\n@tool\ndef f(x): ...\n", "line 2: f.x: has no annotation"),
    ],
)
def test_a_file_that_does_not_load_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_agent_file(str(written(tmp_path, text)))

    assert said in str(refused.value)
    assert str(refused.value).startswith("agent file: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("spec", ["", "desk", "desk.py:", ":desk", "desk.txt", "/no/such/desk.py", "desk.py/:x"])
def test_what_is_no_python_file_is_refused_with_what_is_allowed(spec: str) -> None:
    with pytest.raises(BadInput, match=r"allowed: FILE\.py or FILE\.py:NAME"):
        load_agent_file(spec)


def test_an_unknown_name_is_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no agent 'night'; allowed: reception, Human desk"):
        load_agent_file(f"{written(tmp_path, TWO)}:night")


HANDS_OFF = """
from trunkline.agents import Agent, handoff
desk = Agent("desk", handoffs=["bills", handoff("repairs", description="Broken things.")])
bills = Agent("bills", description="Bills and invoices.", handoffs=[desk])
repairs = Agent("repairs", description="Repairs.")
"""


def test_a_handoff_is_described_by_the_agent_that_it_leads_to_or_by_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(HANDS_OFF)
    loaded = load_agent_file(str(tmp_path / "desk.py"))

    described = {tool.name: tool.description for agent in loaded.agents.values() for tool in agent.offered}
    assert described == {
        "transfer_to_bills": "Bills and invoices.",
        "transfer_to_repairs": "Broken things.",
        "transfer_to_desk": "Hand the caller over to desk.",
    }
