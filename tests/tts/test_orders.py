"""The orders of one call that wait."""

import math

import pytest

from trunkline.proto.speaking import Synthesise
from trunkline.tts.orders import LIMIT_CHARS, LIMIT_SEGMENTS, Order, Orders


def order(segment: int, text: str = "yes", **rest: float) -> Order:
    return Order(Synthesise(segment, text, **rest), None, 0.0)  # type: ignore[arg-type]  # tests give wrong values too


def test_orders_come_out_as_they_went_in() -> None:
    orders = Orders()
    orders.add(order(2))
    orders.add(order(1))

    assert [taken.message.segment for taken in (orders.next(), orders.next()) if taken] == [2, 1]
    assert orders.next() is None


def test_a_hush_forgets_orders_up_to_its_segment_and_refuses_them_later() -> None:
    orders = Orders()
    for segment in (1, 2, 3):
        orders.add(order(segment))

    assert [dropped.message.segment for dropped in orders.hush(2)] == [1, 2]
    assert orders.add(order(2)) == "segment: 2 was hushed; allowed: above 2"
    assert orders.add(order(4)) == ""


def test_a_full_queue_refuses_and_says_so() -> None:
    orders = Orders()
    answers = [orders.add(order(i)) for i in range(1, LIMIT_SEGMENTS + 2)]

    assert answers == [""] * LIMIT_SEGMENTS + [f"queue full: {LIMIT_SEGMENTS} segments wait"]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (order(1, "x" * (LIMIT_CHARS + 1)), "text"),
        (order(1, speed=0.0), "speed"),
        (order(1, speed=math.nan), "speed"),
        (order(1, speed=5.0), "speed"),
        (order(1, from_sample=-1), "from_sample"),
    ],
)
def test_a_bad_order_is_refused_with_its_field_and_what_is_allowed(bad: Order, field: str) -> None:
    refusal = Orders().add(bad)

    assert refusal.startswith(f"{field}: ")
    assert "allowed: " in refusal
