"""What a deployment can lose: in words, from what its servers say of themselves."""

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.nats_cluster import NatsCluster
from support.nats_server import NatsServer
from trunkline.proto.errors import BadSettings
from trunkline.record import Durability, NatsRecordStore
from trunkline.record.durability import losses, monitors, sync_s
from trunkline.telemetry.logs import JsonLines

MONITORED = 'http: "127.0.0.1:-1"\n'


@pytest.mark.parametrize(
    ("text", "seconds"), [("", None), ("always", 0.0), ("2m", 120.0), ("500ms", 0.5), ("1.5s", 1.5), ("1h", 3600.0)]
)
def test_when_servers_flush_is_always_or_a_time(text: str, seconds: float | None) -> None:
    assert sync_s(text) == seconds


@pytest.mark.parametrize("text", ["never", "0s", "2", "-1s", "2 min", "1m30s", "ALWAYS"])
def test_what_is_neither_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(BadSettings, match=r"TRUNKLINE_NATS_SYNC: .*allowed: always, or a time such as 500ms"):
        sync_s(text)


@pytest.mark.parametrize("text", ["127.0.0.1:8222", "nats://h:4222", "http://", "http://h:x"])
def test_a_monitoring_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadSettings, match=r"TRUNKLINE_NATS_MONITOR_URL: .*allowed: http://HOST:PORT"):
        monitors(f"http://ok:8222, {text}")


@pytest.mark.parametrize(
    ("copies", "every_s", "node", "power"),
    [
        (1, 120.0, "all that lies on it: there is one copy", "up to 2 min of it"),
        (1, 0.0, "all that lies on it: there is one copy", "nothing"),
        (3, 10.0, "nothing, while more than half of 3 nodes are left", "up to 10 s of it, if all nodes lose power at"),
        (3, 0.0, "nothing, while more than half of 3 nodes are left", "nothing"),
        (3, None, "nothing, while more than half of 3 nodes are left", "unknown; by NATS's default up to 2 min of it"),
        (0, None, "unknown: no stream answered", "unknown; by NATS's default up to 2 min of it"),
    ],
)
def test_each_choice_says_what_it_can_lose(copies: int, every_s: float | None, node: str, power: str) -> None:
    lost = losses(copies, every_s)

    assert lost.process_kill == "nothing"
    assert lost.node_loss == node
    assert lost.power_loss.startswith(power)


async def told(
    server: NatsServer, caplog: pytest.LogCaptureFixture, *, made: int = 1, **settings: Any
) -> list[Mapping[str, Any]]:
    """The lines of a start, as they are logged. made: copies of the record's streams where they are made here."""
    client = await server.connect()
    store = NatsRecordStore(client, replicas=made)
    await store.ensure()
    with caplog.at_level(logging.INFO, "trunkline.record.durability"):
        await Durability(client, **settings).tell()
    await store.close()
    await client.close()
    lines = JsonLines("agent", "agent-1")
    return [json.loads(lines.format(each)) for each in caplog.records if each.name == "trunkline.record.durability"]


@pytest.mark.nats
def test_a_start_says_in_one_line_what_can_be_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = NatsServer(tmp_path, MONITORED)
    server.start()

    lines = asyncio.run(told(server, caplog, replicas=1, sync="2m", monitor_url=server.monitor_url))

    server.stop()
    (line,) = lines
    assert line["level"] == "info"
    assert line["nats_process_killed"] == "nothing"
    assert line["nats_node_lost"] == "all that lies on it: there is one copy"
    assert line["power_lost"] == "up to 2 min of it"
    assert (line["copies"], line["flushed"]) == (1, "every 2 min")


@pytest.mark.nats
def test_a_server_that_flushes_otherwise_than_the_settings_say_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = NatsServer(tmp_path, MONITORED)
    server.start()

    lines = asyncio.run(told(server, caplog, replicas=3, sync="always", monitor_url=server.monitor_url))

    server.stop()
    _, copies, sync = lines
    assert copies["level"] == sync["level"] == "warning"
    assert (copies["wanted"], copies["found"]["CALLS_00"], copies["found"]["KV_CALLS_INDEX"]) == (3, 1, 1)
    assert (sync["wanted"], [*sync["found"].values()]) == ("before each acknowledgement", ["every 2 min"])


@pytest.mark.nats
def test_what_can_not_be_seen_is_said_and_stops_no_start(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    unset = asyncio.run(told(nats_server, caplog, replicas=1))
    caplog.clear()
    deaf = asyncio.run(told(nats_server, caplog, replicas=1, monitor_url="http://127.0.0.1:9"))

    (line,) = unset
    assert line["flushed"] == "unknown: TRUNKLINE_NATS_MONITOR_URL tells where to look"
    assert deaf[-1]["silent"] == ["http://127.0.0.1:9"]


@pytest.mark.nats
def test_three_copies_are_read_back_from_a_cluster(nats_cluster: NatsCluster, caplog: pytest.LogCaptureFixture) -> None:
    where = ",".join(node.monitor_url for node in nats_cluster.nodes)

    (line,) = asyncio.run(told(nats_cluster.nodes[0], caplog, made=3, replicas=3, monitor_url=where))

    assert (line["copies"], line["flushed"]) == (3, "every 2 min")
    assert line["power_lost"] == "up to 2 min of it, if all nodes lose power at once"
