"""Which node of a cluster is tried next."""

import random
from collections.abc import Sequence

from trunkline.bus.nodes import AVOIDED_S, RETRY_S, Nodes

ALL = ("a", "b", "c")


def tried(nodes: Nodes, count: int, among: Sequence[str] = ALL, now_s: float = 1.0) -> list[str]:
    return [nodes.next(among, now_s)[0] for _ in range(count)]


def test_a_node_that_was_left_comes_after_all_others_whatever_chance_says() -> None:
    firsts = set()
    for seed in range(20):
        nodes = Nodes(random.Random(seed))
        nodes.leave("b", 0.0)
        order = tried(nodes, 3)
        firsts.add(order[0])
        assert order[2] == "b"

    assert firsts == {"a", "c"}  # like ones by chance: not all clients go to the same


def test_all_are_tried_in_turn_for_ever_and_only_a_second_try_waits() -> None:
    nodes = Nodes(random.Random(1))
    nodes.leave("b", 0.0)

    waits = [nodes.next(ALL, 1.0) for _ in range(9)]

    assert [wait_s for _, wait_s in waits] == [0.0] * 3 + [RETRY_S] * 6
    assert [{node for node, _ in waits[i : i + 3]} for i in (0, 3, 6)] == [set(ALL)] * 3


def test_one_that_did_not_answer_is_not_gone_to_first_when_the_next_is_lost() -> None:
    for seed in range(20):
        nodes = Nodes(random.Random(seed))
        nodes.leave("a", 0.0)
        hung = nodes.next(ALL, 1.0)[0]
        found = nodes.next(ALL, 1.5)[0]
        nodes.connected(found)
        nodes.leave(found, 2.0)
        nodes.connected("a")  # it is back, and was lost again later
        assert nodes.next([hung, "a"], 3.0)[0] == "a"


def test_what_was_left_long_ago_is_as_good_as_any() -> None:
    firsts = set()
    for seed in range(20):
        nodes = Nodes(random.Random(seed))
        nodes.leave("a", 0.0)
        firsts.add(nodes.next(ALL, AVOIDED_S)[0])

    assert firsts == set(ALL)


def test_a_lone_node_is_tried_again_and_again() -> None:
    nodes = Nodes(random.Random(1))
    nodes.leave("a", 0.0)

    assert tried(nodes, 3, ["a"]) == ["a", "a", "a"]
