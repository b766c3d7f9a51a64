"""Where a stack is found: --url, --dir, the environment, the default directory, in this order."""

import argparse
import stat
from pathlib import Path

import pytest

from trunkline.cli import stack
from trunkline.cli.stack import Address, Stack
from trunkline.proto.errors import BadInput

HERE = Stack("http://127.0.0.1:8080", "sk-here", 4711, "nats://127.0.0.1:4222")


def options(directory: str = "", url: str = "", key: str = "") -> argparse.Namespace:
    return argparse.Namespace(dir=directory, url=url, key=key)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    stack.write(tmp_path, HERE)
    return tmp_path


def test_what_was_written_is_read_and_only_its_owner_can_read_it(run_dir: Path) -> None:
    assert stack.read(run_dir) == HERE
    assert stat.S_IMODE((run_dir / stack.STACK_FILE).stat().st_mode) == 0o600


def test_a_directory_gives_address_and_key(run_dir: Path) -> None:
    assert stack.find(options(str(run_dir)), {}) == Address("http://127.0.0.1:8080", "sk-here")


def test_the_directory_asked_for_wins_over_the_environment(run_dir: Path) -> None:
    environ = {"TRUNKLINE_URL": "http://elsewhere:1", "TRUNKLINE_KEY": "sk-there"}

    assert stack.find(options(str(run_dir)), environ).base == "http://127.0.0.1:8080"
    assert stack.find(options(), environ) == Address("http://elsewhere:1", "sk-there")


def test_a_broken_stack_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / stack.STACK_FILE).write_text("{")

    with pytest.raises(BadInput, match=r"stack\.json: can't be read"):
        stack.read(tmp_path)


@pytest.mark.parametrize(
    "url",
    ["ws://h:1", "http://h:1", "http://h:1/", "ws://h:1/v1/realtime", "http://h:1/v1", "ws://h:1/v1/realtime?model=x"],
)
def test_any_form_of_the_address_leads_to_the_realtime_socket(url: str) -> None:
    assert Address(stack.base_of(url), "").realtime == "ws://h:1/v1/realtime"


def test_a_secure_address_stays_secure() -> None:
    assert Address(stack.base_of("wss://h/v1/realtime"), "").realtime == "wss://h/v1/realtime"
