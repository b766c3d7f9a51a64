"""The right tool with the right arguments, from every kind of recording, telephone, noise and dictation."""

from pathlib import Path

import pytest

from stack import lines, placing
from support.running_stack import RunningStack
from trunkline.cli import line

LEAST_OF_TEN = 8
NOISE_DB = 15.0
FILES = [(8_000, 2), (16_000, 1), (24_000, 2), (44_100, 1), (48_000, 2), (44_100, 2), (8_000, 1)]


def wanted() -> list[list[tuple[str, object]]]:
    return [[(name, arguments)] for _, name, arguments in lines.QUESTIONS]


def right(found: list[list[tuple[str, object]]]) -> int:
    print(found)  # what was asked instead, when too few are right
    return sum(have == want for have, want in zip(found, wanted(), strict=True))


def test_wav_files_of_every_rate_mono_and_stereo_ask_the_right_tool(stack: RunningStack, tmp_path: Path) -> None:
    said = []
    for rate_hz, channels in FILES:
        path = tmp_path / f"{rate_hz}-{channels}.wav"
        lines.write(path, "order_status.wav", rate_hz, channels)
        said.append(line.read(path))

    assert placing.tools_asked(stack, said) == [[("lookup_order", {"order_number": "4712"})]] * len(FILES)


def test_clean_lines_ask_the_right_tools(stack: RunningStack) -> None:
    found = placing.tools_asked(stack, [lines.spoken(text) for text, _, _ in lines.QUESTIONS])

    assert right(found) >= LEAST_OF_TEN


def test_telephone_lines_ask_the_right_tools(stack: RunningStack) -> None:
    found = placing.tools_asked(stack, [lines.by_telephone(text) for text, _, _ in lines.QUESTIONS])

    assert right(found) >= LEAST_OF_TEN


def test_lines_in_noise_ask_the_right_tools(stack: RunningStack) -> None:
    noisy = [lines.in_noise(text, NOISE_DB, seed) for seed, (text, _, _) in enumerate(lines.QUESTIONS)]

    assert right(placing.tools_asked(stack, noisy)) >= LEAST_OF_TEN


@pytest.mark.parametrize("pause_s", [0.8, 1.1])
def test_dictated_digits_with_a_pause_are_not_cut(stack: RunningStack, pause_s: float) -> None:
    said = [lines.dictated(pause_s), lines.dictated_by_piper(pause_s)]

    assert placing.tools_asked(stack, said) == [[("lookup_order", {"order_number": "4712"})]] * 2
