"""A short run of chaos with real processes: what `trunkline chaos` proves at length, in a quarter of a minute."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from support.running_stack import COMMAND
from trunkline.cli.chaos import evidence
from trunkline.cli.chaos.checker import check

pytestmark = pytest.mark.stack


def test_calls_survive_a_few_faults_and_the_dump_says_the_same(tmp_path: Path) -> None:
    options = ("--calls", "4", "--seconds", "15", "--seed", "1", "--json", "--dump", str(tmp_path / "dump"))

    done = subprocess.run([*COMMAND, "chaos", *options], capture_output=True, text=True, timeout=110, check=False)

    told = msgspec.json.decode(done.stdout)
    assert (done.returncode, told["violations"]) == (0, {}), done.stderr
    assert told["faults"] >= 2
    assert told["turns"] >= 8
    found = evidence.load(tmp_path / "dump")
    assert check(found) == []
    assert any(fault.mid_turn for fault in found.run.faults)


def test_calls_survive_the_loss_of_the_node_that_they_depend_on(tmp_path: Path) -> None:
    options = ("--nats-nodes", "3", "--only", "kill nats", "--calls", "4", "--seconds", "12", "--seed", "1", "--json")

    done = subprocess.run(
        [*COMMAND, "chaos", *options, "--dump", str(tmp_path / "dump")],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

    told = msgspec.json.decode(done.stdout)
    assert (done.returncode, told["violations"]) == (0, {}), done.stderr
    assert told["visits"] >= 15
    assert told["set_up_ms"]["kill nats"]["turns"] > 0
    (fault,) = evidence.load(tmp_path / "dump").run.faults
    assert fault.of_cluster
    assert fault.held or fault.led
    assert fault.at_s < fault.led_s <= fault.ready_s
    assert {moved.at_s > fault.at_s for moved in fault.moved} == {True}
