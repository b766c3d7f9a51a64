"""How many examples a property is tried with: `make check` tries some, `make test` many. And what all tests share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from support.nats_cluster import NatsCluster

# No deadline: how long an example takes is told by the machine, not by the code.
settings.register_profile("test", max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("check", settings.get_profile("test"), max_examples=30)
settings.load_profile("test")


@pytest.fixture(scope="session")
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[NatsCluster]":
    """For tests that break none of its nodes: it takes seconds to elect its leaders."""
    from support.nats_cluster import running_cluster

    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
