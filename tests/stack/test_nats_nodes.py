"""`trunkline up --nats-nodes 3`: a cluster that loses a node, gets it back, and keeps what the stack has recorded."""

import os
import signal
import time
from pathlib import Path

from stack import lines, placing
from stack.test_operation import AGENT, NULL_ENGINES, until
from support.running_stack import RunningStack
from trunkline.cli.own_stack import nats_pids


def logged(stack: RunningStack, service: str) -> str:
    return (stack.directory / "logs" / f"{service}-1.log").read_text()


def test_a_node_that_dies_comes_back_with_its_records_and_calls_are_placed_meanwhile(tmp_path: Path) -> None:
    running = RunningStack(tmp_path / "run", "--agent", AGENT, *NULL_ENGINES, "--nats-nodes", "3")
    running.start()
    try:
        first, _, _ = placing.place(running, [lines.spoken("weather_tokyo.wav")])
        nodes, pids = running.file.nats_nodes, nats_pids(running.directory)
        os.kill(pids[0], signal.SIGKILL)
        meanwhile, _, _ = placing.place(running, [lines.spoken("weather_tokyo.wav")])
        until(lambda: len(now := nats_pids(running.directory)) == 3 and now[1:] == pids[1:] and now[0] != pids[0])
        began_s = time.monotonic()
        status = running.stop()
        ended_s, said = time.monotonic(), running.said
        running.start()
        shown = [running.json("show", report.call_id) for report in (first, meanwhile)]
    finally:
        running.stop()

    assert [node.name for node in nodes] == ["nats-1", "nats-2", "nats-3"]
    assert len({node.server for node in nodes} | {node.url for node in nodes}) == 6
    assert f"nats-1 (pid {pids[0]}) was ended by SIGKILL: starting it again" in said
    assert first.turns[0].answer == meanwhile.turns[0].answer != ""
    assert [call["call_id"] for call in shown] == [first.call_id, meanwhile.call_id]
    assert status == 0
    assert ended_s - began_s < 20
    for service in ("gateway", "agent"):
        assert '"copies":3,"flushed":"every 2 min"' in logged(running, service)
