"""The README says what is there: every setting with its default, commands that parse, an agent that loads."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from trunkline.agent.models import choose
from trunkline.agent.settings import AgentSettings
from trunkline.agents import load_agent_file
from trunkline.cli import options, parser
from trunkline.gateway.settings import GatewaySettings
from trunkline.runtime.settings import CoreSettings, variable
from trunkline.stt.settings import SttSettings
from trunkline.tool_runner.service import ToolRunnerSettings
from trunkline.tts import registry
from trunkline.tts.settings import TtsSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
OF_SERVICE: dict[str, type[CoreSettings]] = {
    "gateway": GatewaySettings,
    "stt": SttSettings,
    "agent": AgentSettings,
    "tool_runner": ToolRunnerSettings,
    "tts": TtsSettings,
}
Row = tuple[str, str, str]  # variable, service, default


def in_readme() -> set[Row]:
    table = README.partition("<!-- settings:")[2].partition("<!-- end of settings -->")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "`TRUNK" in line]
    return {
        (name.strip("`"), service.strip(), default.strip("`"))
        for name, services, default, *_ in cells
        for service in services.split(",")
    }


def in_code() -> set[Row]:
    core = {field.name for field in msgspec.structs.fields(CoreSettings)}
    rows = [("all", field) for field in msgspec.structs.fields(CoreSettings)]
    for service, settings in OF_SERVICE.items():
        rows += [(service, field) for field in msgspec.structs.fields(settings) if field.name not in core]
    return {(variable(field.name), service, as_set(field.default)) for service, field in rows}


def as_set(default: object) -> str:
    """As one would write it into the environment."""
    if isinstance(default, float):
        return f"{default:g}"
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_the_settings_table_is_what_the_services_read() -> None:
    assert in_readme() == in_code()


def test_the_engines_that_up_allows_are_those_the_services_have() -> None:
    assert set(options.BUILT_IN_ENGINES["tts"]) == set(registry.names())
    assert SttSettings().engine_stt in options.BUILT_IN_ENGINES["stt"]
    assert set(options.BUILT_IN_ENGINES["model"]) == set(choose.BUILT_IN)


@pytest.mark.parametrize("command", re.findall(r"^\.venv/bin/trunkline (.+?)(?:\s+#.*)?$", README, re.MULTILINE))
def test_the_commands_of_the_readme_parse(command: str) -> None:
    assert parser.parse(command.split()).command == command.split()[0]


@pytest.mark.parametrize("target", re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
def test_the_targets_of_the_readme_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def python_of_the_readme() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_test_of_the_readme_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, test = python_of_the_readme()
    (tmp_path / "pizzeria.py").write_text(agent)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Callable[[], None]] = {}

    exec(test, names)

    names["test_a_small_pizza_has_a_price"]()


def test_the_agent_of_the_readme_loads(tmp_path: Path) -> None:
    (tmp_path / "pizzeria.py").write_text(python_of_the_readme()[0])

    loaded = load_agent_file(str(tmp_path / "pizzeria.py"))

    assert [tool.name for tool in loaded.default.tools] == ["price_of_pizza"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_link_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())

    assert [link for link in links if not (ROOT / link).exists()] == []
