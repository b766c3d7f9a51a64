"""A synthesiser that holds the GIL, in a process of its own."""

from collections.abc import Iterator

import pytest

from support.hungry import HungrySynthesiser
from trunkline.runtime.apart import EngineDied
from trunkline.tts.engines.apart import SynthesiserApart

pytestmark = pytest.mark.programs


@pytest.fixture
def engine() -> Iterator[SynthesiserApart]:
    made = SynthesiserApart(HungrySynthesiser(), HungrySynthesiser, 1)
    made.warm()
    yield made
    made.close()


def test_segments_of_several_calls_come_piece_by_piece_from_one_process(engine: SynthesiserApart) -> None:
    first, second = engine.synthesise("one three", 1.0), engine.synthesise("two", 2.0)

    pieces = [next(first), next(second), next(first)]

    assert [(len(piece), int(piece[0])) for piece in pieces] == [(3, 100), (3, 200), (5, 100)]
    assert [list(first), list(second)] == [[], []]
    assert (engine.name, engine.rate_hz, engine.voices, engine.inline) == ("hungry", 24_000, ("joe",), False)


def test_what_is_abandoned_is_forgotten_there_with_the_next_question(engine: SynthesiserApart) -> None:
    abandoned = engine.synthesise("one two", 1.0)
    next(abandoned)
    [apart] = engine._processes.each

    abandoned.close()
    waiting = list(engine._abandoned[apart])

    assert waiting == [1]
    assert [len(piece) for piece in engine.synthesise("three", 1.0)] == [5]
    assert not engine._abandoned[apart]


def test_a_process_that_dies_fails_its_segment_and_the_next_is_spoken(engine: SynthesiserApart) -> None:
    speaking = engine.synthesise("one die", 1.0)
    next(speaking)

    with pytest.raises(EngineDied):
        next(speaking)

    assert [len(piece) for piece in engine.synthesise("two", 1.0)] == [3]
