"""docs/openai-compatibility.md against the vendor's own types, the gateway's events and the tests.

Whatever a stock client can say, set or be told has a line; each line says whether it is supported, and names a test.
"""

import ast
import re
import types
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from openai.types.audio import SpeechCreateParams
from openai.types.audio.transcription_create_params import TranscriptionCreateParamsStreaming
from openai.types.realtime import (
    ConversationItemParam,
    RealtimeClientEvent,
    RealtimeResponseCreateParams,
    RealtimeServerEvent,
    RealtimeSessionCreateRequest,
    RealtimeTranscriptionSessionCreateRequest,
)
from openai.types.responses import ResponseStreamEvent, response_create_params, response_input_item_param
from pydantic import BaseModel

from trunkline.gateway.apis.responses import events as response_events
from trunkline.gateway.dialects.realtime import events_in, events_out

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "openai-compatibility.md"
SERVER, CLIENT = "Server events", "Client events"


class Line(NamedTuple):
    name: str
    supported: str
    what: str
    tests: tuple[str, ...]


@cache
def lines(title: str) -> list[Line]:
    """Of the section with this title."""
    section = PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    return [
        Line(name, supported, what, tuple(re.findall(r"`([^`]+)`", tests))) for name, supported, what, tests in rows
    ]


def all_lines() -> list[Line]:
    titles = re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
    return [line for title in titles for line in lines(title)]


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated, list):
        for part in typing.get_args(annotation):
            yield from models_in(part)


def kinds(union: object) -> set[str]:
    """The values of `type` in the vendor's union."""
    tags = (model.model_fields["type"].annotation for model in models_in(union))
    return {value for tag in tags for value in typing.get_args(tag)}


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Of the vendor's struct and what it is made of, `type` left out where it only tells the parts of a union apart."""
    for name, field in model.model_fields.items():
        parts = list(models_in(field.annotation))
        for part in parts:
            yield from fields(part, f"{prefix}{name}.")
        bare = not parts and (name != "type" or not prefix)
        if bare or str in typing.get_args(field.annotation):  # a voice is a name, or an object with an id
            yield f"{prefix}{name}"


def sent() -> set[str]:
    """Types of the events that the gateway has, and any stock client may get."""
    structs = [events_out.ServerEvent]
    for struct in structs:
        structs += struct.__subclasses__()
    tags = {str(struct.__struct_config__.tag) for struct in structs if struct.__struct_config__.tag}
    return {tag for tag in tags if "." in tag or tag == "error"} - {tag for tag in tags if tag.startswith("trunkline.")}


@cache
def names_in(path: str) -> set[str]:
    file = ROOT / path
    if file.suffix == ".py":
        tree = ast.parse(file.read_text())
        return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return set(re.findall(r"\btest\(\s*[\"'`](.+?)[\"'`]", file.read_text()))


def test_every_event_of_a_client_has_its_line() -> None:
    assert {line.name for line in lines(CLIENT)} == kinds(RealtimeClientEvent)


def test_a_client_event_is_supported_if_the_gateway_reads_it() -> None:
    supported = {line.name for line in lines(CLIENT) if line.supported != "no"}

    assert supported == set(events_in.SUPPORTED)


def test_every_event_of_the_server_has_its_line() -> None:
    assert {line.name for line in lines(SERVER)} == kinds(RealtimeServerEvent)


def test_a_server_event_is_supported_if_the_gateway_sends_it() -> None:
    assert {line.name for line in lines(SERVER) if line.supported != "no"} == sent()


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("The session", RealtimeSessionCreateRequest),
        ("The transcription session", RealtimeTranscriptionSessionCreateRequest),
        ("`response.create`", RealtimeResponseCreateParams),
    ],
)
def test_every_field_has_its_line(title: str, model: type[BaseModel]) -> None:
    named = names(title)

    missing = [field for field in fields(model) if not any(f"{field}.".startswith(f"{name}.") for name in named)]

    assert missing == []


@pytest.mark.parametrize(
    ("title", "params"),
    [("Speech", SpeechCreateParams), ("Transcriptions", TranscriptionCreateParamsStreaming)],
)
def test_every_field_of_a_request_has_its_line(title: str, params: type) -> None:
    named = {name for line in lines(title) for name in line.name.split("`, `")}

    assert named == set(params.__annotations__)


def test_every_kind_of_item_has_its_line() -> None:
    named = {line.name.split(",")[0] for line in lines("Items")}

    assert kinds(ConversationItemParam) - named == set()


def test_every_field_of_a_response_has_its_line() -> None:
    fields = set(typing.get_type_hints(response_create_params.ResponseCreateParamsStreaming))

    assert names("`POST /v1/responses`") == fields


def test_every_kind_of_input_has_its_line() -> None:
    params = typing.get_args(response_input_item_param.ResponseInputItemParam)
    tags = [typing.get_type_hints(param)["type"] for param in params]

    assert names("Input items") == {text for tag in tags for text in literals(tag)}


def test_every_event_of_a_response_has_its_line() -> None:
    named = names("Response events")

    missing = [kind for kind in kinds(ResponseStreamEvent) if not {kind, kind.rpartition(".")[0]} & named]
    assert missing == []


def test_an_event_of_a_response_is_supported_if_the_gateway_sends_it() -> None:
    sent_here = {str(event.__struct_config__.tag) for event in response_events.Event.__subclasses__()}

    assert names("Response events", "yes") == sent_here


def names(title: str, *supported: str) -> set[str]:
    """That have a line, several in one."""
    of_section = [line for line in lines(title) if not supported or line.supported in supported]
    return {name for line in of_section for name in line.name.split("`, `")}


def literals(annotation: object) -> Iterator[str]:
    for part in typing.get_args(annotation):
        if isinstance(part, str):
            yield part
        else:
            yield from literals(part)


def test_every_line_says_whether_it_is_supported() -> None:
    assert {line.supported for line in all_lines()} <= {"yes", "partly", "no"}


def test_what_is_not_wholly_supported_says_why_or_how() -> None:
    assert [line.name for line in all_lines() if line.supported != "yes" and not line.what.strip("– ")] == []


def test_every_line_names_tests_that_exist() -> None:
    missing = [
        f"{line.name}: {test or 'no test'}"
        for line in all_lines()
        for test in line.tests or ("",)
        if "::" not in test or test.split("::")[1] not in names_in(test.split("::")[0])
    ]

    assert missing == []
