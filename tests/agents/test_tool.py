"""What `@tool` makes of a function: schema, check of arguments, commentary, and what it refuses."""

import enum
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import pytest

from trunkline.agents import Tool, ToolContext, tool
from trunkline.proto.errors import BadInput

Order = Annotated[str, msgspec.Meta(pattern=r"^\d{4}$", description="Four digits.")]


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Address(msgspec.Struct):
    street: str
    number: int = 1


def a_context() -> ToolContext:
    return ToolContext("rtc_00_a", "call_1", 2e9)


@tool
def plan(
    city: str, days: int, size: Size, where: Address, mood: Literal["calm", "busy"] = "calm", note: str | None = None
) -> str:
    """Plan a visit
    to a city.

    Args:
        city: The city to
            visit.
        days (int): How long.

    Returns:
        The plan.
    """
    return f"{city} {days} {size} {where.street} {mood} {note}"


def test_the_schema_holds_types_defaults_and_descriptions() -> None:
    properties = plan.parameters["properties"]

    assert isinstance(properties, dict)
    assert properties["city"] == {"type": "string", "description": "The city to visit."}
    assert properties["days"] == {"type": "integer", "description": "How long."}
    assert properties["mood"] == {"enum": ["busy", "calm"], "default": "calm"}
    assert properties["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert properties["where"] == {"$ref": "#/$defs/Address"}
    assert plan.parameters["required"] == ["city", "days", "size", "where"]
    assert plan.parameters["additionalProperties"] is False


def test_types_that_the_schema_refers_to_stand_in_it() -> None:
    definitions = plan.parameters["$defs"]

    assert isinstance(definitions, dict)
    assert {"Address", "Size"} == set(definitions)


def test_the_description_ends_where_the_arguments_begin() -> None:
    assert plan.description == "Plan a visit to a city."


def test_the_function_gets_values_of_its_own_types() -> None:
    run = plan.bind('{"city":"Rome","days":2,"size":"large","where":{"street":"Via Appia"}}', a_context())

    assert run() == "Rome 2 Size.LARGE Via Appia calm None"


def test_a_tool_can_still_be_called_as_a_function() -> None:
    @tool(timeout_s=3)
    def double(number: int) -> int:
        return 2 * number

    assert double(4) == 8


def test_the_context_is_handed_over_and_kept_from_the_model() -> None:
    @tool
    def who(context: ToolContext) -> str:
        return context.call_id

    assert who.parameters == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert who.bind("", a_context())() == "rtc_00_a"


@pytest.mark.parametrize(
    ("arguments", "param", "allowed"),
    [
        ('{"order":4712,"day":"monday"}', "order", r"text that matches ^\d{4}$ (Four digits.)"),
        ('{"order":"47","day":"monday"}', "order", r"text that matches ^\d{4}$ (Four digits.)"),
        ('{"order":"4712","day":"Funday"}', "day", "one of friday, monday"),
        ('{"order":"4712"}', "day", "one of friday, monday"),
        ('{"order":"4712","day":"monday","speed":1}', "speed", "order, day, count"),
        ('{"order":"4712","day":"monday","count":9}', "count", "a whole number (at least 1, at most 5)"),
        ('["4712"]', "arguments", "an object with order, day, count"),
        ('{"order":', "arguments", "an object with order, day, count"),
        ('{"order":' + "[" * 100_000, "arguments", "an object with order, day, count"),
        ('{"order":"\udc00"}', "arguments", "an object with order, day, count"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_what_is_allowed(arguments: str, param: str, allowed: str) -> None:
    @tool
    def check(
        order: Order, day: Literal["monday", "friday"], count: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1
    ) -> None:
        """Never runs here."""

    with pytest.raises(BadInput) as refused:
        check.bind(arguments, a_context())

    assert (param, allowed) == (refused.value.param, refused.value.allowed)


def test_patterns_of_digits_become_dictations_without_their_anchors() -> None:
    @tool
    def pay(order: Order, iban: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{2}[0-9]{20}\Z")] | None = None) -> None:
        """Pay an order."""

    @tool
    def greet(name: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+$")]) -> None:
        """No digits: nobody dictates it."""

    assert pay.dictations == (r"\d{4}", "[A-Z]{2}[0-9]{20}")
    assert greet.dictations == ()


def test_a_commentary_speaks_of_the_arguments() -> None:
    @tool(commentary="Looking at {city} for {days} days.")
    def look(city: str, days: int = 2) -> None:
        """Look."""

    assert look.commentary_for('{"city":"Oslo"}') == "Looking at Oslo for 2 days."
    assert look.commentary_for("{}") == ""


def test_a_commentary_without_arguments_is_said_whatever_they_are() -> None:
    @tool(commentary="One moment.")
    def look(city: str) -> None:
        """Look."""

    assert look.commentary_for('{"town":"Oslo"}') == "One moment."


def test_a_coroutine_function_is_asynchronous_and_a_plain_one_is_not() -> None:
    @tool
    async def listen() -> None:
        """Listen."""

    assert (listen.asynchronous, plan.asynchronous) == (True, False)


def unannotated(city) -> None:  # type: ignore[no-untyped-def]  # that is the point
    """Lacks an annotation."""


def variadic(*cities: str) -> None:
    """Takes any number."""


def positional(city: str, /) -> None:
    """Can't be given by name."""


def opaque(handle: Callable[[], None]) -> None:
    """No JSON is a function."""


def unknown_type(city: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821  # that is the point
    """Its annotation can't be read."""


def documents_a_stranger(city: str) -> None:
    """Says more than it takes.

    Args:
        town: Was renamed.
    """


@pytest.mark.parametrize(
    ("function", "param"),
    [
        (unannotated, "unannotated.city"),
        (variadic, "variadic.cities"),
        (positional, "positional.city"),
        (opaque, "opaque.handle"),
        (unknown_type, "unknown_type"),
        (documents_a_stranger, "documents_a_stranger.town"),
    ],
)
def test_a_signature_that_a_model_cannot_fill_is_refused_by_name(function: Callable[..., None], param: str) -> None:
    with pytest.raises(BadInput) as refused:
        tool(function)

    assert param == refused.value.param
    assert refused.value.allowed


@pytest.mark.parametrize(
    ("make", "param"),
    [
        (lambda f: tool(name="get weather")(f), "tool name"),
        (lambda f: tool(timeout_s=0)(f), "plan_trip: timeout_s"),
        (lambda f: tool(timeout_s=float("inf"))(f), "plan_trip: timeout_s"),
        (lambda f: tool(concurrency=-1)(f), "plan_trip: concurrency"),
        (lambda f: tool(commentary="Going to {town}.")(f), "plan_trip: commentary"),
        (lambda f: tool(commentary="Going to {city.")(f), "plan_trip: commentary"),
    ],
)
def test_options_that_are_out_of_range_are_refused_by_name(
    make: Callable[[Callable[[str], None]], Tool], param: str
) -> None:
    def plan_trip(city: str) -> None:
        """Plan."""

    with pytest.raises(BadInput) as refused:
        make(plan_trip)

    assert param == refused.value.param


def test_a_tool_may_be_run_again_only_if_it_says_so_or_changes_nothing() -> None:
    def plan_trip(city: str) -> None:
        """Plan."""

    made = tool(plan_trip), tool(retry=True)(plan_trip), tool(read_only=True)(plan_trip)

    assert [one.retry for one in made] == [False, True, True]
