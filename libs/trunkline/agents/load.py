"""Load an agent file: agent service, tool runner and CLI each run the same file and compare its digest.

Whatever is wrong with the file is one line: BadInput with the path, the line and what is allowed.
"""

import hashlib
import importlib.metadata
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from trunkline.agents.agent import Agent
from trunkline.agents.guardrail import ON, On
from trunkline.agents.handoff import Handoff
from trunkline.agents.sensitive import Kind
from trunkline.agents.tool import Tool
from trunkline.agents.toolserver import ToolServer
from trunkline.proto.errors import BadInput

PARAM = "agent file"
ALLOWED = "FILE.py or FILE.py:NAME of a Python file that makes an Agent"
DIGEST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class AgentFile:
    """agents: by name, in the order of the file. default: the one asked for by NAME, else the first.

    digest: tells one version of the file (with one version of Trunkline) from another; modules that the file
    imports don't count.
    """

    path: Path
    agents: dict[str, Agent]
    default: Agent
    digest: str

    @property
    def tools(self) -> dict[str, Tool]:
        """Of all its agents, by name: what a tool runner can be asked for."""
        return {tool.name: tool for tool in _of_runners(self.agents)}

    def sensitive(self, on: On) -> tuple[Kind, ...]:
        """Kinds of values that a guardrail of any of its agents has replaced there."""
        guardrails = (one for agent in self.agents.values() for one in agent.guardrails if on in one.on)
        return tuple(dict.fromkeys(kind for one in guardrails for kind in one.sensitive))

    @property
    def keeps_sensitive(self) -> bool:
        """Values are replaced somewhere, so that they have to be kept elsewhere: it needs a vault."""
        return any(self.sensitive(on) for on in ON if on != "output")

    @property
    def dictations(self) -> tuple[str, ...]:
        """Patterns of what callers dictate to any of its agents: a call may come to each of them."""
        return tuple(dict.fromkeys(pattern for agent in self.agents.values() for pattern in agent.dictations))

    @property
    def tool_servers(self) -> dict[str, ToolServer]:
        return {server.name: server for agent in self.agents.values() for server in agent.tool_servers}


def load_agent_file(spec: str) -> AgentFile:
    """spec: `FILE.py` or `FILE.py:NAME`, NAME being an agent's name or its variable. Runs the file. Raises BadInput."""
    place, name = _parse(spec)
    path = Path(place).expanduser().resolve()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise BadInput(PARAM, f"{place}: {error.strerror or error}", ALLOWED) from error
    module = _run(path, source)
    variables = {key: value for key, value in vars(module).items() if isinstance(value, Agent)}
    variables |= _adopted(path, module, name)
    agents = _by_name(path, variables)
    _check_tools(path, agents)
    _introduce(path, agents)
    return AgentFile(path, agents, _chosen(path, name, agents, variables), _digest(source))


def together(*agents: Agent) -> AgentFile:
    """Agents as if one file had made them, the first its default; for tests. Raises BadInput."""
    path = Path("given agents")
    by_name = _by_name(path, {str(number): agent for number, agent in enumerate(agents)})
    _check_tools(path, by_name)
    _introduce(path, by_name)
    return AgentFile(path, by_name, agents[0], "given")


def _parse(spec: str) -> tuple[str, str]:
    place, colon, name = spec.rpartition(":")
    if not colon:
        place, name = spec, ""
    if not place.endswith(".py") or (colon and not name):
        raise BadInput(PARAM, f"{spec!r} is unusable", ALLOWED)
    return place, name


def _digest(source: bytes) -> str:
    version = importlib.metadata.version("trunkline")
    return hashlib.sha256(version.encode() + b"\0" + source).hexdigest()[:DIGEST_CHARACTERS]


def _run(path: Path, source: bytes) -> ModuleType:
    """Runs the file as `python FILE.py` would but for its `__main__`: modules beside it can be imported."""
    spec = importlib.util.spec_from_file_location(f"trunkline_agent_file_{path.stem}", path)
    if spec is None:
        raise BadInput(PARAM, f"{path} is no Python file", ALLOWED)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # annotations are looked up there
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last: a file named like a module of others must not stand in its way
    try:
        exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102  # the agent file is the operator's code
    except SyntaxError as error:
        raise BadInput(PARAM, f"{error.filename}, line {error.lineno}: {error.msg}", "valid Python") from error
    except BadInput as error:
        raise BadInput(PARAM, f"{_where(path, error)}: {error.param}: {error.problem}", error.allowed) from error
    except ModuleNotFoundError as error:
        known = "; the OpenAI Agents SDK comes with trunkline[agents-sdk]" if error.name == "agents" else ""
        what = f"{type(error).__name__}: {error}"
        raise BadInput(PARAM, f"{_where(path, error)}: {what}", f"a file that can be imported{known}") from error
    except (Exception, SystemExit) as error:  # a rim: the file is anybody's code, and its failure is one line
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput(PARAM, f"{_where(path, error)}: {what}", "a file that can be imported") from error
    return module


def _adopted(path: Path, module: ModuleType, name: str) -> dict[str, Agent]:
    """Agents of the OpenAI Agents SDK, as ours. Only a file that makes one needs the SDK, or pays for it."""
    kinds = [kind for value in vars(module).values() for kind in type(value).__mro__]
    if not any(kind.__module__ == "agents.agent" and kind.__name__ == "AgentBase" for kind in kinds):
        return {}
    from trunkline.agents.sdk import adopt

    try:
        return adopt(vars(module), name)
    except BadInput as error:
        raise BadInput(PARAM, f"{path}: {error.param}: {error.problem}", error.allowed) from error


def _where(path: Path, error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}, line {frames[-1].lineno}" if frames else str(path)


def _by_name(path: Path, variables: dict[str, Agent]) -> dict[str, Agent]:
    agents: dict[str, Agent] = {}
    for agent in variables.values():
        if agents.setdefault(agent.name, agent) is not agent:
            raise BadInput(PARAM, f"{path} makes two agents named {agent.name!r}", "one Agent of each name")
    if not agents:
        raise BadInput(PARAM, f"{path} makes no Agent", 'a variable of the module, as in: desk = Agent("desk")')
    return agents


def _check_tools(path: Path, agents: dict[str, Agent]) -> None:
    """Agents may share a tool, and a tool server; a name alone must tell which is meant."""
    tools: dict[str, Tool] = {}
    for tool in _of_runners(agents):
        if tools.setdefault(tool.name, tool) is not tool:
            raise BadInput(PARAM, f"{path} has two different tools named {tool.name!r}", "one tool of each name")
    servers: dict[str, ToolServer] = {}
    for server in (server for agent in agents.values() for server in agent.tool_servers):
        if servers.setdefault(server.name, server) is not server:
            raise BadInput(PARAM, f"{path} has two tool servers named {server.name!r}", "one tool server of each name")
        if shared := server.tool_names.keys() & tools.keys():
            problem = f"{path} has a tool of its own named {min(shared)!r}, as the tool server {server.name} has"
            raise BadInput(PARAM, problem, "one tool of each name")


def _of_runners(agents: dict[str, Agent]) -> Iterator[Tool]:
    return (tool for agent in agents.values() for tool in agent.offered if tool.runs == "runner")


def _introduce(path: Path, agents: dict[str, Agent]) -> None:
    """Each to those that it hands off to."""
    for agent in agents.values():
        for handoff in agent.handoffs:
            if isinstance(handoff, Handoff) and handoff.to not in agents:
                problem = f"{path}: {agent.name!r} hands off to {handoff.to!r}, which is no agent of the file"
                raise BadInput(PARAM, problem, ", ".join(name for name in agents if name != agent.name) or "none")
        agent.meet(agents)


def _chosen(path: Path, name: str, agents: dict[str, Agent], variables: dict[str, Agent]) -> Agent:
    if not name:
        return next(iter(agents.values()))
    chosen = agents.get(name) or variables.get(name)
    if chosen is None:
        raise BadInput(PARAM, f"{path} has no agent {name!r}", ", ".join(agents))
    return chosen
