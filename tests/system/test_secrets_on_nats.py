"""A card number's way over a real server: nothing that the server keeps holds it, and the tool gets it."""

import asyncio
import base64
from pathlib import Path

import pytest

from support.nats_server import NatsServer, running
from system.test_tool_on_nats import Counter, on_bus
from trunkline.agent.models.seam import ToolCall
from trunkline.agent.redaction import Redaction
from trunkline.bus.nats import NatsBus
from trunkline.proto.subjects import VAULT_BUCKET
from trunkline.record import NatsBucket, NatsClaimStore
from trunkline.runtime.process import Context
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings
from trunkline.vault import Vault, key_of

pytestmark = pytest.mark.nats
KEY = base64.b64encode(bytes(range(32))).decode()
CARD = "4111111111111111"
DESK = """
from trunkline.agents import Agent, tool
from trunkline.agents.policies import pii

@tool
async def charge(card: str) -> str:
    '''Charge a card.'''
    return f"Charged {card}, {card[-4:]}, {len(card)} digits."

desk = Agent("desk", tools=[charge], guardrails=[pii()])
"""


def values(bus: NatsBus) -> NatsBucket:
    return NatsBucket(bus.client, VAULT_BUCKET, ttl_s=60.0)


def test_a_card_number_gets_to_the_tool_and_is_in_no_file_of_the_server(tmp_path: Path) -> None:
    desk_file = tmp_path / "desk.py"
    desk_file.write_text(DESK)
    settings = ToolRunnerSettings(agent_file=str(desk_file), vault_key=KEY)

    async def main(server: NatsServer) -> None:
        counter = Counter(server, desk_file)
        async with (
            on_bus(server, "agent", "agent-1") as (agent_bus, agent),
            on_bus(server, "tool_runner", "runner-1") as (runner_bus, runner),
        ):
            await counter.open(agent_bus, agent)
            redaction = Redaction(counter.file, Vault(key_of(KEY), values(agent_bus)))
            await redaction.start()
            claims = NatsClaimStore(runner_bus.client)
            service = ToolRunnerService(
                Context(runner_bus, runner, runner.worker, settings), settings, claims, values=values(runner_bus)
            )
            await service.start()

            said = redaction.redact(counter.call, "It is 4111 1111 1111 1111")
            await redaction.kept(counter.call)
            token = said.removeprefix("It is ")
            call = ToolCall("call_1", "charge", f'{{"card": "{token}"}}')
            await asyncio.wait(await counter.desk.run("resp_1", [call], None))
            charged = counter.log.view.tools["call_1"]

            assert (charged.status, charged.output) == ("ok", f'"Charged {token}, 1111, 16 digits."')
            assert CARD not in charged.arguments
            await counter.close()
            await redaction.stop()
            await service.stop()

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))
        kept = b"".join(file.read_bytes() for file in server.store_dir.rglob("*") if file.is_file())

    assert b"call_1" in kept
    assert CARD.encode() not in kept
