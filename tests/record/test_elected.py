"""A write that waits for its stream's leader is tried again the moment that one is elected."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from support.nats_server import NatsServer
from trunkline.record.nats_elections import ELECTED, LONGEST_S, TURNS_S, turn_s
from trunkline.record.nats_writes import NatsWrites, Write

pytestmark = pytest.mark.nats
STREAM, SUBJECT = "ELECTED", "elected.call"
NEVER_S = 60.0  # for an answer: longer than the test has
LIMIT_S = 20.0


async def deaf(client: Client) -> None:
    """Somebody listens where the stream's leader will, and says nothing."""
    await client.subscribe(SUBJECT)
    await client.flush()


async def stored_after_election(server: NatsServer, *, asks_first: bool) -> tuple[bool, int]:
    """asks_first: the write's fate was being asked for when the leader was elected; else it was still on its way."""
    client = await server.connect()
    writes = NatsWrites(client, ack_limit_s=NEVER_S)
    await writes.start()
    if not asks_first:
        await deaf(client)
    putting = writes.put(Write("rtc_07_x", STREAM, SUBJECT, b"x", 0, "entry_1"), limit_s=NEVER_S)
    await asyncio.wait([putting], timeout=0.1)
    early = putting.done()
    await client.jetstream().add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT]))
    await client.publish(f"{ELECTED}.{STREAM}", b"{}")
    seq = await asyncio.wait_for(putting, LIMIT_S)
    await client.jetstream().delete_stream(STREAM)
    await writes.close()
    await client.close()
    return early, seq


@pytest.mark.parametrize("asks_first", [False, True])
def test_a_write_that_waits_is_stored_when_a_leader_is_elected_and_not_when_its_patience_ends(
    nats_server: NatsServer, asks_first: bool
) -> None:
    early, seq = asyncio.run(stored_after_election(nats_server, asks_first=asks_first))

    assert (early, seq) == (False, 1)


def test_who_has_waited_longest_comes_first() -> None:
    turns_s = [turn_s(waited_s) for waited_s in (0.0, 1.0, 5.0, LONGEST_S, 2 * LONGEST_S)]

    assert turns_s == sorted(turns_s, reverse=True)
    assert (turns_s[0], turns_s[-1]) == (TURNS_S, 0.0)
