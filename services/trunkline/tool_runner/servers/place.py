"""Where a tool server is, with the values that its definition takes from this process's environment.

A server gets what its definition names and a bare minimum besides, never the runner's whole environment. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.agents import ToolServer
from trunkline.proto.errors import BadInput

MINIMUM = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR")  # of variables, without which programs don't run
_REFERENCE = re.compile(r"(?P<before>(?:[A-Za-z-]+ )?)\$(?P<name>[A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True, repr=False)
class Place:
    """environment: of the command, headers: of requests, as they are sent. secrets: values that no log may show."""

    command: tuple[str, ...]
    url: str
    environment: Mapping[str, str]
    headers: Mapping[str, str]
    secrets: tuple[str, ...]

    def without_secrets(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "…")
        return text


def place_of(server: ToolServer, environ: Mapping[str, str]) -> Place:
    """Raises BadInput naming a variable that the definition refers to and that isn't set."""
    secrets: list[str] = []

    def filled(field: str, values: Mapping[str, str]) -> dict[str, str]:
        return {
            key: _filled(f"McpServer {server.name}: {field}.{key}", v, environ, secrets) for key, v in values.items()
        }

    environment = {name: environ[name] for name in MINIMUM if name in environ} | filled("env", server.env)
    headers = filled("headers", server.headers)
    longest_first = tuple(sorted(filter(None, secrets), key=len, reverse=True))
    return Place(server.command, server.url, environment, headers, longest_first)


def _filled(param: str, value: str, environ: Mapping[str, str], secrets: list[str]) -> str:
    reference = _REFERENCE.fullmatch(value)
    if reference is None:
        return value
    name = reference["name"]
    if name not in environ:
        raise BadInput(param, f"${name} is not set", "a variable of the tool runner's environment")
    secrets.append(environ[name])
    return reference["before"] + environ[name]
