"""What the NATS nodes of `trunkline up` are started with, before any of them runs."""

import os
from pathlib import Path

import msgspec
import pytest

from trunkline.cli import nats_nodes, options, stack
from trunkline.cli.nats_nodes import NatsNodes
from trunkline.cli.own_stack import nats_pids
from trunkline.cli.stack import NatsNode, Stack
from trunkline.proto.errors import BadInput


def made(directory: Path, count: int, **environ: str) -> NatsNodes:
    (directory / "logs").mkdir(exist_ok=True)
    return NatsNodes(directory, count, environ)


def test_one_node_keeps_the_names_of_its_files(tmp_path: Path) -> None:
    (node,) = made(tmp_path, 1).told

    config = (tmp_path / "nats.conf").read_text()
    assert (node.name, node.pid_file) == ("nats", "nats.pid")
    assert f'store_dir: "{tmp_path / "nats"}" }}' in config
    assert "cluster" not in config
    assert not (tmp_path / nats_nodes.CLUSTER_FILE).exists()


def test_three_nodes_know_each_other_and_have_a_store_each(tmp_path: Path) -> None:
    nodes = made(tmp_path, 3).told

    configs = [(tmp_path / f"{node.name}.conf").read_text() for node in nodes]
    assert [node.name for node in nodes] == ["nats-1", "nats-2", "nats-3"]
    for number, config in enumerate(configs, 1):
        assert f'store_dir: "{tmp_path / f"nats-{number}"}"' in config
        routes = config.partition("routes: ")[2].partition("\n")[0]
        listens = [other.partition("cluster {")[2].partition("listen: ")[2].split()[0] for other in configs]
        assert [f"nats://{listen}" in routes for listen in listens] == [other != number for other in (1, 2, 3)]


def test_the_nodes_of_a_directory_keep_their_names_since_their_records_know_them(tmp_path: Path) -> None:
    first, second, elsewhere = made(tmp_path, 3), made(tmp_path, 3), tmp_path / "elsewhere"
    elsewhere.mkdir()

    assert [node.server for node in first.told] == [node.server for node in second.told]
    assert {node.server for node in first.told}.isdisjoint(node.server for node in made(elsewhere, 3).told)


def test_every_process_is_given_all_nodes(tmp_path: Path) -> None:
    nodes = made(tmp_path, 3)

    assert nodes.environ["TRUNKLINE_NATS_URL"].split(",") == [node.url for node in nodes.told]
    assert nodes.environ["TRUNKLINE_NATS_MONITOR_URL"].split(",") == [node.monitor_url for node in nodes.told]


@pytest.mark.parametrize(("count", "sync"), [(1, "always"), (3, "10s")])
def test_the_nodes_flush_when_the_operator_says(tmp_path: Path, count: int, sync: str) -> None:
    nodes = made(tmp_path, count, TRUNKLINE_NATS_SYNC=sync)

    for node in nodes.told:
        assert f'sync_interval: "{sync}" }}' in (tmp_path / f"{node.name}.conf").read_text()


@pytest.mark.parametrize(("there", "asked"), [("nats", 3), ("nats-1", 1)])
def test_records_stay_with_the_number_of_nodes_that_made_them(tmp_path: Path, there: str, asked: int) -> None:
    (tmp_path / there).mkdir()

    nats_nodes.check(tmp_path, 4 - asked, {})
    with pytest.raises(
        BadInput, match=rf"--nats-nodes: .* made with {4 - asked} of them; allowed: {4 - asked}, or another --"
    ):
        nats_nodes.check(tmp_path, asked, {})


@pytest.mark.parametrize("text", ["0", "2", "4", "three", ""])
def test_another_number_of_nodes_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"--nats-nodes: .*allowed: 1, or 3 for a cluster"):
        options.nats_nodes(text)


def test_as_many_copies_are_kept_as_there_are_nodes_unless_the_operator_says(tmp_path: Path) -> None:
    assert nats_nodes.replicas(1, {}) == {}
    assert nats_nodes.replicas(3, {}) == {"TRUNKLINE_RECORD_REPLICAS": "3"}
    assert nats_nodes.replicas(3, {"TRUNKLINE_RECORD_REPLICAS": "1"}) == {}
    with pytest.raises(BadInput, match=r"TRUNKLINE_RECORD_REPLICAS: .*allowed: 1, or --nats-nodes 3"):
        nats_nodes.check(tmp_path, 1, {"TRUNKLINE_RECORD_REPLICAS": "3"})


def test_a_bad_choice_of_when_to_flush_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TRUNKLINE_NATS_SYNC: 'sometimes'"):
        nats_nodes.check(tmp_path, 1, {"TRUNKLINE_NATS_SYNC": "sometimes"})


def test_the_nodes_stand_in_the_stacks_file_and_a_reader_of_before_finds_the_first(tmp_path: Path) -> None:
    class Before(msgspec.Struct):
        url: str
        key: str
        nats_url: str = ""

    nodes = tuple(NatsNode(f"nats-{n}", f"t-{n}", f"nats://h:{n}", f"http://h:{n}") for n in (1, 2, 3))
    written = Stack("http://h:1", "sk-x", 1, nodes[0].url, "", nodes)
    stack.write(tmp_path, written)

    before = msgspec.json.decode((tmp_path / stack.STACK_FILE).read_bytes(), type=Before)
    assert stack.read(tmp_path) == written
    assert written.nats_urls == ["nats://h:1", "nats://h:2", "nats://h:3"]
    assert before.nats_url == "nats://h:1"


def test_a_file_of_before_has_one_node() -> None:
    assert Stack("http://h:1", "sk-x", 1, "nats://h:4222").nats_urls == ["nats://h:4222"]


def test_a_pid_that_is_nobodys_is_not_told(tmp_path: Path) -> None:
    nodes = tuple(NatsNode(f"nats-{n}", f"t-{n}", "", "") for n in (1, 2, 3))
    stack.write(tmp_path, Stack("http://h:1", "sk-x", nats_nodes=nodes))
    (tmp_path / "nats-1.pid").write_text(str(os.getpid()))
    (tmp_path / "nats-2.pid").write_text(str(2**22 + 1))  # over the limit of Linux

    assert nats_pids(tmp_path) == [os.getpid()]
