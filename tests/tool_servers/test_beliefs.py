"""What is believed of a tool server, without one."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import CallToolResult

from trunkline.agents import McpServer
from trunkline.proto.errors import BadInput
from trunkline.tool_runner.servers.answer import misfit
from trunkline.tool_runner.servers.lines import Line, Lines
from trunkline.tool_runner.servers.listing import DESCRIBED_BYTES, SCHEMA_BYTES, listing_of
from trunkline.tool_runner.servers.place import place_of

OBJECT: dict[str, object] = {"type": "object", "properties": {}}


@dataclass
class Offered:
    name: str
    description: str | None = None
    input_schema: dict[str, object] = field(default_factory=lambda: OBJECT)
    output_schema: dict[str, object] | None = None


def orders(*allow: str, **settings: Any) -> Any:
    return McpServer("orders", allow=allow, command=["orders"], **settings)


# lines


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), st.integers(1, 7))
def test_lines_come_out_whole_however_they_were_cut_into_chunks(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    found = Lines(limit_bytes=30)

    out = [line for at in range(0, len(data), size) for line in found.feed(data[at : at + size])]

    assert out == [Line(line) for line in lines]


@given(st.integers(1, 64))
def test_of_a_line_over_the_limit_the_beginning_is_told_once_and_the_next_line_is_whole(size: int) -> None:
    data = b"a\n" + b"x" * 50 + b"\nb\n"
    found = Lines(limit_bytes=20, kept_bytes=5)

    out = [line for at in range(0, len(data), size) for line in found.feed(data[at : at + size])]

    assert out == [Line(b"a"), Line(b"xxxxx", cut=True), Line(b"b")]


# lists


def test_only_what_is_allowed_is_looked_at() -> None:
    offered = [Offered("search"), Offered("drop_tables"), *(Offered(f"t{n}") for n in range(5000))]

    listing = listing_of(orders("search", "refund"), offered)

    assert list(listing.tools) == ["orders_search"]
    assert listing.left_out == {"orders_refund": "the server doesn't offer it"}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array"}, "its schema is none of an object"),
        ({}, "its schema is none of an object"),
        ({"type": "object", "properties": []}, "its schema is none of an object"),
        ({"type": "object", "x": {1, 2}.__class__}, "its schema is no JSON"),
        ({"type": "object", "title": "x" * SCHEMA_BYTES}, "is over the limit of 32768 bytes"),
    ],
)
def test_a_schema_that_can_not_be_told_leaves_its_tool_out(schema: dict[str, object], why: str) -> None:
    listing = listing_of(orders("search"), [Offered("search", input_schema=schema)])

    assert listing.tools == {}
    assert why in listing.left_out["orders_search"]


def test_descriptions_that_together_fill_a_message_are_told_as_far_as_they_go() -> None:
    names = [f"t{n}" for n in range(20)]
    offered = [Offered(name, input_schema=OBJECT | {"title": "x" * 30_000}) for name in names]

    listing = listing_of(orders(*names), offered)

    assert len(listing.tools) == DESCRIBED_BYTES // 30_100
    assert set(listing.left_out.values()) == {"the descriptions together are over 262144 bytes"}


# answers


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"count": 2, "more": None}, ""),
        ({"count": 2.0}, ""),
        ({"count": True}, "'count' is no integer"),
        ({"count": "2"}, "'count' is no integer"),
        ({}, "'count' is missing"),
        ([], "the structured content is no object"),
        (None, "the structured content that was promised is missing"),
    ],
)
def test_structured_content_is_looked_at_from_above(value: object, said: str) -> None:
    output = {
        "type": "object",
        "properties": {"count": {"type": "integer", "pattern": "(a+)+$"}},
        "required": ["count"],
    }

    assert misfit(CallToolResult(content=[], structured_content=value), output) == said


@pytest.mark.parametrize(
    "output", [{}, {"required": 7}, {"properties": 7}, {"type": ["object", "null"]}, {"type": "?"}]
)
def test_a_promise_that_can_not_be_read_binds_nobody(output: dict[str, object]) -> None:
    assert misfit(CallToolResult(content=[], structured_content={"count": 2}), output) == ""


# places


def test_only_whole_values_refer_to_the_environment_but_for_a_scheme_before_them() -> None:
    server = McpServer(
        "orders",
        allow=["search"],
        url="https://orders.example/mcp",
        headers={"Authorization": "Bearer $TOKEN", "X-Key": "$TOKEN", "X-Price": "5$TOKEN", "X-Plain": "plain"},
    )

    place = place_of(server, {"TOKEN": "hush"})

    assert place.headers == {
        "Authorization": "Bearer hush",
        "X-Key": "hush",
        "X-Price": "5$TOKEN",
        "X-Plain": "plain",
    }
    assert place.without_secrets("hush, said hush") == "…, said …"
    assert "hush" not in repr(place)


def test_a_header_whose_variable_is_not_set_is_named() -> None:
    server = McpServer("orders", allow=["search"], url="http://x/mcp", headers={"Authorization": "Bearer $TOKEN"})

    with pytest.raises(BadInput, match=r"McpServer orders: headers.Authorization: \$TOKEN is not set"):
        place_of(server, {})
